"""What a delivery may be, and why a webhook is off."""

from enum import StrEnum


class DeliveryStatus(StrEnum):
    """`pending` waits for its time, `delivering` has an attempt under way; the others are final until redelivered."""

    PENDING = "pending"
    DELIVERING = "delivering"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


FINAL = frozenset({DeliveryStatus.SUCCEEDED, DeliveryStatus.FAILED})


class OffReason(StrEnum):
    """Who turned a webhook off: its owner, the receiver by 410 Gone, or the platform after failures in a row."""

    OWNER = "owner"
    GONE = "gone"
    FAILURES = "failures"
