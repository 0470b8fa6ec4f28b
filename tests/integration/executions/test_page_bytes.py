"""What the values of a page may have together: over that several rows are refused, and one is always given."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from core import pagination
from executions import listing
from tests.api import Answer, Api
from tests.graphql import GraphQL
from tests.integration.executions.conftest import Doorbells, linear, start, transform

LARGE = "x" * 5000
DEFINITION = linear(transform("a", LARGE), transform("b", "{{ a.output }}"))


@pytest.fixture(params=["in rows", "aside"])
def stored(request: pytest.FixtureRequest, tmp_path: Path, settings: Any) -> None:
    """Large outputs, and where they are: a text of one letter is compressed in its row."""
    if request.param == "aside":
        backend = "executions.output_files.FileOutputStorage"
        outputs = {"BACKEND": backend, "OPTIONS": {"location": str(tmp_path / "outputs")}}
        settings.OUTPUT_INLINE_BYTES = 2000
        settings.STORAGES = {**settings.STORAGES, "outputs": outputs}


@pytest.fixture
def at_most(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets what a page may have."""

    def set_to(limit: int) -> None:
        for module in (pagination, listing):
            monkeypatch.setattr(module, "MAX_PAGE_BYTES", limit)

    return set_to


def refused(answer: Answer) -> bool:
    return (answer.status, answer.code, [error["field"] for error in answer.body["errors"] or ()]) == (
        400,
        "VALIDATION_ERROR",
        ["limit"],
    )


@pytest.fixture
def three(alice: User, doorbells: Doorbells, stored: None) -> None:
    """Executions with large results."""
    for _ in range(3):
        start(alice, DEFINITION)
    doorbells.work()


@pytest.mark.usefixtures("three")
def test_a_page_of_executions_is_bounded_in_bytes(alice_api: Api, at_most: Callable[[int], None]) -> None:
    at_most(12_000)
    assert refused(alice_api.get("/executions"))
    assert [each["results"] for each in alice_api.get("/executions?limit=2").data] == [LARGE, LARGE]
    at_most(100)
    assert refused(alice_api.get("/executions?limit=2"))
    assert [each["results"] for each in alice_api.get("/executions?limit=1").data] == [LARGE]


@pytest.mark.usefixtures("three")
def test_graphql_gives_a_list_without_results_that_are_too_many_together(
    alice_api: Api, at_most: Callable[[int], None]
) -> None:
    graphql = GraphQL(alice_api.token)
    at_most(12_000)
    answer = graphql.ask("{ executions { status results } }")
    assert answer.body["data"]["executions"] == [{"status": "COMPLETED", "results": None}] * 3
    assert answer.codes == ["VALIDATION_ERROR"] * 3
    assert graphql.ask("{ executions(limit: 2) { results } }").data["executions"] == [{"results": LARGE}] * 2


@pytest.mark.usefixtures("stored")
def test_a_page_of_component_runs_is_bounded_in_bytes_of_what_went_in_and_came_out(
    alice: User, alice_api: Api, doorbells: Doorbells, at_most: Callable[[int], None]
) -> None:
    path = f"/executions/{start(alice, DEFINITION).pk}/components"
    doorbells.work()
    at_most(15_010)
    shown = [(run["input_data"], run["output_data"]) for run in alice_api.get(path).data]
    assert shown == [({}, LARGE), (LARGE, LARGE)]
    at_most(15_000)
    assert refused(alice_api.get(path))
    [one] = alice_api.get(f"{path}?limit=1&offset=1").data
    assert (one["input_data"], one["output_data"]) == (LARGE, LARGE)


@pytest.mark.usefixtures("stored")
def test_an_items_value_and_the_input_count_as_often_as_they_are_shown(
    alice: User, alice_api: Api, doorbells: Doorbells, at_most: Callable[[int], None]
) -> None:
    body = {"components": [transform("one", 1), transform("two", 2)], "connections": []}
    loop = {"id": "loop", "type": "for_each", "config": {"items": "{{ a.output }}", **body}}
    definition = linear(transform("a", [LARGE]), loop)
    execution = start(alice, definition, parameters={"given": LARGE})
    doorbells.work()
    path = f"/executions/{execution.pk}/components"
    # The output of `a` is shown once more where it goes in, its item twice: to each of the two runs of the body.
    for page, shown in (("offset=1", 3), ("offset=0", 5)):
        at_most(shown * 5000)
        assert refused(alice_api.get(f"{path}?{page}"))
        at_most(shown * 5000 + 300)
        assert alice_api.get(f"{path}?{page}").status == 200
