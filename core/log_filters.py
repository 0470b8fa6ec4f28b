"""What log records may not hold: the tokens of inbound hooks, which stand in paths."""

import logging
import re

_HOOK = re.compile(r"(/hooks/)[^/\s?#\"']+")


class HookTokenFilter(logging.Filter):
    """Takes the token out of a hook's address, as in Django's own line for a request that was refused."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if "/hooks/" in text:
            record.msg, record.args = _HOOK.sub(r"\1[REDACTED]", text), ()
        return True
