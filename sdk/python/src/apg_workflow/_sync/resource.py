"""What all resources are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from apg_workflow._sync.transport import Transport
from apg_workflow.calls import Call
from apg_workflow.models import Model, Page

M = TypeVar("M", bound=Model)


class Resource:
    """The calls about one kind of thing."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._send = transport.send

    def _walk(self, call: Callable[[int, int], Call[Page[M]]], page_size: int) -> Iterator[M]:
        """All of a list: `call(limit, offset)` asks for one page."""
        offset = 0
        while True:
            page = self._send(call(page_size, offset))
            for item in page.items:
                yield item
            offset += len(page.items)
            if not page.has_more or not page.items:
                return
