"""`apg webhooks listen`: a receiver on this machine that checks signatures and prints what comes."""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated

import typer
from rich.text import Text

from apg_workflow.cli.output import Json, console, print_line, shown
from apg_workflow.errors import SignatureError
from apg_workflow.webhooks import verify_headers

app = typer.Typer(no_args_is_help=True, help="Webhooks.")
# More than the platform sends.
_LONGEST_BODY = 1024 * 1024


@app.callback()
def group() -> None:
    """Webhooks."""


@app.command()
def listen(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 9000,
    host: Annotated[str, typer.Option(help="Which of this machine's addresses.")] = "127.0.0.1",
    as_json: Json = False,
) -> None:
    """Print the events that come, until Ctrl-C. Their secret is asked for (APG_WEBHOOK_SECRET).

    What is not signed with it is answered with 401 and not printed.
    """
    secret = os.environ.get("APG_WEBHOOK_SECRET") or str(typer.prompt("Webhook secret", hide_input=True, err=True))
    with ThreadingHTTPServer((host, port), _receiver(secret, as_json=as_json)) as server:
        console(errors=True).print(f"Listening on http://{host}:{server.server_port}", markup=False)
        server.serve_forever()


def _receiver(secret: str, *, as_json: bool) -> type[BaseHTTPRequestHandler]:
    class Receiver(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:  # the standard library's name
            status, told = self.judged()
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            if told:
                console(errors=True).print(Text(told, style="red"))

        def judged(self) -> tuple[int, str]:
            """The status to answer with, and what to complain about."""
            length = self.headers.get("Content-Length", "")
            if not length.isascii() or not length.isdigit() or int(length) > _LONGEST_BODY:
                return 413, "Refused: no length, or too long"
            body = self.rfile.read(int(length))
            try:
                verify_headers(body, dict(self.headers.items()), secret)
                event = json.loads(body)
            except (SignatureError, ValueError) as error:
                return 401, f"Refused: {error}"
            if as_json:
                print_line(event)
            else:
                name = event.get("event") if isinstance(event, dict) else None
                data = event.get("data") if isinstance(event, dict) else event
                console().print(Text.assemble((str(name), "bold"), " ", shown(data)))
            return 204, ""

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the standard library's name
            """What is worth a line is printed above."""

    return Receiver
