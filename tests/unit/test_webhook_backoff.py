"""When a failed attempt is made again: exactly within the policy."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks.backoff import (
    MAX_ATTEMPTS,
    MAX_DELAY_SECONDS,
    MAX_MULTIPLIER,
    RetryPolicy,
    delay_before_retry,
    parse_retry_after,
)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
POLICIES = st.builds(
    lambda attempts, first, more, multiplier: RetryPolicy(
        attempts, first, min(first + more, MAX_DELAY_SECONDS), multiplier
    ),
    st.integers(1, MAX_ATTEMPTS),
    st.floats(1, MAX_DELAY_SECONDS),
    st.floats(0, MAX_DELAY_SECONDS),
    st.floats(1, MAX_MULTIPLIER),
)
JITTER = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 60), (2, 120), (3, 240), (6, 1920), (7, 3600), (8, 3600)])
def test_each_delay_is_the_one_before_times_the_multiplier_up_to_the_longest(attempt: int, seconds: float) -> None:
    policy = RetryPolicy(max_attempts=10)
    assert delay_before_retry(policy, attempt=attempt, jitter=0) == seconds / 2
    almost = delay_before_retry(policy, attempt=attempt, jitter=0.999999)
    assert almost is not None
    assert seconds * 0.999 < almost < seconds


@given(POLICIES, st.integers(1, MAX_ATTEMPTS), JITTER, st.none() | st.floats(0, 1e9))
def test_a_delay_is_within_the_policy_and_the_last_attempt_is_the_last(
    policy: RetryPolicy, attempt: int, jitter: float, retry_after: float | None
) -> None:
    delay = delay_before_retry(policy, attempt=attempt, jitter=jitter, retry_after=retry_after)
    if attempt >= policy.max_attempts:
        assert delay is None
        return
    assert delay is not None
    assert policy.initial_delay_seconds / 2 <= delay <= policy.max_delay_seconds
    assert delay >= min(retry_after or 0, policy.max_delay_seconds)


@given(POLICIES, st.integers(1, MAX_ATTEMPTS - 1), JITTER)
def test_delays_do_not_shrink(policy: RetryPolicy, attempt: int, jitter: float) -> None:
    first = delay_before_retry(policy, attempt=attempt, jitter=jitter)
    second = delay_before_retry(policy, attempt=attempt + 1, jitter=jitter)
    assert first is None or second is None or second >= first


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None), ("120", 120), (" 0 ", 0), ("-5", None), ("1.5", None), ("soon", None), ("", None), ("٣", None),
        ("9" * 400, 9_999_999_999), ("Wed, 25 Nov 2026 12:00:30 GMT", 30), ("Wed, 25 Nov 2026 11:00:00 GMT", 0),
        ("Wed, 25 Nov 2026 12:00:30 -0000", 30), ("Wed, 99 Nov 2026 12:00:30 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, NOW) == seconds


@given(st.text())
def test_no_header_is_an_error(header: str) -> None:
    parse_retry_after(header, NOW)
