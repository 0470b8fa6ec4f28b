"""What tests of metrics start from: nothing counted, and the text of `/metrics` as Prometheus reads it."""

from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from config import metrics_facts, metrics_text
from config.metrics_facts import Told
from core import metrics, metrics_sending
from tests.integration.executions.conftest import doorbells, only_legal_moves

__all__ = ["doorbells", "only_legal_moves"]

TOKEN = "the-token-of-the-tests-9f8a7b6c5d4e"


# The product's, which a busy machine may use up; tests of the limits themselves set their own.
WAIT_SECONDS = metrics_facts.WAIT_SECONDS


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every question has the time it takes, and an answer is kept for as long as a test."""
    for name in ("WAIT_SECONDS", "KEEP_SECONDS", "_QUERIES_SECONDS"):
        monkeypatch.setattr(metrics_facts, name, 60.0)


@pytest.fixture
def nothing_counted(empty_redis: None) -> Iterator[None]:
    """By nobody: not in this process, and not in Valkey."""
    metrics.totals.take()
    metrics_facts.forget()
    yield
    metrics.totals.take()
    metrics_facts.forget()


def parsed(text: str) -> dict[tuple[str, ...], float]:
    """By name and, sorted by their names, the values of the labels."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def told() -> dict[tuple[str, ...], float]:
    """All that is known now, asked on the test's own connection."""
    metrics_sending.sender.send()
    everything = Told(tuple(metrics_facts.ask_database()), metrics_sending.read())
    return parsed(metrics_text.text(everything).decode())
