"""The browser that tests see with: what it complains of is heard."""

import pytest

from accounts.models import User
from tests.browser import chromium, needs_chromium
from tests.web import Web

pytestmark = [needs_chromium, pytest.mark.django_db(transaction=True)]


def test_the_pages_of_the_admin_please_the_browser(web: Web, admin: User, empty_redis: None) -> None:
    with chromium(web.port) as screen:
        screen.log_in(admin)
        for path in ("/admin/", "/admin/accounts/user/", "/admin/accounts/auditentry/", "/admin/accounts/user/add/"):
            screen.open(path)


def test_what_the_browser_refuses_fails_a_test(web: Web, empty_redis: None) -> None:
    with pytest.raises(AssertionError, match="Content Security Policy"), chromium(web.port) as screen:
        screen.open("/admin/login/")
        # Inline code, as a page must not have it.
        screen.page.evaluate(
            "() => document.head.append(Object.assign(document.createElement('script'), {textContent: '1'}))"
        )
    with pytest.raises(AssertionError, match=r"404 .*/static/nothing.js"), chromium(web.port) as screen:
        screen.open("/admin/login/")
        screen.page.evaluate("() => fetch('/static/nothing.js')")
