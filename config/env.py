"""Typed readers of environment variables; a bad value stops the start with one clear sentence."""

import ipaddress
import os
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str | None = None) -> str:
    """A string. Without a default the variable is required. Raises ImproperlyConfigured."""
    value = os.environ.get(name, default)
    if value is None or (value == "" and default is None):
        raise ImproperlyConfigured(f"{name} is not set; see .env.example")
    return value


def boolean(name: str, default: bool) -> bool:
    """`true`/`false`/`1`/`0`/`yes`/`no`/`on`/`off`. Raises ImproperlyConfigured for anything else."""
    value = os.environ.get(name, "").strip().lower()
    if value == "":
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, got {value[:40]!r}")


def integer(name: str, default: int, *, low: int, high: int) -> int:
    """A whole number in [low, high]. Raises ImproperlyConfigured."""
    value = os.environ.get(name, "").strip()
    if value == "":
        return default
    if not value.isascii() or not value.isdecimal() or not low <= int(value) <= high:
        raise ImproperlyConfigured(f"{name} must be an integer from {low} to {high}, got {value[:40]!r}")
    return int(value)


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """A comma-separated list."""
    value = os.environ.get(name)
    if value is None:
        return list(default)
    return [word.strip() for word in value.split(",") if word.strip()]


def networks(name: str) -> tuple[str, ...]:
    """Comma-separated CIDRs, hosts or host:port entries. Raises ImproperlyConfigured for a broken CIDR."""
    entries = words(name)
    for entry in entries:
        if "/" in entry:
            try:
                ipaddress.ip_network(entry, strict=False)
            except ValueError as error:
                raise ImproperlyConfigured(f"{name}: {entry[:60]!r} is not a network: {error}") from None
    return tuple(entries)


def database(name: str, *, pool_size: int) -> dict[str, object]:
    """Django's DATABASES entry for `postgresql://user:password@host:port/name` or `…/name?host=/socket/dir`.

    Raises ImproperlyConfigured for another scheme or a missing database name.
    """
    url = urlsplit(text(name))
    query = {key: values[-1] for key, values in parse_qs(url.query).items()}
    if url.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(f"{name} must start with postgresql://, got {url.scheme[:20]!r}")
    if len(url.path) < 2:
        raise ImproperlyConfigured(f"{name} names no database: expected postgresql://…/name")
    host = query.pop("host", None) or url.hostname or ""
    options: dict[str, object] = {"connect_timeout": 5, **query}
    if pool_size:
        # Under ASGI each request may come on another thread: connections kept per thread would leak.
        options["pool"] = {"min_size": 2, "max_size": pool_size, "timeout": 2}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.path[1:],
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": host,
        "PORT": str(query.pop("port", url.port or "")),
        "CONN_MAX_AGE": 0 if pool_size else None,
        "OPTIONS": options,
    }


def redis_urls(name: str) -> tuple[str, str]:
    """(for redis-py, for Celery) of `redis://…`, `rediss://…` or `unix:///path?db=N`.

    Raises ImproperlyConfigured for another scheme.
    """
    value = text(name)
    url = urlsplit(value)
    if url.scheme in {"redis", "rediss"}:
        return value, value
    if url.scheme == "unix":
        db = parse_qs(url.query).get("db", ["0"])[-1]
        return value, f"redis+socket://{url.path}?virtual_host={db}"
    raise ImproperlyConfigured(f"{name} must start with redis://, rediss:// or unix://, got {url.scheme[:20]!r}")


def folder(name: str, default: Path) -> Path:
    """A folder's absolute path; it need not exist."""
    return Path(os.environ.get(name) or default).absolute()
