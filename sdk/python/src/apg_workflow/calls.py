"""Requests and answers without any I/O: how a call is written, read, judged, and when it is tried again."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from pydantic import TypeAdapter
from pydantic import ValidationError as UnreadableError

from apg_workflow.errors import APIError, Problem, ServerError, error_class
from apg_workflow.models import Model, Page

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
M = TypeVar("M", bound=Model)


def operation(name: str) -> Callable[[F], F]:
    """Marks the method that calls this operation of the OpenAPI document."""

    def mark(method: F) -> F:
        method.__operation__ = name  # type: ignore[attr-defined]  # any function takes attributes
        return method

    return mark


class Repeat(Enum):
    """Whether a call may be sent again although the last one may have been carried out."""

    SAFE = "safe"
    UNSAFE = "unsafe"


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and how its answer is read. Shows nothing of what is sent: it may be secret."""

    method: str
    path: str = field(repr=False)
    read: Callable[[dict[str, Any]], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = field(default=None, repr=False)
    text: str | None = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    repeat: Repeat = Repeat.UNSAFE
    anonymous: bool = False
    # Seconds that the server may take beyond what any request may.
    patience: float = 0.0


@dataclass(frozen=True)
class Retries:
    """How patient a client is.

    A request is sent at most `attempts` times. The wait before the second is `first_wait` seconds, each further one is
    twice as long up to `longest_wait`, and chance shortens each by up to a half. A `Retry-After` of up to
    `longest_retry_after` seconds is waited for; a longer one is an error at once. A stream whose connection was lost
    tries for `reconnect_for` seconds to get it back.
    """

    attempts: int = 5
    first_wait: float = 0.5
    longest_wait: float = 20.0
    longest_retry_after: float = 60.0
    reconnect_for: float = 300.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError("attempts must be at least 1")

    def wait(self, failures: int) -> float:
        """Seconds to wait after so many failures (from 1)."""
        full = min(self.longest_wait, self.first_wait * 2.0 ** min(failures - 1, 30))
        return full * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load; nothing secret

    def wait_after_refusal(self, error: APIError, repeat: Repeat, attempt: int) -> float | None:
        """Seconds until the next attempt after an answer; None if there is to be none.

        429 is said before anything is done, so everything is sent again. After a 503 it is not known.
        """
        again = error.status == 429 or (error.status == 503 and repeat is Repeat.SAFE)
        return self._next(error.retry_after, attempt) if again else None

    def wait_after_failure(self, *, sent: bool, repeat: Repeat, attempt: int) -> float | None:
        """Seconds until the next attempt after no answer; None if there is to be none."""
        return self._next(None, attempt) if not sent or repeat is Repeat.SAFE else None

    def _next(self, retry_after: float | None, attempt: int) -> float | None:
        if attempt >= self.attempts or (retry_after is not None and retry_after > self.longest_retry_after):
            return None
        # On top of what the server asks for, so that not all who were told the same come at once.
        return (retry_after or 0.0) + self.wait(attempt)


# --- writing


def path(*segments: object) -> str:
    """A path of segments, each of them one whatever is in it."""
    return "/" + "/".join(quote(str(segment), safe="") for segment in segments)


def written(value: Any) -> Any:
    """A value of a parameter as the API reads it; times without a zone are refused."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("Times need a zone: datetime.now(timezone.utc)")
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def given(**fields: Any) -> dict[str, Any]:
    """Those that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def query(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Query parameters; lists are written with commas."""
    return {
        name: ",".join(map(str, value)) if isinstance(value, list | tuple) else written(value)
        for name, value in fields.items()
        if value is not None
    }


def one(model: type[M]) -> Callable[[dict[str, Any]], M]:
    """Reads an object."""
    return lambda envelope: model.model_validate(envelope["data"])


def page_of(model: type[M]) -> Callable[[dict[str, Any]], Page[M]]:
    """Reads a page of a list."""
    adapter: TypeAdapter[Page[M]] = TypeAdapter(Page[model])  # type: ignore[valid-type]  # a model made here

    def read(envelope: dict[str, Any]) -> Page[M]:
        paging = {name: envelope["metadata"][name] for name in ("total_count", "limit", "offset", "has_more")}
        return adapter.validate_python({**paging, "items": envelope["data"]})

    return read


def nothing(envelope: dict[str, Any]) -> None:
    """Reads an answer that tells only that it is done."""


def get(address: str, read: Callable[[dict[str, Any]], T], /, **params: Any) -> Call[T]:
    """A call that changes nothing."""
    return Call("GET", address, read, params=query(params), repeat=Repeat.SAFE)


def post(address: str, read: Callable[[dict[str, Any]], T], body: Any = None, **more: Any) -> Call[T]:
    """A call that does something."""
    return Call("POST", address, read, body={} if body is None else body, **more)


# --- addresses


def api_root(base_url: str) -> str:
    """The address that ends in `/api/v1`, of any of the addresses under which it is known.

    Raises ValueError for what is no http address, and for one with a user, a query or a fragment in it.
    """
    parts = urlsplit(base_url)
    if (
        parts.scheme not in {"http", "https"}
        or not parts.netloc
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
    ):
        raise ValueError("base_url must be an http or https address such as https://your-domain.com/api/v1")
    root = parts.path.rstrip("/").removesuffix("/workflow_orchestration")
    if not root.endswith("/api/v1"):
        root += "/api/v1"
    return f"{parts.scheme}://{parts.netloc}{root}"


def socket_address(root: str) -> str:
    """That of the WebSocket API."""
    return f"ws{root.removeprefix('http')}/ws"


def version_2(root: str) -> str:
    """Where bulk and batch are."""
    return root.removesuffix("1") + "2"


# --- reading


def read_answer(call: Call[T], response: httpx.Response) -> T:
    """What a call gives. Raises APIError for a refusal, and ServerError for what is not the API's answer."""
    if response.status_code >= 400:
        raise refusal(response)
    try:
        return call.read(response.json())
    except UnreadableError as error:
        # Without the values, of which one may be a secret; so is the chained error.
        told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    except (ValueError, KeyError, TypeError):
        told = "it is no envelope"
    raise ServerError(
        f"The answer is not what the API promises: {told}",
        status=response.status_code,
        request_id=response.headers.get("X-Request-ID"),
    )


def refusal(response: httpx.Response) -> APIError:
    """The error of an answer: the API's envelope, OAuth's, or a stranger's in between."""
    status = response.status_code
    try:
        found = response.json()
    except ValueError:
        found = None
    envelope: dict[str, Any] = found if isinstance(found, dict) else {}
    entries = [entry for entry in envelope.get("errors") or [] if isinstance(entry, dict)]
    code = str(entries[0].get("code", "")) if entries else ""
    told = envelope.get("message") or envelope.get("error_description") or envelope.get("error")
    return error_class(code, status)(
        str(told or f"The server answered {status} {response.reason_phrase}".rstrip()),
        code=code,
        status=status,
        request_id=(envelope.get("metadata") or {}).get("request_id") or response.headers.get("X-Request-ID"),
        problems=[problem_of(entry) for entry in entries],
        retry_after=_retry_after(response.headers),
    )


def problem_of(entry: Mapping[str, Any]) -> Problem:
    """An entry of `errors`."""
    return Problem(
        str(entry.get("code", "")), str(entry.get("message", "")), entry.get("field"), entry.get("details") or {}
    )


def _retry_after(headers: httpx.Headers) -> float | None:
    """Seconds; the header has these, or a date (RFC 9110, 10.2.3), of proxies most likely."""
    value = headers.get("Retry-After", headers.get("X-RateLimit-RetryAfter", ""))
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    now = datetime.now(timezone.utc)
    return max(0.0, (at.replace(tzinfo=at.tzinfo or timezone.utc) - now).total_seconds())
