"""Templates of the gallery that start by themselves: activated, and then left to their triggers."""

import hashlib
import hmac
import json

import pytest

from core.types import JSONObject
from executions import triggers
from executions.models import Execution
from tests.api import Api
from tests.integration.templates_app.gallery import Bench, always, ended
from tests.integration.triggers.conftest import move_back
from workflows.models import Trigger

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_router_is_called_by_its_address(bench: Bench) -> None:
    api = bench.service(always(202))
    setup = {"orders_url": f"{api.url}/orders", "customers_url": f"{api.url}/customers"}
    workflow = bench.workflow("inbound-webhook-router", setup, WEBHOOK_SIGNING_SECRET="a-long-random-secret")
    (trigger,) = bench.api.get(f"/workflows/{workflow}").data["triggers"]
    path = trigger["url"].removeprefix("http://testserver")
    raw = json.dumps({"type": "order.paid", "id": 1}).encode()
    assert Api().call("POST", path, raw=raw).status == 401
    signature = "sha256=" + hmac.new(b"a-long-random-secret", raw, hashlib.sha256).hexdigest()
    answer = Api().call("POST", path, raw=raw, **{"X-Webhook-Signature": signature})
    assert answer.status == 202
    bench.bells.work()
    results = ended(bench.end(answer.data["execution_id"]))
    assert results == {"type": "order.paid", "route": "orders", "status_code": 202}


def test_the_health_check_runs_by_its_schedule(bench: Bench) -> None:
    api = bench.service(always(204))
    setup = {"services": [{"name": "Shop", "url": f"{api.url}/well"}], "expected_status": 204, "every_seconds": 60}
    workflow = bench.workflow("service-health-check", setup, ALERT_WEBHOOK_URL=f"{api.url}/chat/x")
    move_back(Trigger.objects.get(workflow=workflow), 61)
    assert triggers.fire_due() == 1
    bench.bells.work()
    execution = Execution.objects.get(workflow=workflow)
    assert ended(bench.end(execution.pk)) == {"up": ["Shop"], "down": []}


@pytest.mark.parametrize("key", ["scheduled-report", "data-quality-report"])
def test_reports_have_a_next_time_in_their_zone(bench: Bench, key: str) -> None:
    secrets = {"scheduled-report": {"WAREHOUSE_URL": "postgresql://x"}, "data-quality-report": {"DATASET_TOKEN": "t"}}
    setup: JSONObject = {"report_to": "boss@example.com", "run_at": "0 7 * * 1-5", "timezone": "Europe/Oslo"}
    if key == "data-quality-report":
        setup |= {"dataset_url": "https://example.com/d", "rules": [{"field": "id", "required": True}]}
    workflow = bench.workflow(key, setup, **secrets[key])
    (schedule,) = bench.api.get(f"/schedules?workflow_id={workflow}").data
    assert (schedule["cron"], schedule["timezone"]) == ("0 7 * * 1-5", "Europe/Oslo")
    slots = bench.api.get(f"/schedules/{schedule['id']}/preview?count=3").data["slots"]
    assert all("T07:00:00+0" in slot["local"] for slot in slots)
