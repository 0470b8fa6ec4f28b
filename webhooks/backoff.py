"""PURE: when a failed attempt of a delivery is made again (API reference, `retry_policy`; contract §10)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_ATTEMPTS = 20
MAX_DELAY_SECONDS = 86_400
MAX_MULTIPLIER = 10


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """As a webhook's owner gives it; the defaults are the API reference's example."""

    max_attempts: int = 3
    initial_delay_seconds: float = 60
    max_delay_seconds: float = 3600
    backoff_multiplier: float = 2


def delay_before_retry(
    policy: RetryPolicy, *, attempt: int, jitter: float, retry_after: float | None = None
) -> float | None:
    """Seconds from a failure to the next attempt, or None to give up.

    `attempt` is the number of the one that failed, 1 on the first. `jitter` in [0, 1) spreads retries over the upper
    half of the delay, as the engine's own. `retry_after` is what the receiver asked for: the delay is no shorter, but
    never longer than the policy's longest.
    """
    if attempt >= policy.max_attempts:
        return None
    delay = policy.initial_delay_seconds * policy.backoff_multiplier ** (attempt - 1)
    delay = min(delay, policy.max_delay_seconds) * (0.5 + jitter / 2)
    return max(delay, min(retry_after or 0, policy.max_delay_seconds))


def parse_retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header (RFC 9110 §10.2.3: seconds, or a date) asks for; None for anything else."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        # A longer number than any delay needs no more digits.
        return float(text[:10])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0.0)
