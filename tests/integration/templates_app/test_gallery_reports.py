"""Templates of the gallery that watch and report, each run to its end, error paths too."""

from typing import Any

import psycopg
import pytest

from tests.integration.templates_app.gallery import Bench, always, by_path, ended, mails, text_of
from tests.stand_ins import postgres_over_tcp

pytestmark = pytest.mark.django_db(transaction=True)

# --- data-quality-report

RULES = [{"field": "id", "required": True, "unique": True}, {"field": "country", "allowed": ["NO", "SE"]},
         {"field": "age", "type": "number", "min": 0, "max": 130}]  # fmt: skip
PEOPLE = [{"id": 1, "country": "NO", "age": 30}, {"id": 1, "country": "XX", "age": "old"}, {"age": 200}]


def test_data_quality_mails_the_faults_and_fails_below_the_score(bench: Bench) -> None:
    mailbox, api = bench.mailbox(), bench.service(always(200, PEOPLE))
    setup = {"dataset_url": f"{api.url}/d", "report_to": "data@example.com", "rules": RULES}
    execution = bench.run("data-quality-report", setup, DATASET_TOKEN="data-token-1")
    ended(execution, "failed")
    assert execution["error_message"] == "The score 0.6429 is below 0.98"
    (mail,) = mails(mailbox)
    lines = text_of(mail).splitlines()
    assert lines[0] == "3 rows, 14 checks, score 0.6429 (at least 0.98)"
    assert lines[2:] == ["id unique: 1 rows, such as 2", "id required: 1 rows, such as 3",
                         "country allowed: 1 rows, such as 2", "age type: 1 rows, such as 2",
                         "age max: 1 rows, such as 3"]  # fmt: skip
    assert api.seen[0].headers["authorization"] == "Bearer data-token-1"


def test_data_quality_of_good_data_ends_well(bench: Bench) -> None:
    mailbox, api = bench.mailbox(), bench.service(always(200, {"data": PEOPLE[:1]}))
    setup = {"dataset_url": f"{api.url}/d", "report_to": "data@example.com", "rules": RULES, "run_at": "30 5 * * 1"}
    results = ended(bench.run("data-quality-report", setup, DATASET_TOKEN="data-token-1"))
    assert results == {"rows": 1, "checks": 6, "score": 1.0, "faults": []}
    assert "No faults" in text_of(mails(mailbox)[0])


# --- service-health-check


def test_health_check_posts_those_that_are_down_in_one_message(bench: Bench) -> None:
    api = bench.service(by_path(well=(200, {}), ill=(503, None), chat=(200, None)))
    services = [{"name": name, "url": f"{api.url}/{path}"} for name, path in
                (("Shop", "well"), ("API", "ill"), ("Search", "gone"))]  # fmt: skip
    workflow = bench.workflow("service-health-check", {"services": services}, ALERT_WEBHOOK_URL=f"{api.url}/chat/x")
    results = ended(bench.end(bench.start(workflow)))
    assert results["up"] == ["Shop"]
    assert [(each["name"], each["reason"]) for each in results["down"]] == [
        ("API", "The server answered 503"),
        ("Search", "The server answered 404"),
    ]
    (told,) = api.asked("POST")
    assert told.body == {"text": "2 of 3 services are down: API, Search"}
    assert len(api.asked("GET", "/ill")) == 3


def test_health_check_says_nothing_of_services_that_are_well(bench: Bench) -> None:
    api = bench.service(by_path(well=(204, None)))
    setup = {"services": [{"name": "Shop", "url": f"{api.url}/well"}], "expected_status": 204, "every_seconds": 60}
    results = ended(bench.run("service-health-check", setup, ALERT_WEBHOOK_URL=f"{api.url}/chat/x"))
    assert results == {"up": ["Shop"], "down": []}
    assert [each.method for each in api.seen] == ["GET"]


# --- scheduled-report


@pytest.fixture
def warehouse() -> Any:
    """A database with orders of this week and of long ago."""
    with postgres_over_tcp() as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS orders")
        connection.execute("CREATE TABLE orders (region text, total numeric, ordered_at timestamptz)")
        connection.execute(
            "INSERT INTO orders VALUES ('North', 10.50, now()), ('North', 4.25, now() - interval '2 days'),"
            " ('<South>', 100, now() - interval '3 days'), ('West', 999, now() - interval '30 days')"
        )
        yield url
        connection.execute("DROP TABLE orders")


def test_the_report_mails_the_last_days_as_a_table(bench: Bench, warehouse: str) -> None:
    mailbox = bench.mailbox()
    setup = {"report_to": "boss@example.com", "days": 7, "run_at": "0 7 * * 1-5", "timezone": "Europe/Oslo"}
    results = ended(bench.run("scheduled-report", setup, WAREHOUSE_URL=warehouse))
    (mail,) = mails(mailbox)
    assert (results["rows"], results["total"], results["message_id"]) == (2, 114.75, mail["Message-ID"])
    assert mail["Subject"].startswith("Orders by region, 20")
    assert text_of(mail).splitlines()[2:] == ["<South>: 1, 100.0", "North: 2, 14.75", "", "Total: 114.75"]
    assert "<tr><td>&lt;South></td><td>1</td>" in text_of(mail, "html")


def test_a_report_whose_query_fails_says_so(bench: Bench, warehouse: str) -> None:
    mailbox = bench.mailbox()
    with psycopg.connect(warehouse, autocommit=True) as connection:
        connection.execute("ALTER TABLE orders RENAME COLUMN region TO area")
    execution = bench.run("scheduled-report", {"report_to": "boss@example.com"}, WAREHOUSE_URL=warehouse)
    ended(execution, "failed")
    assert execution["error_message"].startswith("No report: ")
    assert [mail["Subject"] for mail in mails(mailbox)] == ["Orders by region: no report today"]


# --- inbound-webhook-router


def test_the_router_passes_events_to_where_their_type_belongs(bench: Bench) -> None:
    api = bench.service(lambda request: (202, None))
    setup = {"orders_url": f"{api.url}/orders", "customers_url": f"{api.url}/customers"}
    workflow = bench.workflow("inbound-webhook-router", setup, WEBHOOK_SIGNING_SECRET="a-long-random-secret")
    for type_, route in (("order.paid", "orders"), ("customer.created", "customers")):
        results = ended(bench.end(bench.start(workflow, {"body": {"type": type_, "id": 1}})))
        assert results == {"type": type_, "route": route, "status_code": 202}
    assert [(each.path, each.body["type"], each.headers["x-event-type"]) for each in api.seen] == [
        ("/orders", "order.paid", "order.paid"),
        ("/customers", "customer.created", "customer.created"),
    ]
    results = ended(bench.end(bench.start(workflow, {"body": {"type": "orderly"}})))
    assert results == {"type": "orderly", "route": "ignored", "status_code": None}
    execution = bench.end(bench.start(workflow, {"body": {"id": 1}}))
    ended(execution, "failed")
    assert execution["error_message"].startswith("Not an event: ")
    assert len(api.seen) == 2


def test_the_router_passes_the_rest_on_if_somebody_wants_it(bench: Bench) -> None:
    api = bench.service(always(202))
    setup = {name: f"{api.url}/{name}" for name in ("orders_url", "customers_url", "other_url")}
    secrets = {"WEBHOOK_SIGNING_SECRET": "a-long-random-secret"}
    results = ended(bench.run("inbound-webhook-router", setup, {"body": {"type": "ping"}}, **secrets))
    assert results == {"type": "ping", "route": "other", "status_code": 202}
