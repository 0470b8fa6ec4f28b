"""When a failed attempt is tried again (contract §6, `retry_policy`)."""

from workflows.definition import RetryPolicy


def delay_before_retry(policy: RetryPolicy, *, failures: int, permanent: bool, jitter: float) -> float | None:
    """Seconds to wait before the next attempt, or None to give up.

    `failures` counts attempts that failed by themselves, this one included; attempts lost with their worker
    do not use up the policy. `jitter` in [0, 1) spreads retries over the upper half of the delay ("equal
    jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """
    if permanent or failures >= policy.max_attempts:
        return None
    # The exponent is bounded before the power: 2.0 ** 5000 overflows.
    try:
        delay = policy.initial_delay_seconds * policy.backoff_multiplier ** (failures - 1)
    except OverflowError:
        delay = policy.max_delay_seconds
    delay = min(delay, policy.max_delay_seconds)
    return delay * (0.5 + jitter / 2)
