"""Rates: GCRA in one Redis round trip, by tier, with the four headers; a per-process bucket without Redis.

Every request is counted once, but for /healthz and static files: by its REST view, or by the middleware here.

GCRA keeps one number for each key, the "theoretical arrival time" (ITU-T I.371; the scheme of redis-cell), so
a limit of N an hour costs no list of timestamps and has no edge between two windows.
"""

import hashlib
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from threading import Lock
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from redis.exceptions import NoScriptError
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

from accounts.models import User
from core import measures
from core.envelope import error_response
from core.errors import APGError, RateLimitedError
from core.proxies import caller_address
from core.redis import RedisError, guarded

logger = logging.getLogger(__name__)

# Time comes from Redis, so that many web processes share one clock.
_GCRA = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local period, limit, count = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local interval = period / limit
local wanted = interval * count
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local room = period - (arrival - now)
if room + 0.000001 < wanted then
    return {0, math.max(math.floor(room / interval + 0.000001), 0), tostring(arrival - now), tostring(wanted - room),
            tostring(now)}
end
arrival = arrival + wanted
redis.call('SET', KEYS[1], string.format('%.6f', arrival), 'PX', math.ceil((arrival - now) * 1000))
return {1, math.floor((period - (arrival - now)) / interval + 0.000001), tostring(arrival - now), '0', tostring(now)}
"""
_GCRA_SHA = hashlib.sha1(_GCRA.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Limit:
    """So many in so many seconds, counted under a name."""

    name: str
    count: int
    period_seconds: int


LOGIN_ADDRESS = Limit("login-address", 60, 600)
# Of one address, so that a stranger does not lock out its owner; and from anywhere, against many addresses.
LOGIN_ACCOUNT = Limit("login-account", 10, 600)
LOGIN_ACCOUNT_ANYWHERE = Limit("login-account-anywhere", 100, 600)


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer of one try; `reset_at` Unix seconds, `retry_after` whole seconds (0 where allowed)."""

    allowed: bool
    remaining: int
    reset_at: int
    retry_after: int


def take(limit: Limit, who: str, count: int = 1) -> Taken:
    """Count `count` requests of `who`, or none if they are too many.

    Redis away: this process alone counts, and says so in its log.
    """
    taken = _taken(limit, who, count)
    if not taken.allowed:
        measures.RATE_REFUSALS.count(limit.name)
    return taken


def _taken(limit: Limit, who: str, count: int) -> Taken:
    try:
        answer = _run_gcra(f"apg:rate:{limit.name}:{who}", limit.period_seconds, limit.count, count)
    except RedisError as error:
        return _fallback.take(limit, who, count, error)
    allowed, remaining, until_reset, retry_after, now = answer
    return Taken(
        allowed=bool(allowed),
        remaining=int(remaining),
        reset_at=math.ceil(float(now) + float(until_reset)),
        retry_after=math.ceil(float(retry_after)),
    )


def take_as_user(user: User, count: int = 1) -> Taken:
    """Count `count` requests of a user, by the tier."""
    return take(_limit_of(user), user.pk, count)


def take_as_stranger(address: str, count: int = 1) -> Taken:
    """Count `count` requests of nobody known, by address."""
    return take(_stranger_limit(), counted_address(address), count)


def _limit_of(user: User) -> Limit:
    return Limit("user", user.limits.requests_per_hour, 3600)


def _stranger_limit() -> Limit:
    return Limit("address", settings.ANONYMOUS_REQUESTS_PER_HOUR, 3600)


def _run_gcra(key: str, *arguments: int) -> Any:
    with guarded() as redis:
        try:
            return redis.evalsha(_GCRA_SHA, 1, key, *arguments)
        except NoScriptError:
            # Redis forgets scripts when it is restarted; this teaches it again.
            return redis.eval(_GCRA, 1, key, *arguments)


