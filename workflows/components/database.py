"""database_query: one SQL statement on a PostgreSQL database of the user's."""

from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from core.errors import ErrorCode, Problem
from core.json_text import dumps, storable
from core.outbound import checked_addresses
from core.outbound_policy import OutboundError
from core.types import JSONObject
from workflows.components.base import Completed, Component, Context, Failed, Kind, Outcome, SecretMissingError
from workflows.components.control import ANY, object_schema
from workflows.components.postgres import Database, QueryError, query
from workflows.components.sql_binds import BindError, BoundQuery, bind
from workflows.expressions import References, has_expression
from workflows.schemas import join_path, received

DEFAULT_TIMEOUT_SECONDS = 30
DEFAULT_MAX_ROWS = 1_000
_LOOKUP_SECONDS = 10
_SCHEMES = frozenset({"postgresql", "postgres"})
_SSL_MODES = frozenset({"disable", "prefer", "require", "verify-full"})
_SECRET_NAME = "^[A-Za-z_][A-Za-z0-9_]{0,63}$"  # noqa: S105 - a pattern


class UrlError(ValueError):
    """The secret is no URL of a database that can be used. The message repeats nothing of it but the scheme."""


class DatabaseQuery(Component):
    """One statement, and its rows."""

    type: ClassVar = "database_query"
    name: ClassVar = "Database Query"
    description: ClassVar = "Runs one SQL statement on a PostgreSQL database"
    category: ClassVar = "integration"
    kind: ClassVar = Kind.IO
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "connection": {
                "title": "Connection",
                "description": "The name of the secret that holds the URL: postgresql://user:password@host:5432/name",
                "type": "string",
                "pattern": _SECRET_NAME,
                "examples": ["warehouse_url"],
            },
            "query": {
                "title": "Query",
                "description": "One SQL statement; values go in as :name binds",
                "type": "string",
                "minLength": 1,
                "maxLength": 100_000,
                "examples": ["SELECT id, total FROM orders WHERE customer_id = :customer"],
            },
            "parameters": {
                "title": "Parameters",
                "description": "The value of each bind",
                "type": "object",
                "default": {},
                "examples": [{"customer": "{{ customer_id }}"}],
            },
            "max_rows": {
                "title": "Row limit",
                "description": "More rows than this are a failure, and nothing is changed then",
                "type": "integer",
                "minimum": 1,
                "maximum": 100_000,
                "default": DEFAULT_MAX_ROWS,
                "examples": [100],
            },
            "timeout": {
                "title": "Timeout",
                "description": "Seconds for the statement, connecting included",
                "type": "integer",
                "minimum": 1,
                "maximum": 3600,
                "default": DEFAULT_TIMEOUT_SECONDS,
                "examples": [10],
            },
        },
        "connection",
        "query",
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {
        "type": "object",
        "properties": {
            "rows": {"title": "One object a row, keyed by column", "type": "array", "items": {"type": "object"}},
            "row_count": {"title": "Rows returned; rows changed where none are returned", "type": "integer"},
        },
        "required": ["rows", "row_count"],
    }

    def check(self, config: JSONObject) -> Iterator[Problem]:
        parameters = config.get("parameters", {})
        if has_expression(config["query"]) or not isinstance(parameters, dict):
            return
        try:
            bound = bind(config["query"])
        except BindError as error:
            details = {"expected": "SQL with :name binds", "received": received(config["query"])}
            yield Problem(f"Not readable as SQL: {error}", field="query", details=details)
            return
        for field, expected, name in _mismatches(bound, parameters):
            yield Problem(f"Expected {expected}", field=field, details={"expected": expected, "received": name})

    def reads(self, config: JSONObject) -> References:
        if has_expression(config["connection"]):
            return References(all_secrets=True)
        return References(secrets=frozenset({config["connection"]}))

    def run(self, config: JSONObject, context: Context) -> Outcome:
        parameters = config.get("parameters", {})
        try:
            bound = bind(config["query"])
            mismatches = [f"{field}: expected {expected}" for field, expected, _ in _mismatches(bound, parameters)]
            if mismatches:
                return Failed("; ".join(mismatches), permanent=True)
            timeout = config.get("timeout", DEFAULT_TIMEOUT_SECONDS)
            database = _database(context.secret(config["connection"]))
            addresses = checked_addresses(
                database.host,
                database.port,
                policy=context.outbound,
                timeout_seconds=min(timeout, _LOOKUP_SECONDS),
                on_progress=context.checkpoint,
            )
            answer = query(
                database,
                addresses,
                bound.sql,
                [parameters[name] for name in bound.names],
                timeout_seconds=timeout,
                max_rows=config.get("max_rows", DEFAULT_MAX_ROWS),
                max_bytes=context.max_output_bytes,
                on_progress=context.checkpoint,
            )
        except BindError as error:
            return Failed(f"query: {error}", permanent=True)
        except SecretMissingError:
            return Failed(f"connection: there is no secret called {config['connection']}", permanent=True)
        except UrlError as error:
            return Failed(f"connection: the secret {config['connection']} {error}", permanent=True)
        except OutboundError as error:
            code = ErrorCode.TIMEOUT_ERROR if error.kind == "timeout" else ErrorCode.COMPONENT_ERROR
            return Failed(f"connection: {error}", code=code, permanent=error.permanent)
        except QueryError as error:
            code = ErrorCode.TIMEOUT_ERROR if error.timed_out else ErrorCode.COMPONENT_ERROR
            details = {"sqlstate": error.sqlstate} if error.sqlstate else {}
            return Failed(str(error), code=code, permanent=error.permanent, details=details)
        context.log("info", f"{answer.row_count} rows", row_count=answer.row_count)
        output: JSONObject = storable({"rows": answer.rows, "row_count": answer.row_count})
        return Completed(output)


