"""Typed readers of environment variables; a bad value stops the start with one clear sentence.

Every variable may come as NAME_FILE too: the path of a file with the value, as Docker and Kubernetes hand out secrets.
"""

import importlib.util
import ipaddress
import os
import re
import secrets
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_KEY_CHARS = 32
# Of 32 random hexadecimal digits, fewer than 8 different ones are not seen in a lifetime.
_KEY_DISTINCT = 8
_PLACEHOLDER = re.compile(
    r"change[-_ ]?(me|this)|replace[-_ ]?(me|this)?|your|insecure|django|secret|key|default|example|placeholder"
    r"|password|debug|only|random|characters|set|apg|at[-_ ]least|32|to|[^a-z0-9]"
)
_MAX_FILE_BYTES = 64 * 1024
# Of libpq: a machine that is gone without a word is given up, whether a question is on its way or an answer awaited.
_GONE_AFTER_30_SECONDS = {
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_SENDER = re.compile(r"(?:[^<>@\r\n]+ <[^<>@\s]+@[^<>@\s]+>|[^<>@\s]+@[^<>@\s]+)")


def read(name: str) -> str | None:
    """The variable as it is, or what is in the file that NAME_FILE names, without its line's end; None: neither.

    Raises ImproperlyConfigured for both at once, and for a file that cannot be read. Names the file, never the value.
    """
    value, path = os.environ.get(name), os.environ.get(f"{name}_FILE")
    if not path:
        return value
    if value:
        raise ImproperlyConfigured(f"{name} and {name}_FILE are both set; set one of them")
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
        if len(content) > _MAX_FILE_BYTES:
            raise ImproperlyConfigured(f"{name}_FILE: {path} has more than {_MAX_FILE_BYTES} bytes")
        return content.decode().rstrip("\r\n")
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ImproperlyConfigured(f"{name}_FILE: {path} is not UTF-8 text") from None


def given(name: str) -> bool:
    """Whether the variable, or the file with its value, is named at all."""
    return name in os.environ or bool(os.environ.get(f"{name}_FILE"))


def text(name: str, default: str | None = None) -> str:
    """A string; an empty one is none. Without a default the variable is required. Raises ImproperlyConfigured."""
    value = read(name) or default
    if value is None:
        raise ImproperlyConfigured(f"{name} is not set; see .env.example")
    return value


def secret_key(name: str, *, debug: bool) -> str:
    """The key that signs and seals; with `debug` a new one at each start where none is set, never a fixed one.

    Raises ImproperlyConfigured for a missing or a weak one. Names of what is wrong, never of the key's text.
    """
    value = read(name) or ""
    if not value and debug:
        return secrets.token_urlsafe(48)
    if not value:
        raise ImproperlyConfigured(f"{name} is not set: set it to at least {_KEY_CHARS} random characters")
    if len(value) < _KEY_CHARS:
        raise ImproperlyConfigured(f"{name} must have at least {_KEY_CHARS} characters")
    # What is left without the words that stand for "put a key here" has to be a key by itself.
    rest = _PLACEHOLDER.sub("", value.lower())
    if value.startswith("django-insecure-") or len(rest) < _KEY_CHARS // 2:
        raise ImproperlyConfigured(f"{name} is a placeholder: set it to at least {_KEY_CHARS} random characters")
    # Moved on by a period, a repetition meets itself.
    repeated = any(value[period:] == value[:-period] for period in range(1, len(value) // 2 + 1))
    if len(set(value)) < _KEY_DISTINCT or repeated:
        raise ImproperlyConfigured(f"{name} is too regular: set it to at least {_KEY_CHARS} random characters")
    return value


def token(name: str) -> str:
    """A shared secret that a program sends; "" where there is none. Raises ImproperlyConfigured for a short one."""
    value = (read(name) or "").strip()
    if value and (len(value) < _KEY_CHARS or not value.isascii() or not value.isprintable() or " " in value):
        raise ImproperlyConfigured(f"{name} must be at least {_KEY_CHARS} printable characters without a space")
    return value


def one_of(name: str, choices: tuple[str, ...]) -> str:
    """One of the words; the first where nothing is set. Raises ImproperlyConfigured."""
    value = (read(name) or "").strip().lower() or choices[0]
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, got {value[:40]!r}")
    return value


def collector(*names: str) -> str:
    """An http or https address, of the first variable that is set; "" where none is.

    Raises ImproperlyConfigured for another address, and where the extra that speaks to it is not installed.
    """
    name, value = next(((name, value) for name in names if (value := (read(name) or "").strip())), ("", ""))
    if not name:
        return ""
    url = urlsplit(value)
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment or url.username:
        raise ImproperlyConfigured(f"{name} must be an address as in http://collector:4318")
    try:
        found = find_spec("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise ImproperlyConfigured(f"{name} needs the extra otel: pip install apg-workflow-orchestration[otel]")
    return value


def boolean(name: str, default: bool) -> bool:
    """`true`/`false`/`1`/`0`/`yes`/`no`/`on`/`off`. Raises ImproperlyConfigured for anything else."""
    value = (read(name) or "").strip().lower()
    if value == "":
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, got {value[:40]!r}")


def integer(name: str, default: int, *, low: int, high: int) -> int:
    """A whole number in [low, high]. Raises ImproperlyConfigured."""
    value = (read(name) or "").strip()
    if value == "":
        return default
    if not value.isascii() or not value.isdecimal() or not low <= int(value) <= high:
        raise ImproperlyConfigured(f"{name} must be an integer from {low} to {high}, got {value[:40]!r}")
    return int(value)


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """A comma-separated list."""
    value = read(name)
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


def addresses(name: str) -> tuple[str, ...]:
    """Comma-separated CIDRs or addresses. Raises ImproperlyConfigured for anything else, host names included."""
    entries = words(name)
    for entry in entries:
        try:
            ipaddress.ip_network(entry, strict=False)
        except ValueError:
            raise ImproperlyConfigured(f"{name}: {entry[:60]!r} is neither an address nor a network") from None
    return tuple(entries)


def database(name: str, *, pgbouncer: bool) -> dict[str, object]:
    """Django's DATABASES entry for `postgresql://user:password@host:port/name` or `…/name?host=/socket/dir`.

    A URL without a password takes the one of POSTGRES_PASSWORD, the variable of PostgreSQL's own image. Behind
    PgBouncer a server's connection is another client's after each transaction: nothing is prepared, no cursor kept.
    Raises ImproperlyConfigured for another scheme or a missing database name.
    """
    url = urlsplit(text(name))
    query = {key: values[-1] for key, values in parse_qs(url.query).items()}
    if url.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(f"{name} must start with postgresql://, got {url.scheme[:20]!r}")
    if len(url.path) < 2:
        raise ImproperlyConfigured(f"{name} names no database: expected postgresql://…/name")
    host = query.pop("host", None) or url.hostname or ""
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.path[1:],
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or "") or read("POSTGRES_PASSWORD") or "",
        "HOST": host,
        "PORT": str(query.pop("port", url.port or "")),
        # Kept per thread; whatever runs threads keeps their number small (core.threaded_handler).
        "CONN_MAX_AGE": None,
        # Without a threshold (Django's default is None) psycopg prepares nothing, whatever `prepare=True` says.
        "OPTIONS": {
            "connect_timeout": 5,
            "prepare_threshold": None if pgbouncer else 5,
            **_GONE_AFTER_30_SECONDS,
            **query,
        },
        "DISABLE_SERVER_SIDE_CURSORS": pgbouncer,
    }


def redis_urls(name: str) -> tuple[str, str]:
    """(for redis-py, for Celery) of `redis://…`, `rediss://…` or `unix:///path?db=N`.

    Raises ImproperlyConfigured for another scheme.
    """
    value = text(name)
    url = urlsplit(value)
    if url.scheme in {"redis", "rediss"}:
        return value, value
    if value.startswith("unix://"):
        db = parse_qs(url.query).get("db", ["0"])[-1]
        return value, f"redis+socket://{url.path}?virtual_host={db}"
    raise ImproperlyConfigured(f"{name} must start with redis://, rediss:// or unix://, got {url.scheme[:20]!r}")


def amqp_url(name: str) -> str:
    """`amqp://user:password@host:port/vhost`, `amqps://…` for TLS, or nothing where it is not set.

    Raises ImproperlyConfigured, without the URL's text: it holds a password.
    """
    value = (read(name) or "").strip()
    if not value:
        return ""
    try:
        url = urlsplit(value)
        _ = url.port
    except ValueError:
        raise ImproperlyConfigured(f"{name} cannot be read: expected amqp://user:password@host:5672/vhost") from None
    if url.scheme not in {"amqp", "amqps"}:
        raise ImproperlyConfigured(
            f"{name} must start with amqp:// or amqps://, got {url.scheme[:20]!r}; Redis and Valkey need only REDIS_URL"
        )
    if not url.hostname or ";" in value or url.query or url.fragment:
        raise ImproperlyConfigured(f"{name} must name one host and no options: amqp://user:password@host:5672/vhost")
    return value


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where e-mail is handed over; no host: nowhere."""

    host: str = ""
    port: int = 25
    user: str = ""
    password: str = ""
    starttls: bool = False
    tls: bool = False


def mail_server(name: str) -> MailServer:
    """`smtp://` (plain), `smtp+tls://` (STARTTLS) or `smtps://` (TLS), then `user:password@host:port`; or not set.

    Raises ImproperlyConfigured.
    """
    value = (read(name) or "").strip()
    if not value:
        return MailServer()
    ports = {"smtp": 25, "smtp+tls": 587, "smtps": 465}
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        raise ImproperlyConfigured(f"{name} cannot be read: expected smtp://user:password@host:port") from None
    if url.scheme not in ports:
        raise ImproperlyConfigured(f"{name} must start with smtp://, smtp+tls:// or smtps://, got {url.scheme[:20]!r}")
    if not url.hostname or url.path not in {"", "/"} or url.query or url.fragment:
        raise ImproperlyConfigured(f"{name} must name a host and nothing after it: smtp://user:password@host:port")
    return MailServer(
        host=url.hostname,
        port=port or ports[url.scheme],
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        starttls=url.scheme == "smtp+tls",
        tls=url.scheme == "smtps",
    )


def sender(name: str, default: str, *, required: bool) -> str:
    """An address that e-mail comes from, as in `APG <apg@example.com>`. Raises ImproperlyConfigured."""
    value = (read(name) or "").strip()
    if not value:
        if required:
            raise ImproperlyConfigured(f"{name} is not set; e-mail needs an address that it comes from")
        return default
    if not _SENDER.fullmatch(value):
        raise ImproperlyConfigured(f"{name} must be an e-mail address, as in APG <apg@example.com>")
    return value


def output_files(folder: Path) -> dict[str, object]:
    """The entry of Django's STORAGES for large outputs as files in a folder."""
    return {"BACKEND": "executions.output_files.FileOutputStorage", "OPTIONS": {"location": str(folder)}}


_S3_OPTIONS = {"endpoint_url": "endpoint_url", "region": "region_name"}


def output_storage(name: str, folder: Path) -> dict[str, object] | None:
    """The entry of Django's STORAGES for large outputs: a folder, an S3 bucket, or None to keep them in their rows.

    `file` (the default), `database`, or `s3://bucket/prefix?endpoint_url=…&region=…`, whose credentials boto3 finds in
    the environment. Raises ImproperlyConfigured for anything else.
    """
    value = (read(name) or "").strip() or "file"
    if value == "database":
        return None
    if value == "file":
        return output_files(folder)
    url = urlsplit(value)
    if url.scheme != "s3":
        raise ImproperlyConfigured(f"{name} must be file, database or s3://bucket/prefix, got {url.scheme[:20]!r}")
    if not url.netloc or "@" in url.netloc or ":" in url.netloc or url.fragment:
        raise ImproperlyConfigured(f"{name} must name a bucket and no credentials: s3://bucket/prefix")
    if importlib.util.find_spec("storages") is None or importlib.util.find_spec("boto3") is None:
        raise ImproperlyConfigured(f"{name}: S3 needs the extra s3: pip install 'apg-workflow-orchestration[s3]'")
    query = parse_qs(url.query, keep_blank_values=True)
    unknown = sorted(query.keys() - _S3_OPTIONS.keys())
    if unknown:
        raise ImproperlyConfigured(f"{name}: {unknown[0][:40]!r} is unknown; there are endpoint_url and region")
    options: dict[str, object] = {_S3_OPTIONS[key]: values[-1] for key, values in query.items()}
    return {
        "BACKEND": "executions.output_s3.S3OutputStorage",
        "OPTIONS": {"bucket_name": url.netloc, "location": url.path.strip("/"), **options},
    }


def folder(name: str, default: Path) -> Path:
    """A folder's absolute path; it need not exist."""
    return Path(read(name) or default).absolute()
