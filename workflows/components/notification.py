"""notification: a short message to a chat or another service, by HTTP."""

from collections.abc import Iterator
from typing import ClassVar

from core.errors import ErrorCode, Problem
from core.json_text import dumps
from core.outbound import send
from core.outbound_policy import OutboundError
from core.types import JSONObject
from workflows.components.base import Completed, Component, Context, Failed, Kind, Outcome
from workflows.components.control import ANY, object_schema
from workflows.components.http import RETRIABLE_CLIENT_ERRORS, USER_AGENT, url_problems

DEFAULT_TIMEOUT_SECONDS = 10


class Notification(Component):
    """One message, posted to an address."""

    type: ClassVar = "notification"
    name: ClassVar = "Notification"
    description: ClassVar = "Posts a message to Slack, or as JSON to any address"
    category: ClassVar = "integration"
    kind: ClassVar = Kind.IO
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "url": {
                "title": "URL",
                "description": "http or https; private addresses are refused unless the operator allows them",
                "type": "string",
                "format": "uri",
                # The path of such a hook is its password.
                "writeOnly": True,
                "maxLength": 8192,
                "examples": ["{{ secrets.slack_url }}"],
            },
            "message": {
                "title": "Message",
                "description": "Text with expressions; another value is written as JSON",
                "examples": ["Order {{ order_id }} has shipped"],
            },
            "format": {
                "title": "Format",
                "description": "slack: the text as Slack and compatible services read it; json: with ids of its origin",
                "enum": ["slack", "json"],
                "default": "slack",
                "examples": ["json"],
            },
            "timeout": {
                "title": "Timeout",
                "description": "Seconds for the whole call",
                "type": "integer",
                "minimum": 1,
                "maximum": 3600,
                "default": DEFAULT_TIMEOUT_SECONDS,
                "examples": [5],
            },
        },
        "url",
        "message",
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {
        "type": "object",
        "properties": {"status_code": {"title": "Status", "type": "integer"}},
        "required": ["status_code"],
    }

    def check(self, config: JSONObject) -> Iterator[Problem]:
        yield from url_problems(config["url"])

    def run(self, config: JSONObject, context: Context) -> Outcome:
        try:
            response = send(
                "POST",
                config["url"],
                headers={
                    "Content-Type": "application/json",
                    "User-Agent": USER_AGENT,
                    "Idempotency-Key": context.idempotency_key,
                },
                body=dumps(_body(config, context)),
                timeout_seconds=config.get("timeout", DEFAULT_TIMEOUT_SECONDS),
                follow_redirects=False,
                max_response_bytes=context.max_output_bytes,
                policy=context.outbound,
                on_progress=context.checkpoint,
            )
        except OutboundError as error:
            context.count_network(error.bytes_sent + error.bytes_received)
            code = ErrorCode.TIMEOUT_ERROR if error.kind == "timeout" else ErrorCode.COMPONENT_ERROR
            return Failed(str(error), code=code, permanent=error.permanent)
        context.count_network(response.bytes_sent + response.bytes_received)
        status = response.status_code
        # The address is not told: the path of a chat's hook is its password.
        context.log("info", f"Answered {status} after {response.elapsed_ms} ms", status_code=status)
        if status < 300:
            return Completed({"status_code": status})
        permanent = status < 500 and status not in RETRIABLE_CLIENT_ERRORS
        return Failed(f"The server answered {status}", permanent=permanent, details={"status_code": status})


def _body(config: JSONObject, context: Context) -> JSONObject:
    message = config["message"]
    text = message if isinstance(message, str) else dumps(message).decode()
    if config.get("format", "slack") == "slack":
        return {"text": text}
    return {
        "message": text,
        "execution_id": context.scope["execution"]["id"],
        "workflow_id": context.scope["workflow"]["id"],
        "component_id": context.component_id,
    }
