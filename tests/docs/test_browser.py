"""The built site in a real browser, and the pages that the documentation prints for one."""

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright
from playwright.sync_api import TimeoutError as NotInTime

from tests.api import Api
from tests.docs.blocks import BLOCKS, ROOT
from tests.docs.conftest import Machine
from tests.docs.test_pages import LONE, of_test
from tests.eventually import eventually

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync",
             # A page that a test hands over comes from nowhere, and may not call this machine otherwise.
             "--disable-features=LocalNetworkAccessChecks"]  # fmt: skip
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not on this machine: make test-packages"),
    # Of the browser's own pipe, which it closes when it likes.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@dataclass
class Window:
    """A page of a browser, and what it complained of or asked others for."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """The page at the path, once it has loaded."""
        self.page.goto(self.base + path)
        return self.page


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Not among the tests' output."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser of its own."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For all tests of the site, which need no database: Playwright's loop in this thread would keep Django from it."""
    with chromium() as started:
        yield started


def in_a_thread(steps: Callable[[Page], str]) -> str:
    """What the steps find on a page of a browser that runs in a thread of its own, for tests with a database."""

    def run() -> str:
        with chromium() as started:
            return steps(started.new_page())

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result(180)


def window(browser: Browser, base: str, **options: Any) -> Window:
    """A new window; whatever goes elsewhere is stopped and noted."""
    context = browser.new_context(**options)
    found = Window(context.new_page(), base)

    def guard(route: Route) -> None:
        if route.request.url.startswith((base, "data:", "blob:")):
            route.continue_()
        else:
            found.complaints.append(f"asked for {route.request.url}")
            route.abort()

    context.route("**/*", guard)
    found.page.on("console", lambda message: found.complaints.append(f"{message.type}: {message.text}"))
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    return found


def site_path(page: str) -> str:
    """Where a page of the repository is on the site."""
    path = page.removeprefix("docs/")
    return {"README.md": "readme.html"}.get(path, re.sub(r"(?:README|index)\.md$", "index.md", path)[:-3] + ".html")


_LOADS = re.compile(r'<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)="((?:https?:)?//[^"]*)"')
# The theme puts each diagram into a closed shadow tree: its box has a size once it is drawn.
_DRAWN = (
    "count => [...document.querySelectorAll('div.mermaid')].filter(each => each.offsetHeight > 60).length === count"
)


def test_every_diagram_is_drawn_and_no_page_asks_others(browser: Browser, address: str) -> None:
    seen = window(browser, address)
    pages = sorted({block.page for block in BLOCKS if block.language == "mermaid"})
    assert "docs/architecture.md" in pages
    for name in pages:
        page = seen.open(site_path(name))
        count = sum(block.page == name and block.language == "mermaid" for block in BLOCKS)
        page.wait_for_function(_DRAWN, arg=count, timeout=60_000)
    assert seen.complaints == []


@pytest.mark.parametrize("where", ["served", "file"])
def test_search_finds_a_page(browser: Browser, address: str, site: Path, where: str) -> None:
    seen = window(browser, address if where == "served" else site.as_uri() + "/")

    def search() -> Page | None:
        # What is typed before the page listens is not searched for: then once more from the start.
        page = seen.open("index.html")
        page.fill("input[name=query]", "dead-path elimination lease")
        with suppress(NotInTime):
            page.wait_for_selector(".md-search-result__item", timeout=30_000)
            return page
        return None

    page = eventually(search, timeout=150)
    assert page is not None
    assert page.locator(".md-search-result__link").count() > 0
    assert [each for each in seen.complaints if "asked for" in each or "rror" in each] == []


def test_it_is_dark_where_the_reader_wants_it_and_by_a_click(browser: Browser, address: str) -> None:
    def scheme(page: Page) -> Any:
        return page.evaluate("document.body.dataset.mdColorScheme")

    dark = window(browser, address, color_scheme="dark")
    assert scheme(dark.open("index.html")) == "slate"
    light = window(browser, address, color_scheme="light")
    page = light.open("index.html")
    assert scheme(page) == "default"
    page.click("label[for=__palette_1]:visible")
    assert scheme(page) == "slate"
    assert (dark.complaints, light.complaints) == ([], [])


def test_every_page_of_the_navigation_opens_without_a_complaint(browser: Browser, address: str, site: Path) -> None:
    seen = window(browser, address)
    for path in ("index.html", "quickstart.html", "api-reference.html", "components/http_request.html",
                 "operations/index.html", "decisions/index.html", "CHANGELOG.html"):  # fmt: skip
        assert seen.open(path).locator("h1").count() == 1, path
    for file in site.rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)="((?:https?:)?//[^"]*)"', file.read_text()
        )
        assert loaded == [], file
    assert seen.complaints == []


# --- Pages that are printed


@pytest.mark.django_db(transaction=True)
def test_the_page_of_websocket_md_watches_an_execution(machine: Machine) -> None:
    (block,) = of_test("test_the_page_of_websocket_md_watches_an_execution")
    api = Api(machine.token)
    workflow = api.post("/workflows", {"name": "Watched", "definition": LONE}).data["id"]
    execution = api.post(f"/workflows/{workflow}/execute", {}).data["execution_id"]
    html = block.text.replace("127.0.0.1:8000", machine.url.removeprefix("http://"))
    token = machine.token

    def watch(page: Page) -> str:
        page.route("**/watch", lambda route: route.fulfill(body=html, content_type="text/html"))
        page.goto(f"{machine.url}/watch")
        page.fill("[name=token]", token)
        page.fill("[name=execution]", execution)
        page.click("button")
        page.wait_for_function("/^.* execution_update .*completed/m.test(told.textContent)", timeout=60_000)
        return page.inner_text("#told")

    assert "component_started" in in_a_thread(watch)


@pytest.mark.django_db(transaction=True)
def test_the_javascript_client_is_found_by_the_import_map(machine: Machine) -> None:
    (block,) = of_test("test_the_javascript_client_is_found_by_the_import_map")
    key = json.dumps({"baseUrl": f"{machine.url}/api/v1", "apiKey": machine.api_key})
    html = f"""<!doctype html>{block.text}<script type="module">
      import {{ WorkflowClient }} from '@apg/workflow-client';
      const page = await new WorkflowClient({key}).workflows.list({{ limit: 1 }});
      document.title = `${{page.total_count}} workflows`;
    </script>"""
    package = ROOT / "sdk" / "javascript"

    def module(route: Route) -> None:
        path = route.request.url.partition("/node_modules/@apg/workflow-client/")[2]
        route.fulfill(body=(package / path).read_text(), content_type="text/javascript")

    def load(page: Page) -> str:
        page.route("**/app", lambda route: route.fulfill(body=html, content_type="text/html"))
        page.route("**/node_modules/**", module)
        page.goto(f"{machine.url}/app")
        page.wait_for_function("document.title.endsWith('workflows')", timeout=60_000)
        return page.title()

    assert in_a_thread(load) == "0 workflows"