def _mismatches(bound: BoundQuery, parameters: JSONObject) -> Iterator[tuple[str, str, str]]:
    """(field, what was expected, what came) where binds and parameters do not belong together."""
    for name in bound.names:
        if name not in parameters:
            yield join_path("parameters", [name]), f"a value for :{name} of the query", "nothing"
    for name in parameters:
        if name not in bound.names:
            yield join_path("parameters", [name]), f"a name that the query binds as :{name}", dumps(name).decode()


def _database(url: str) -> Database:
    """The parts of a URL. Raises UrlError."""
    if "#" in url:
        raise UrlError("has a # in its URL; in a password, write it as %23")
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise UrlError("holds no URL that can be read") from None
    if parts.scheme not in _SCHEMES:
        supported = "supported are postgresql:// and postgres://"
        if not parts.scheme or not parts.netloc:
            raise UrlError(f"holds no database URL; {supported}")
        raise UrlError(f"holds a URL that starts with {parts.scheme[:20]}://; {supported}")
    if not parts.hostname or "," in parts.netloc.rpartition("@")[2]:
        raise UrlError("must name one host, as in postgresql://user:password@host:5432/name")
    if not parts.username or len(parts.path) < 2:
        raise UrlError("must name a user and a database, as in postgresql://user:password@host:5432/name")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(options.keys() - {"sslmode", "application_name"})
    if unknown:
        raise UrlError("has a URL parameter other than sslmode and application_name")
    ssl_mode = options.get("sslmode", "prefer")
    if ssl_mode not in _SSL_MODES:
        raise UrlError(f"has another sslmode than {', '.join(sorted(_SSL_MODES))}")
    database = Database(
        host=parts.hostname,
        port=port or 5432,
        user=unquote(parts.username),
        password=unquote(parts.password or ""),
        name=unquote(parts.path[1:]),
        ssl_mode=ssl_mode,
        application_name=options.get("application_name", "apg-workflow"),
    )
    if any("\0" in text for text in (database.user, database.password, database.name, database.application_name)):
        raise UrlError("has a NUL in its URL")
    return database
