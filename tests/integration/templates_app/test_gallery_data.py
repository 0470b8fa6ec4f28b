"""Templates of the gallery that move data: each makes a workflow that runs to its end, error paths too."""

import pytest

from core.types import JSONValue
from tests.integration.templates_app.gallery import Bench, always, ended, mails, taken, text_of
from tests.stand_ins import Request

pytestmark = pytest.mark.django_db(transaction=True)

# --- etl-pipeline

ROWS = [{"First name": " Ada ", "Age": 36}, {"First name": "Ada", "Age": 36}, {"First name": "", "Age": None},
        {"First name": 'Alan, "T"', "Age": 41}, {"First name": "Grace", "Age": ""}]  # fmt: skip


def test_etl_loads_clean_rows_in_batches_of_csv(bench: Bench) -> None:
    api = bench.service(lambda request: (200, {"data": ROWS}) if request.method == "GET" else (201, {}))
    setup = {"source_url": f"{api.url}/data", "target_url": f"{api.url}/load", "output_format": "csv", "batch_size": 2}
    assert ended(bench.run("etl-pipeline", setup)) == {"status": "loaded", "rows": 3, "dropped": 2, "batches": 2}
    sent = {each.headers["x-batch-number"]: each for each in api.asked("POST", "/load")}
    assert sent["1"].body == 'first_name,age\nAda,36\n"Alan, ""T""",41\n'
    assert sent["2"].body == "first_name,age\nGrace,\n"
    assert sent["1"].headers["content-type"] == "text/csv"
    assert sent["1"].headers["idempotency-key"] != sent["2"].headers["idempotency-key"]


def test_etl_made_as_the_reference_prints_it_gives_back_the_rows(bench: Bench) -> None:
    api = bench.service(always(200, [{"a": 1}, {"a": 2}]))
    setup = {"source_url": f"{api.url}/data", "output_format": "json", "batch_size": 1000}
    results = ended(bench.run("etl-pipeline", setup))
    assert results == {"status": "transformed", "rows": 2, "dropped": 0, "data": [[{"a": 1}, {"a": 2}]]}
    assert [each.method for each in api.seen] == ["GET"]


def test_etl_takes_its_error_path_when_the_source_answers_500(bench: Bench) -> None:
    mailbox, api = bench.mailbox(), bench.service(always(500))
    setup = {"source_url": f"{api.url}/data", "alert_email": "ops@example.com"}
    execution = bench.run("etl-pipeline", setup)
    ended(execution, "failed")
    assert execution["error_message"] == "extract: The server answered 500"
    assert len(api.seen) == 3
    assert taken(execution) == {"start", "failure", "note", "alert"}
    (mail,) = mails(mailbox)
    assert (mail["To"], mail["Subject"]) == ("ops@example.com", "ETL failed: etl-pipeline")
    assert "extract failed with COMPONENT_ERROR: The server answered 500" in text_of(mail)


def test_etl_takes_its_error_path_for_rows_that_are_none_and_for_a_target_that_refuses(bench: Bench) -> None:
    api = bench.service(
        lambda request: (200, "rows" if request.path == "/text" else ROWS) if request.method == "GET" else (400, None)
    )
    workflow = bench.workflow("etl-pipeline", {"source_url": f"{api.url}/text"})
    execution = bench.end(bench.start(workflow))
    assert execution["status"] == "failed"
    assert execution["error_message"].startswith("check: ")
    execution = bench.end(bench.start(workflow, {"source_url": f"{api.url}/rows", "target_url": f"{api.url}/load"}))
    assert execution["status"] == "failed"
    assert execution["error_message"].startswith("load: ")


# --- api-sync

TOKENS = {"SOURCE_API_TOKEN": "source-token-1", "TARGET_API_TOKEN": "target-token-2"}
SOURCE = [{"id": 1, "name": "Ada"}, {"id": "a/b", "name": "Alan"}, {"id": 3, "name": "Grace"}]
TARGET = [{"id": 1, "name": "Ada", "note": "own"}, {"id": 3, "name": "G."}, {"id": 9, "name": "Old"}]


def sync_answers(request: Request) -> tuple[int, JSONValue]:
    if request.method == "GET":
        return 200, SOURCE if request.path == "/source" else TARGET
    return (500, None) if request.body == {"id": 3, "name": "fails"} else (204, None)


def test_api_sync_creates_updates_and_deletes_what_differs(bench: Bench) -> None:
    api = bench.service(sync_answers)
    setup = {"source_url": f"{api.url}/source", "target_url": f"{api.url}/target", "delete_missing": True}
    results = ended(bench.run("api-sync", setup, None, **TOKENS))
    assert results == {"created": 1, "updated": 1, "deleted": 1, "unchanged": 1, "errors": []}
    changes = {(each.method, each.path): each for each in api.seen if each.method != "GET"}
    assert set(changes) == {("POST", "/target"), ("PUT", "/target/3"), ("DELETE", "/target/9")}
    assert changes["POST", "/target"].body == {"id": "a/b", "name": "Alan"}
    assert changes["PUT", "/target/3"].body == {"id": 3, "name": "Grace"}
    tokens = {(each.path.split("/")[1], each.headers["authorization"]) for each in api.seen}
    assert tokens == {("source", "Bearer source-token-1"), ("target", "Bearer target-token-2")}


