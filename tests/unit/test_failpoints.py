"""Failpoints do what the environment asks for, repeatably, and nothing else."""

import pytest

from executions import failpoints
from executions.failpoints import FailpointError, failpoint, parse


def test_without_the_variable_every_place_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APG_FAILPOINTS", raising=False)
    failpoints.reload()
    for place in failpoints.PLACES:
        failpoint(place)


def test_a_named_place_raises_and_the_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APG_FAILPOINTS", "after_claim=raise, sweep_wake_due=raise")
    failpoints.reload()
    with pytest.raises(FailpointError):
        failpoint("after_claim")
    with pytest.raises(FailpointError):
        failpoint("sweep_wake_due")
    failpoint("before_run")
    monkeypatch.delenv("APG_FAILPOINTS")
    failpoints.reload()
    failpoint("after_claim")


def outcomes(seed: str) -> list[bool]:
    action = parse("after_run=raise:0.5", seed)["after_run"]
    found = []
    for _ in range(50):
        try:
            action()
        except FailpointError:
            found.append(True)
        else:
            found.append(False)
    return found


def test_one_seed_makes_one_series_of_choices() -> None:
    assert outcomes("7") == outcomes("7")
    assert outcomes("7") != outcomes("8")
    assert set(outcomes("7")) == {True, False}


@pytest.mark.parametrize("text", ["nowhere=kill", "after_claim=explode", "after_claim", "after_claim=kill:often"])
def test_what_it_cannot_mean_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"APG_FAILPOINTS|could not convert"):
        parse(text, "")
