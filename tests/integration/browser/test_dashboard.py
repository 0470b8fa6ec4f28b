"""The admin's first page as people see it."""

import pytest

from accounts.models import User
from tests.browser import chromium, needs_chromium
from tests.seeds import seed
from tests.web import Web

pytestmark = [needs_chromium, pytest.mark.django_db(transaction=True)]


def test_the_dashboard_shows_how_a_day_went(web: Web, admin: User, empty_redis: None) -> None:
    seed()
    with chromium(web.port) as screen:
        screen.log_in(admin)
        page = screen.page
        assert page.get_by_role("heading", level=1).inner_text() == "Dashboard"
        assert page.locator("svg.chart").count() == 2
        assert page.locator("svg.chart").first.locator("g").count() == 24
        assert page.get_by_text("503 Service Unavailable from erp.northwind.example").is_visible()
        assert page.get_by_role("rowheader", name="celery@worker-1").is_visible()
        screen.document("admin-dashboard")
    with chromium(web.port, dark=True) as screen:
        screen.log_in(admin)
        screen.document("admin-dashboard-dark")