def test_api_sync_changes_nothing_beyond_its_limit_and_names_what_failed(bench: Bench) -> None:
    api = bench.service(sync_answers)
    setup = {"source_url": f"{api.url}/source", "target_url": f"{api.url}/target"}
    workflow = bench.workflow("api-sync", setup, **TOKENS)
    execution = bench.end(bench.start(workflow, {"max_changes": 1}))
    ended(execution, "failed")
    assert execution["error_message"] == "2 changes are more than max_changes, 1: nothing was changed"
    assert [each.method for each in api.seen] == ["GET", "GET"]
    api.answers = lambda request: (500, None) if request.method == "PUT" else sync_answers(request)
    execution = bench.end(bench.start(workflow))
    ended(execution, "failed")
    assert execution["error_message"] == "1 changes failed, the first: The server answered 500"
    assert len(api.asked("PUT")) == 3
    assert len(api.asked("POST")) == 1


# --- fan-out-enrichment


def companies(request: Request) -> tuple[int, JSONValue]:
    key = request.path.rsplit("/", 1)[1]
    return {"404": (404, None), "500": (500, None)}.get(key, (200, {"name": f"Company {key}"}))


def test_enrichment_keeps_the_order_and_names_what_is_missing(bench: Bench) -> None:
    api = bench.service(companies)
    setup = {"lookup_url": f"{api.url}/companies", "max_failed_share": 0.5}
    records = [{"id": 1}, {"id": "404"}, {"id": "500"}, {"id": "x y"}]
    results = ended(bench.run("fan-out-enrichment", setup, {"records": records}, LOOKUP_API_KEY="lookup-key-1"))
    assert results == {
        "records": [
            {"id": 1, "details": {"name": "Company 1"}},
            {"id": "404", "details": None},
            {"id": "x y", "details": {"name": "Company x%20y"}},
        ],
        "missing": ["404"],
        "failed": ["The server answered 500"],
    }
    assert len(api.asked("GET", "/companies/500")) == 4
    assert {each.headers["x-api-key"] for each in api.seen} == {"lookup-key-1"}


def test_enrichment_with_too_many_holes_fails(bench: Bench) -> None:
    api = bench.service(companies)
    setup = {"lookup_url": f"{api.url}/companies", "key_field": "company"}
    records = [{"company": "500"}, {"company": 2}]
    execution = bench.run("fan-out-enrichment", setup, {"records": records}, LOOKUP_API_KEY="lookup-key-1")
    ended(execution, "failed")
    assert execution["error_message"] == "1 of 2 lookups failed, the first: The server answered 500"


# --- paged-api-collector


def pages(request: Request) -> tuple[int, JSONValue]:
    first = int(request.query.get("after", 0))
    tickets = [{"id": n} for n in range(first, first + int(request.query["size"]))]
    # Each page begins with the last ticket of the one before, as in a list that moves.
    return 200, {"tickets": tickets, "more": first + len(tickets) - 1 if first < 4 else None}


PAGES = {"items_field": "tickets", "next_field": "more", "cursor_parameter": "after", "limit_parameter": "size"}


def test_the_collector_follows_the_cursor_and_drops_repetitions(bench: Bench) -> None:
    api = bench.service(pages)
    setup = {"list_url": f"{api.url}/tickets", "page_size": 3, "page_pause_seconds": 5, **PAGES}
    results = ended(bench.run("paged-api-collector", setup, LIST_API_TOKEN="list-token-1"))
    assert results == {"pages": 3, "count": 7, "items": [{"id": n} for n in range(7)]}
    assert [each.query for each in api.seen] == [{"size": "3", **more} for more in ({}, {"after": "2"}, {"after": "4"})]


def test_the_collector_fails_on_a_list_without_an_end_and_on_a_page_that_is_refused(bench: Bench) -> None:
    api = bench.service(lambda request: (200, {"tickets": [], "more": "again"}))
    workflow = bench.workflow(
        "paged-api-collector", {"list_url": f"{api.url}/t", "max_pages": 4, **PAGES}, LIST_API_TOKEN="list-token-1"
    )
    execution = bench.end(bench.start(workflow))
    ended(execution, "failed")
    assert execution["error_message"].startswith("The list could not be read to its end: ")
    assert len(api.seen) == 4
    api.answers = always(403)
    execution = bench.end(bench.start(workflow))
    assert (execution["status"], len(api.seen)) == ("failed", 5)


# --- backfill-by-day


def day_workflow(bench: Bench) -> str:
    """A workflow of alice's that fails on the 30th."""
    definition = {
        "parameters": [{"name": "day", "type": "string", "required": True}],
        "components": [
            {
                "id": "check",
                "type": "validate",
                "config": {"value": "{{ day }}", "schema": {"not": {"pattern": "30$"}}},
            },
            {"id": "out", "type": "transform", "config": {"output": "{{ 'did ' ~ day }}"}},
        ],
        "connections": [{"source": "check", "target": "out", "type": "success"}],
    }
    return str(bench.api.post("/workflows", {"name": "daily", "definition": definition}).data["id"])


def test_a_backfill_runs_the_workflow_for_each_day(bench: Bench) -> None:
    setup = {"workflow_id": day_workflow(bench), "max_concurrency": 2}
    workflow = bench.workflow("backfill-by-day", setup)
    results = ended(bench.end(bench.start(workflow, {"first_day": "2024-02-28", "last_day": "2024-03-01"})))
    days = ["2024-02-28", "2024-02-29", "2024-03-01"]
    assert results == {"days": 3, "results": [{"day": day, "result": f"did {day}"} for day in days]}
    execution = bench.end(bench.start(workflow, {"first_day": "2024-03-29", "last_day": "2024-03-31"}))
    ended(execution, "failed")
    assert execution["error_message"] == "1 of 3 days failed: 2024-03-30"
    execution = bench.end(bench.start(workflow, {"first_day": "2024-03-02", "last_day": "2024-03-01"}))
    ended(execution, "failed")
    assert execution["error_message"].startswith("2024-03-02 to 2024-03-01 is 0 days")
