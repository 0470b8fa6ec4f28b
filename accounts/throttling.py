"""Rates: GCRA in one Redis round trip, by tier, with the four headers; a per-process bucket without Redis.

GCRA keeps one number for each key, the "theoretical arrival time" (ITU-T I.371; the scheme of redis-cell), so
a limit of N an hour costs no list of timestamps and has no edge between two windows.
"""

import hashlib
import logging
import math
import time
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from redis.exceptions import NoScriptError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.models import User
from core.errors import RateLimitedError
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
LOGIN_ACCOUNT = Limit("login-account", 10, 600)


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
        self._arrivals: dict[str, float] = {}
        self._warned_at = float("-inf")

    def take(self, limit: Limit, who: str, count: int, error: RedisError) -> Taken:
        now = time.time()
        if now - self._warned_at > 60:
            self._warned_at = now
            logger.warning("Rates are counted by this process alone: %s", type(error).__name__)
        if len(self._arrivals) > self.MAX_KEYS:
            self._arrivals.clear()
        interval = limit.period_seconds / limit.count
        key = f"{limit.name}:{who}"
        arrival = max(self._arrivals.get(key, now), now)
        wanted = interval * count
        room = limit.period_seconds - (arrival - now)
        if room < wanted:
            return Taken(False, max(int(room / interval), 0), math.ceil(arrival), max(math.ceil(wanted - room), 1))
        self._arrivals[key] = arrival + wanted
        remaining = int((limit.period_seconds - (arrival + wanted - now)) / interval)
        return Taken(True, remaining, math.ceil(arrival + wanted), 0)


_fallback = _Fallback()


class TierThrottle(BaseThrottle):
    """Requests an hour by the caller's tier, or by address for anonymous callers."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Leaves the headers on the request for the view. Raises RateLimitedError."""
        count_requests(request, 1)
        return True


def count_requests(request: HttpRequest | Request, count: int) -> None:
    """Count so many requests of the caller, and leave the headers on the request. Raises RateLimitedError."""
    user = request.user
    if isinstance(user, User):
        limit, who = Limit("user", user.limits.requests_per_hour, 3600), user.pk
    else:
        limit, who = Limit("address", settings.ANONYMOUS_REQUESTS_PER_HOUR, 3600), client_address(request)
    taken = take(limit, who, count)
    request.rate_limit_headers = {  # type: ignore[union-attr]
        "X-RateLimit-Limit": str(limit.count),
        "X-RateLimit-Remaining": str(taken.remaining),
        "X-RateLimit-Reset": str(taken.reset_at),
        "X-RateLimit-RetryAfter": str(taken.retry_after),
    }
    if not taken.allowed:
        raise RateLimitedError(taken.retry_after)


def client_address(request: HttpRequest | Request) -> str:
    """The caller's address: the last one that no trusted proxy added. Without trusted proxies, the peer's."""
    address: str = request.META.get("REMOTE_ADDR", "")
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    while hops and _is_trusted(address):
        address = hops.pop()
    try:
        return str(ip_address(address))
    except ValueError:
        return ""


def _is_trusted(address: str) -> bool:
    try:
        return any(ip_address(address) in ip_network(network) for network in settings.TRUSTED_PROXIES)
    except ValueError:
        return False
