"""When a failed attempt is tried again."""

import pytest

from executions.retries import delay_before_retry
from workflows.definition import RetryPolicy

POLICY = RetryPolicy(max_attempts=4, initial_delay_seconds=2, max_delay_seconds=10, backoff_multiplier=3)


@pytest.mark.parametrize(("failures", "expected"), [(1, 2.0), (2, 6.0), (3, 10.0)])
def test_delays_grow_by_the_multiplier_up_to_the_maximum(failures: int, expected: float) -> None:
    assert delay_before_retry(POLICY, failures=failures, permanent=False, jitter=1.0) == expected


def test_jitter_spreads_over_the_upper_half() -> None:
    assert delay_before_retry(POLICY, failures=1, permanent=False, jitter=0.0) == 1.0


def test_the_last_attempt_is_not_retried() -> None:
    assert delay_before_retry(POLICY, failures=4, permanent=False, jitter=0.0) is None


def test_a_permanent_failure_is_not_retried() -> None:
    assert delay_before_retry(POLICY, failures=1, permanent=True, jitter=0.0) is None


def test_an_exponent_beyond_floats_is_the_maximum() -> None:
    policy = RetryPolicy(max_attempts=5000, initial_delay_seconds=1, max_delay_seconds=60, backoff_multiplier=10.0)
    assert delay_before_retry(policy, failures=4000, permanent=False, jitter=1.0) == 60


def test_without_a_policy_nothing_is_retried() -> None:
    assert delay_before_retry(RetryPolicy(), failures=1, permanent=False, jitter=0.0) is None
