"""The admin as people see it: the dashboard with a day's data, a list that pages, an action. With pictures."""

import pytest
from django.utils import timezone

from accounts.audit import Action
from accounts.models import AuditEntry, User
from core.ids import new_id
from executions.models import Worker
from tests.browser import Screen, chromium, needs_chromium
from tests.seeds import Seeded, beat, seed
from tests.web import Web
from workflows.models import Trigger

pytestmark = [needs_chromium, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def seeded(transactional_db: None, admin: User, empty_redis: None) -> Seeded:
    """A day's work."""
    return seed()


def look(screen: Screen, path: str, name: str) -> None:
    """Open a page with live workers, and document it."""
    beat()
    screen.open(path)
    screen.document(name, whole=True)


def test_the_dashboard_shows_how_a_day_went_and_refreshes_itself(web: Web, admin: User, seeded: Seeded) -> None:
    with chromium(web.port) as screen:
        page = screen.page
        screen.log_in(admin)
        look(screen, "/admin/", "admin-dashboard")
        assert page.get_by_role("heading", level=1).inner_text() == "Dashboard"
        charts = page.locator("svg.chart")
        assert [charts.nth(place).get_attribute("role") for place in range(charts.count())] == ["img", "img"]
        # What the drawing shows is there to be read, too.
        page.get_by_text("Both charts as a table").click()
        assert page.locator("#hours-table tbody tr").count() == 24
        page.get_by_text("503 Service Unavailable from erp.northwind.example").wait_for()
        gone = page.get_by_role("row", name="celery@worker-3")
        assert "min ago" in gone.inner_text()
        Worker.objects.create(name="celery@fresh", processes=2, heartbeat_at=timezone.now())
        # As after its seconds: the script asks at once when its page is looked at again, and keeps open what is open.
        page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
        page.get_by_role("rowheader", name="celery@fresh").wait_for()
        page.locator("#hours-table tbody tr").first.wait_for()
        page.get_by_role("button", name="Pause").click()
        assert page.locator("#dash-age").inner_text().startswith("Paused at ")
    with chromium(web.port, dark=True) as screen:
        screen.log_in(admin)
        look(screen, "/admin/", "admin-dashboard-dark")


def test_the_dashboard_says_when_it_could_not_be_refreshed(web: Web, admin: User, empty_redis: None) -> None:
    with chromium(web.port) as screen:
        screen.log_in(admin)
        screen.page.route("**/admin/dashboard/", lambda route: route.fulfill(status=503, body=""))
        screen.page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
        screen.page.get_by_text("Not refreshed since").wait_for()
        assert set(screen.problems) == {f"503 http://127.0.0.1:{web.port}/admin/dashboard/"}
        screen.page.unroute("**/admin/dashboard/")
        screen.problems.clear()
        # Whose session has ended is led to the log-in.
        screen.page.context.clear_cookies()
        screen.page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
        screen.page.wait_for_url("**/admin/login/?next=/admin/")


def test_a_list_pages_and_an_action_asks_and_is_done(web: Web, admin: User, seeded: Seeded) -> None:
    made = [
        AuditEntry(pk=new_id(), actor=user.email, action=action, object_type="workflow", object_id=new_id(),
                   credential="session", address="10.4.2.17")
        for user in seeded.people
        for action in [Action.WORKFLOW_UPDATED, Action.EXECUTION_STARTED, Action.LOGIN_SUCCEEDED] * 10
    ]  # fmt: skip
    AuditEntry.objects.bulk_create(made)
    with chromium(web.port) as screen:
        page = screen.page
        screen.log_in(admin)
        screen.open("/admin/accounts/auditentry/")
        first = page.locator("#result_list tbody th a").first.get_attribute("href")
        page.get_by_role("link", name="Older ›").click()
        page.get_by_role("link", name="‹ Newer").wait_for()
        assert page.locator("#result_list tbody th a").first.get_attribute("href") != first
        screen.document("admin-audit")
        screen.open("/admin/workflows/trigger/")
        screen.document("admin-triggers")
        page.get_by_role("row", name="Fraud score refresh").get_by_role("checkbox").check()
        page.get_by_label("Action:").select_option(label="Pause the chosen schedules")
        page.get_by_role("button", name="Go").click()
        page.get_by_role("heading", name="Pause these schedules?").wait_for()
        screen.document("admin-ask")
        page.get_by_role("button", name="Pause").click()
        page.get_by_text("Schedules paused: 1").wait_for()
        assert Trigger.objects.exclude(paused_at=None).get().workflow.name == "Fraud score refresh"
        for path in ("/admin/workflows/workflow/", "/admin/webhooks/delivery/?status__exact=failed"):
            screen.open(path)
            assert page.locator(".status").count() > 0
        screen.document("admin-deliveries")
