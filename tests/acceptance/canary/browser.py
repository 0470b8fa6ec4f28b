"""The admin as a person's browser has it: cookies, forms, and every page that a link leads to."""

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import urlencode

from tests.acceptance.canary.stack import Web

_HREF = re.compile(r'href="(/admin/[^"?#]*)"')
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
_MAX_PAGES = 60


class Browser:
    """One person's cookies."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._cookies: dict[str, str] = {}

    def walk(self, name: str, passwords: tuple[str, ...]) -> list[str]:
        """Try the passwords, the last of which is right, and read every page; their addresses."""
        page = self._load("GET", "/admin/login/")
        for password in passwords:
            found = _TOKEN.search(page)
            assert found, "the login page has no form"
            form = {"username": name, "password": password, "next": "/admin/", "csrfmiddlewaretoken": found[1]}
            page = self._load("POST", "/admin/login/?next=/admin/", form)
        assert "sessionid" in self._cookies, "could not log in to the admin"
        waiting, seen = ["/admin/"], list[str]()
        while waiting and len(seen) < _MAX_PAGES:
            path = waiting.pop(0)
            if path not in seen and "logout" not in path and "jsi18n" not in path:
                seen.append(path)
                waiting += _links(self._load("GET", path))
        return seen

    def _load(self, method: str, path: str, form: dict[str, str] | None = None) -> str:
        headers = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items()),
            "Referer": f"http://127.0.0.1:{self._web.port}/admin/",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        status, answered, text = self._web.send(method, path, urlencode(form or {}).encode(), headers)
        assert status < 500, f"{method} {path} answered {status}"
        for cookie in answered.get_all("Set-Cookie", []):
            name, _, rest = cookie.partition("=")
            self._cookies[name] = rest.partition(";")[0]
        return text.decode()


def _links(page: str) -> Iterator[str]:
    """Lists whole; of the objects on a page the first three."""
    links = list(dict.fromkeys(unescape(found) for found in _HREF.findall(page)))
    yield from [link for link in links if link.count("/") <= 4]
    yield from [link for link in links if "/change/" in link or link.endswith("/history/")][:3]