class _Fallback:
    """The same scheme in this process's memory, for as long as Redis is away."""

    MAX_KEYS = 10_000

    def __init__(self) -> None:
        self._lock = Lock()
        self._arrivals: dict[str, float] = {}
        self._warned_at = float("-inf")

    def take(self, limit: Limit, who: str, count: int, error: RedisError) -> Taken:
        with self._lock:
            now = time.time()
            if now - self._warned_at > 60:
                self._warned_at = now
                logger.warning("Rates are counted by this process alone: %s", type(error).__name__)
            if len(self._arrivals) > self.MAX_KEYS:
                self._forget(now)
            return self._take(limit, f"{limit.name}:{who}", count, now)

    def _forget(self, now: float) -> None:
        self._arrivals = {key: arrival for key, arrival in self._arrivals.items() if arrival > now}
        if len(self._arrivals) > self.MAX_KEYS:
            self._arrivals.clear()

    def _take(self, limit: Limit, key: str, count: int, now: float) -> Taken:
        interval = limit.period_seconds / limit.count
        arrival = max(self._arrivals.get(key, now), now)
        wanted = interval * count
        room = limit.period_seconds - (arrival - now)
        if room + 1e-6 < wanted:
            remaining = max(int(room / interval + 1e-6), 0)
            return Taken(False, remaining, math.ceil(arrival), max(math.ceil(wanted - room), 1))
        arrival += wanted
        self._arrivals[key] = arrival
        return Taken(True, int((limit.period_seconds - (arrival - now)) / interval + 1e-6), math.ceil(arrival), 0)


_fallback = _Fallback()


class TierThrottle(BaseThrottle):
    """Requests an hour by the caller's tier, or by address for anonymous callers."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Raises RateLimitedError."""
        count_requests(request, 1)
        return True


def count_requests(request: HttpRequest | Request, count: int) -> None:
    """Count so many requests of a view's caller, and leave the headers on the request. Raises RateLimitedError."""
    if count:
        inner = request._request if isinstance(request, Request) else request
        _count(inner, request.user if isinstance(request.user, User) else None, count)


def hook_limit() -> Limit:
    """Of one inbound hook, whoever calls it."""
    return Limit("hook", settings.HOOK_REQUESTS_PER_MINUTE, 60)


def count_against(request: HttpRequest | Request, limit: Limit, who: str) -> None:
    """Count a view's request against a limit of its own, and leave the headers on it. Raises RateLimitedError."""
    _take(request._request if isinstance(request, Request) else request, limit, who, 1)


def _count(request: HttpRequest, user: User | None, count: int = 1) -> None:
    if user is not None:
        _take(request, _limit_of(user), user.pk, count)
    else:
        _take(request, _stranger_limit(), counted_address(client_address(request)), count)


def _take(request: HttpRequest, limit: Limit, who: str, count: int) -> None:
    taken = take(limit, who, count)
    request.rate_limit_headers = {  # type: ignore[attr-defined]
        "X-RateLimit-Limit": str(limit.count),
        "X-RateLimit-Remaining": str(taken.remaining),
        "X-RateLimit-Reset": str(taken.reset_at),
        "X-RateLimit-RetryAfter": str(taken.retry_after),
    }
    if not taken.allowed:
        raise RateLimitedError(taken.retry_after)


class RatesMiddleware:
    """Counts what no REST view counts, and puts the headers on every counted answer.

    Pages and other views are counted before they run; what never comes to a view (an unknown path, a forged host,
    a body over the limit) when it is answered.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not _is_counted(request):
            return response
        if not hasattr(request, "rate_limit_headers"):
            response = _refusal(request) or response
        for name, value in request.rate_limit_headers.items():  # type: ignore[attr-defined]
            # A log-in that is refused for its own limit says when to try that again.
            response.setdefault(name, value)
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Django's hook, called before the view: None goes on to it."""
        view_class = getattr(view, "view_class", None) or getattr(view, "cls", None)
        if getattr(view_class, "counts_requests", False) or not _is_counted(request):
            return None
        return _refusal(request)


def _refusal(request: HttpRequest) -> HttpResponse | None:
    try:
        _count(request, _user(request))
    except RateLimitedError as error:
        return error_response(error)
    return None


def _is_counted(request: HttpRequest) -> bool:
    if getattr(request, "is_uncounted", False):
        return False
    return request.path_info != "/healthz" and not request.path_info.startswith(str(settings.STATIC_URL))


def _user(request: HttpRequest) -> User | None:
    """Whose good credential, or session of the admin, the request carries."""
    try:
        for authentication in api_settings.DEFAULT_AUTHENTICATION_CLASSES:
            found = authentication().authenticate(Request(request))  # type: ignore[operator]  # classes, not names
            if found is not None:
                return found[0] if isinstance(found[0], User) else None
        user = getattr(request, "user", None)
        return user if isinstance(user, User) else None
    except (APIException, APGError, DatabaseError, RedisError):
        return None


def client_address(request: HttpRequest | Request) -> str:
    """The caller's address; "" if there is none."""
    return caller_address(request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", ""))


def counted_address(address: str) -> str:
    """What an address is counted as: one of IPv6 by its /64, in which its owner chooses freely (RFC 4291 §2.5.4)."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    return str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else address
