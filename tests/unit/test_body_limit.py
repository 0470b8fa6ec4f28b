"""The cap on request bodies: what arrives over it is answered 413, and no more of it is read."""

import asyncio
import json
from typing import Any

import pytest

from core.body_limit import BodyLimit

LIMIT = 10


def answer(chunks: list[bytes], *, announced: int | None = None) -> tuple[list[Any], int]:
    """(what was sent, how many chunks were read) by an application that echoes the length of its body."""
    messages = [
        {"type": "http.request", "body": chunk, "more_body": index + 1 < len(chunks)}
        for index, chunk in enumerate(chunks)
    ]
    sent: list[Any] = []
    read = 0

    async def receive() -> Any:
        nonlocal read
        read += 1
        return messages[read - 1]

    async def send(message: Any) -> None:
        sent.append(message)

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        size = 0
        while True:
            message = await receive()
            size += len(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(size).encode()})

    headers = [(b"x-request-id", b"abc-1")]
    headers += [] if announced is None else [(b"content-length", str(announced).encode())]
    asyncio.run(BodyLimit(echo, LIMIT)({"type": "http", "headers": headers}, receive, send))
    return sent, read


def test_a_body_at_the_limit_passes() -> None:
    sent, _ = answer([b"12345", b"67890"])
    assert (sent[0]["status"], sent[1]["body"]) == (200, b"10")


@pytest.mark.parametrize(("chunks", "announced", "read"), [([b"x" * 6] * 50, None, 2), ([b"x"] * 50, 50, 0)])
def test_a_body_over_the_limit_is_413_and_read_no_further(
    chunks: list[bytes], announced: int | None, read: int
) -> None:
    sent, chunks_read = answer(chunks, announced=announced)
    assert (sent[0]["status"], chunks_read) == (413, read)
    body = json.loads(sent[1]["body"])
    assert (body["success"], body["errors"][0]["code"]) == (False, "VALIDATION_ERROR")
    assert body["metadata"]["request_id"] == "abc-1"
    assert (b"x-request-id", b"abc-1") in sent[0]["headers"]
