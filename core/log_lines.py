"""Log lines as JSON: one object a line, with what the line is about; nothing of a record that is not named here."""

import logging
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from core import log_context, tracing
from core.times import iso

# Of what a line may say in `extra`: facts of the engine. Other libraries put whole requests and arguments there.
_FACTS = (
    "action", "execution_id", "component_id", "attempt", "run_id", "trigger_id", "webhook_id", "delivery_id",
)  # fmt: skip


class ContextFilter(logging.Filter):
    """Puts on every record which execution, component and attempt it is of, which worker wrote it, and its trace.

    What the line says itself in `extra` goes before what was bound.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in log_context.bound_facts().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        record.worker = log_context.worker
        record.trace_id = tracing.current_trace_id()
        return True


class JSONLines(JsonFormatter):
    """`time`, `level`, `logger`, `message`, and of the others those that there are."""

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Fill in the line."""
        log_data["time"] = iso(datetime.fromtimestamp(record.created, UTC))
        log_data["level"] = record.levelname
        log_data["logger"] = record.name
        log_data["message"] = record.getMessage()
        request_id = getattr(record, "request_id", "-")
        if request_id != "-":
            log_data["request_id"] = request_id
        for name in (*_FACTS, "worker", "trace_id"):
            value = getattr(record, name, "")
            if value != "" and isinstance(value, str | int):
                log_data[name] = value
        if record.exc_info:
            log_data["exception"] = record.exc_text or self.formatException(record.exc_info)
