"""A person's browser: cookies, forms, the log-in pages, and every page of the admin that a link leads to."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from html import unescape
from urllib.parse import urlencode

from tests.acceptance.canary.calls import Calls
from tests.acceptance.canary.kinds import Kind

_HREF = re.compile(r'href="(/admin/[^"?#]*)"')
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
_MAX_PAGES = 200
_SESSION = "sessionid"


@dataclass(frozen=True)
class Page:
    """An answer."""

    status: int
    headers: Message
    text: str


class Browser:
    """One person's cookies."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._cookies: dict[str, str] = {}

    def log_in(self, path: str, name: str, passwords: tuple[str, ...]) -> None:
        """Try the passwords, the last of which is right: it makes a session, whose key that one answer may tell."""
        page = self.load("GET", path)
        for password in passwords:
            tells = frozenset({Kind.SESSION_KEY}) if password == passwords[-1] else frozenset[str]()
            page = self.submit(page, path, {"username": name, "password": password}, tells)
        assert page.status == 302, f"could not log in at {path}"
        assert _SESSION in self._cookies

    def submit(self, page: Page, path: str, form: dict[str, str], tells: frozenset[str] = frozenset()) -> Page:
        """Send the form of a page; the answer, which may tell what `tells` says."""
        token = _TOKEN.findall(page.text)[-1]
        return self.load("POST", path, {**form, "csrfmiddlewaretoken": token}, tells)

    def walk(self) -> list[str]:
        """Read every page of the admin; their addresses."""
        waiting, seen = ["/admin/"], list[str]()
        while waiting and len(seen) < _MAX_PAGES:
            path = waiting.pop(0)
            if path not in seen and "logout" not in path and "jsi18n" not in path:
                seen.append(path)
                waiting += _links(self.load("GET", path).text)
        return seen

    def load(
        self, method: str, path: str, form: dict[str, str] | None = None, tells: frozenset[str] = frozenset()
    ) -> Page:
        """The answer, with its cookies kept."""
        web = self._calls.stack.web
        headers = {
            "Accept": "text/html",
            "Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items()),
            "Referer": f"http://127.0.0.1:{web.port}/admin/",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        status, answered, text = web.send(method, path, urlencode(form or {}).encode(), headers, tells=tells)
        self._calls.statuses.append((status, f"{method} {path.partition('?')[0]}"))
        for cookie in answered.get_all("Set-Cookie", []):
            name, _, rest = cookie.partition("=")
            self._cookies[name] = rest.partition(";")[0].strip('"')
            if name == _SESSION and self._cookies[name]:
                self._calls.searcher.add(Kind.SESSION_KEY, self._cookies[name])
        return Page(status, answered, text.decode())


def _links(page: str) -> Iterator[str]:
    """Lists whole; of the objects on a page the first three."""
    links = list(dict.fromkeys(unescape(found) for found in _HREF.findall(page)))
    yield from [link for link in links if link.count("/") <= 4]
    yield from [link for link in links if "/change/" in link or link.endswith("/history/")][:3]
