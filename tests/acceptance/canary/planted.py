"""Leaks of our own making, one in each sink: what proves that the sweep would have found one."""

import urllib.request
from enum import StrEnum

from tests.acceptance.canary.far_end import FarEnd
from tests.acceptance.canary.search import Searcher, new_plain_text
from tests.acceptance.canary.socket_play import record
from tests.acceptance.canary.stack import Stack
from tests.eventually import eventually
from tests.faults.harness import connect
from tests.sockets import SocketClient


class Place(StrEnum):
    """Where a leak is planted."""

    ANSWER_BODY = "planted in the body of an answer"
    ANSWER_HEADER = "planted in a header of an answer"
    MESSAGE = "planted in a message of a WebSocket"
    WEB_LOG = "planted in the log of the web server"
    ROW_TEXT = "planted in a row's text"
    ROW_JSON = "planted in a row's JSON"
    ROW_BYTES = "planted in a row's bytes"
    SESSION = "planted in a row of the sessions"
    VALKEY_VALUE = "planted in a value of Valkey"
    VALKEY_KEY = "planted in a key of Valkey"
    VALKEY_MESSAGE = "planted in a message over Valkey"
    POSTGRES_LOG = "planted in the log of PostgreSQL"
    TEMPORARY_FILE = "planted in a temporary file"
    DATA_FOLDER = "planted in the data folder"
    COMMAND_LINE = "planted in the command line of a child"
    ENVIRONMENT = "planted in the environment of a child"
    WEBHOOK = "planted in what a webhook tells"


# How the sink begins in which each must be found.
FOUND_IN = {
    Place.ANSWER_BODY: "the answer 422 of POST /api/v1/auth/login",
    Place.ANSWER_HEADER: "the answer 200 of GET /api/v1/health",
    Place.MESSAGE: "the message pong of a WebSocket",
    Place.WEB_LOG: "the file logs/web",
    Place.ROW_TEXT: "the database",
    Place.ROW_JSON: "the database",
    Place.ROW_BYTES: "the database",
    Place.SESSION: "the table of sessions",
    Place.VALKEY_VALUE: "Valkey's key b'planted",
    Place.VALKEY_KEY: "Valkey's key",
    Place.VALKEY_MESSAGE: "what Valkey was told",
    Place.POSTGRES_LOG: "PostgreSQL's log",
    Place.TEMPORARY_FILE: "the file tmp/left",
    Place.DATA_FOLDER: "the file data/left",
    Place.COMMAND_LINE: "the command line of process",
    Place.ENVIRONMENT: "the environment of process",
    Place.WEBHOOK: "what webhooks told",
}
# A child that nobody but its parent tells anything; the parent reads what from a file.
_PARENT = """
import pathlib, subprocess, sys
line, environment = pathlib.Path(sys.argv[1]).read_text().split()
subprocess.run(["sh", "-c", "sleep 30 & wait", line], env={"PATH": "/usr/bin:/bin", "PLANTED": environment})
"""


def plant(stack: Stack, searcher: Searcher, far: FarEnd, token: str) -> None:
    """A canary of its own in each place."""
    values = {place: searcher.add(place, new_plain_text()) for place in Place}
    _over_http(stack, values)
    with SocketClient(stack.socket_port, token) as client:
        client.send("ping", values[Place.MESSAGE])
        record(stack, client.receive())
    _in_stores(stack, values)
    request = urllib.request.Request(f"{far.url}/hook", f'{{"event": "{values[Place.WEBHOOK]}"}}'.encode())
    urllib.request.urlopen(request, timeout=10).close()
    (stack.folder / "tmp" / "left").write_text(values[Place.TEMPORARY_FILE])
    (stack.folder / "data" / "left").write_text(values[Place.DATA_FOLDER])
    told = stack.folder / "tmp" / "told"
    told.write_text(f"{values[Place.COMMAND_LINE]} {values[Place.ENVIRONMENT]}")
    parent = stack.launch("parent", "-c", _PARENT, str(told))
    watcher = stack.watch(parent)
    environment = values[Place.ENVIRONMENT].encode()
    eventually(lambda: any(environment in sink.data for sink in list(watcher.sinks.values())), timeout=30)
    parent.kill()


def _over_http(stack: Stack, values: dict[Place, str]) -> None:
    # The field's name is unknown, and the answer names it.
    body = f'{{"username": "a", "password": "b", "{values[Place.ANSWER_BODY]}": 1}}'
    stack.web.send("POST", "/api/v1/auth/login", body.encode(), {"Content-Type": "application/json"})
    stack.web.send("GET", "/api/v1/health", b"", {"X-Request-ID": values[Place.ANSWER_HEADER]})
    stack.web.send("GET", f"/api/v1/health?q={values[Place.WEB_LOG]}", b"", {})


def _in_stores(stack: Stack, values: dict[Place, str]) -> None:
    row = (values[Place.ROW_TEXT], f'{{"a": "{values[Place.ROW_JSON]}"}}', values[Place.ROW_BYTES].encode())
    with connect(stack.servers) as connection:
        connection.execute("CREATE TABLE planted (a text, b jsonb, c bytea)")
        connection.execute("INSERT INTO planted VALUES (%s, %s, %s)", row)
        connection.execute("INSERT INTO django_session VALUES ('planted', %s, now())", (values[Place.SESSION],))
        connection.execute(f"DO $$ BEGIN RAISE WARNING '{values[Place.POSTGRES_LOG]}'; END $$".encode())
    with stack.servers.redis() as redis:
        redis.set("planted", values[Place.VALKEY_VALUE] * 3)
        redis.set(values[Place.VALKEY_KEY], 1)
        redis.publish("planted", values[Place.VALKEY_MESSAGE])
