"""A real browser: Chromium on a live server. What it complains of, of scripts, styles or missing files, fails the test.

with web_server() as web, chromium(web.port) as screen:
    screen.log_in(admin)
    screen.open("/admin/")
    assert screen.page.get_by_role("heading", name="Dashboard").is_visible()
    screen.shoot(Path("docs/images/admin-dashboard.png"))
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.db import connections
from playwright.sync_api import ConsoleMessage, Page, Response, sync_playwright

from accounts.hashers import Argon2Hasher
from accounts.models import User
from tests.conftest import PASSWORD

CHROMIUM = shutil.which("chromium")
WIDTH, HEIGHT = 1280, 800
IMAGES = Path(__file__).parents[1] / "docs" / "images"
# For modules of tests: `pytestmark = [needs_chromium, …]`.
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
_ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--font-render-hinting=none"),
)


@dataclass
class Screen:
    """One window on the server; `problems` are the browser's complaints so far."""

    page: Page
    problems: list[str] = field(default_factory=list)

    def open(self, path: str, status: int = 200) -> None:
        """Go to an address of the server, which must answer so."""
        answer = self.page.goto(path)
        assert answer is not None and answer.status == status, (path, answer and answer.status)

    def log_in(self, user: User) -> None:
        """Through the form of the admin; the user's password becomes PASSWORD as the server's process hashes it."""
        hasher = Argon2Hasher()
        User.objects.filter(pk=user.pk).update(password=hasher.encode(PASSWORD, hasher.salt()))
        self.open("/admin/login/?next=/admin/")
        self.page.get_by_label("E-mail or username").fill(user.email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url("**/admin/")

    def document(self, name: str, *, whole: bool = False) -> None:
        """A picture for the documentation, `docs/images/NAME.png`; written by `make screenshots` alone."""
        if os.environ.get("APG_SCREENSHOTS"):
            self.shoot(IMAGES / f"{name}.png", whole=whole)

    def shoot(self, path: Path, *, whole: bool = True) -> None:
        """Write what is seen as a PNG; the `whole` page, or what fits into the window."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path, full_page=whole, animations="disabled")

    def settle(self) -> None:
        """Raises AssertionError for anything that the browser has complained of."""
        assert not self.problems, "\n".join(self.problems)


@contextmanager
def chromium(port: int, *, dark: bool = False, width: int = WIDTH, height: int = HEIGHT) -> Iterator[Screen]:
    """A window of a fresh browser on `http://127.0.0.1:PORT`; its end fails if there was a complaint."""
    assert CHROMIUM is not None, "needs_chromium says so"
    # Playwright runs a loop in this thread, in which Django would refuse to ask the database.
    unsafe = os.environ.get(_UNSAFE)
    os.environ[_UNSAFE] = "true"
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
            context = browser.new_context(
                base_url=f"http://127.0.0.1:{port}",
                color_scheme="dark" if dark else "light",
                viewport={"width": width, "height": height},
                locale="en-GB",
                timezone_id="UTC",
            )
            context.set_default_timeout(15_000)
            screen = Screen(context.new_page())
            _listen(screen)
            try:
                yield screen
                screen.settle()
            finally:
                browser.close()
                # In that loop Django has had a connection of its own.
                connections.close_all()
    finally:
        if unsafe is None:
            del os.environ[_UNSAFE]
        else:
            os.environ[_UNSAFE] = unsafe


_UNSAFE = "DJANGO_ALLOW_ASYNC_UNSAFE"


def _listen(screen: Screen) -> None:
    def said(message: ConsoleMessage) -> None:
        # A page that the test asked for may be refused; the browser says so too.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            screen.problems.append(f"console: {message.text}")

    def answered(response: Response) -> None:
        if response.status >= 400 and response.request.resource_type != "document":
            screen.problems.append(f"{response.status} {response.url}")

    screen.page.on("console", said)
    screen.page.on("pageerror", lambda error: screen.problems.append(f"script: {error}"))
    screen.page.on("response", answered)
    screen.page.on("requestfailed", lambda request: _failed(screen, request.url, request.failure))


def _failed(screen: Screen, url: str, why: str | None) -> None:
    # What was under way when the page was left is no fault.
    if why != "net::ERR_ABORTED":
        screen.problems.append(f"{why} {url}")
