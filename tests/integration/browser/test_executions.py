"""The admin's pages of executions as people see them; what the browser complains of fails the test."""

import pytest

from accounts.models import User
from executions import maintenance_mode
from executions.models import ComponentRun, Execution
from executions.services import StartRequest, start_execution
from tests.browser import Screen, chromium, needs_chromium
from tests.integration.executions.conftest import Doorbells, doorbells, only_legal_moves
from tests.seeds import seed
from tests.web import Web
from workflows.services import create_workflow

__all__ = ["doorbells", "only_legal_moves"]
pytestmark = [needs_chromium, pytest.mark.django_db(transaction=True)]


def _step(id_: str, output: object, type_: str = "transform", **more: object) -> dict[str, object]:
    config = {"message": output} if type_ == "log" else {"output": output}
    return {"id": id_, "type": type_, "config": config, **more}


_ORDERS = {
    "components": [
        _step("fetch_orders", [{"id": 17, "total": 120}, {"id": 18, "total": 9}, {"id": 19, "total": 65}]),
        {"id": "each_order", "type": "for_each", "config": {
            "items": "{{ input }}",
            "max_concurrency": 2,
            "components": [
                _step("price", "{{ item.total * 1.2 }}"),
                _step("note", "Order {{ item.id }} is large", "log"),
            ],
            "connections": [
                {"source": "price", "target": "note", "type": "conditional", "condition": "{{ item.total > 50 }}"},
            ],
        }},
        {"id": "check_stock", "type": "fail", "config": {"message": "No answer from the warehouse"}},
        _step("tell_support", "The warehouse did not answer", "log"),
        {"id": "finance_approves", "type": "approval", "config": {}},
        _step("book", "booked"),
    ],
    "connections": [
        {"source": "fetch_orders", "target": "each_order"},
        {"source": "fetch_orders", "target": "check_stock"},
        {"source": "check_stock", "target": "tell_support", "type": "error"},
        {"source": "check_stock", "target": "book"},
        {"source": "each_order", "target": "finance_approves"},
        {"source": "finance_approves", "target": "book"},
    ],
}  # fmt: skip


@pytest.fixture
def orders(alice: User, alice_api: object, doorbells: Doorbells) -> Execution:
    """Waits for an approval, after a loop, and beside a component that failed."""
    workflow = create_workflow(user=alice, name="Orders of the day", definition=_ORDERS)
    request = StartRequest(tags=["production"], parameters={})
    execution = start_execution(workflow=workflow, user=alice, request=request).execution
    doorbells.work("celery@worker-1")
    assert ComponentRun.objects.get(component_id="finance_approves").status == "waiting"
    return execution


def test_the_page_of_an_execution(web: Web, admin: User, orders: Execution) -> None:
    with chromium(web.port, width=1680, height=1240) as screen:
        screen.log_in(admin)
        page = screen.page
        screen.open(f"/admin/executions/execution/{orders.pk}/change/")
        graph = page.locator("svg.graph")
        assert graph.locator("text.id").count() == 8
        graph.locator("text.state", has_text="waiting · for a signal").wait_for()
        assert graph.locator(".is-failed text.id").text_content() == "check_stock"
        # The body stands inside its loop.
        loop = graph.locator(".loop").bounding_box()
        inner = graph.locator("text.id", has_text="price").bounding_box()
        assert loop is not None
        assert inner is not None
        assert loop["x"] < inner["x"] < loop["x"] + loop["width"]
        assert loop["y"] < inner["y"] < loop["y"] + loop["height"]
        # The stylesheet has its say: a failed box is not as a completed one.
        fills = [
            graph.locator(f".is-{state} .box").first.evaluate("box => getComputedStyle(box).fill")
            for state in ("completed", "failed", "waiting")
        ]
        assert len(set(fills)) == 3
        assert page.locator("svg.timeline .row").count() == 5
        page.get_by_text("It waits for the signal finance_approves").first.wait_for()
        screen.document("admin-execution")
        graph.locator(".is-failed a").click()
        page.wait_for_url("**component=check_stock")
        page.get_by_text("No answer from the warehouse").first.wait_for()
        for tab, text in {
            "Components": "each_order", "Logs": "Order 17 is large", "Events": "execution.started",
        }.items():  # fmt: skip
            page.locator(".tabs").get_by_role("link", name=tab).click()
            page.get_by_text(text).first.wait_for()
    with chromium(web.port, dark=True, width=1680, height=1240) as screen:
        screen.log_in(admin)
        screen.open(f"/admin/executions/execution/{orders.pk}/change/")
        screen.document("admin-execution-dark")


def test_an_execution_is_cancelled_by_hand(web: Web, admin: User, orders: Execution) -> None:
    with chromium(web.port) as screen:
        screen.log_in(admin)
        page = screen.page
        screen.open(f"/admin/executions/execution/{orders.pk}/change/")
        page.get_by_role("link", name="Cancel…").click()
        page.get_by_role("link", name="No, take me back").click()
        page.get_by_role("link", name="Cancel…").click()
        page.get_by_role("button", name="Cancel the execution").click()
        page.get_by_text("The execution is being cancelled").wait_for()
        assert page.locator(".run-head .status").inner_text() == "cancelled"
    orders.refresh_from_db()
    assert orders.status == "cancelled"


def _choose(screen: Screen, name: str) -> None:
    screen.page.locator("#changelist-filter").get_by_role("link", name=name, exact=True).click()


def test_the_list_is_filtered_and_all_that_match_are_cancelled(web: Web, admin: User, empty_redis: None) -> None:
    seed()
    queued = Execution.objects.filter(status="queued").count()
    with chromium(web.port, width=1600) as screen:
        screen.log_in(admin)
        page = screen.page
        screen.open("/admin/executions/execution/")
        screen.document("admin-executions")
        _choose(screen, "Queued")
        page.wait_for_url("**status=queued")
        assert page.locator("#result_list .status-queued").count() == min(queued, 50)
        page.get_by_role("link", name="Cancel all that match…").click()
        page.get_by_text(f"{queued} executions will be cancelled").wait_for()
        screen.document("admin-cancel-matching")
        page.get_by_role("button", name="Cancel all that match").click()
        page.wait_for_url("**/bulkcancel/*/change/")
    assert Execution.objects.filter(status="cancelled").count() > 0


def test_maintenance_mode_is_switched_by_hand(web: Web, admin: User, orders: Execution) -> None:
    with chromium(web.port) as screen:
        screen.log_in(admin)
        page = screen.page
        screen.open("/admin/executions/maintenancemode/")
        page.get_by_label("Message").fill("New disks")
        page.get_by_label("Expected to take").fill("30")
        page.get_by_role("button", name="Hold new executions").click()
        page.get_by_text("On: new executions are held").wait_for()
        assert maintenance_mode.current().held
        page.get_by_text("Drained:").wait_for()
        screen.document("admin-maintenance")
        page.get_by_role("button", name="Switch it off").click()
        page.get_by_text("Maintenance mode is off: what waits starts now").wait_for()
    assert not maintenance_mode.current().held
