"""What is refused in front of Django: large bodies while they arrive, and headers that two readers read differently."""

import asyncio
from typing import Any

import pytest

from core.errors import BadRequestError, TooLargeError
from core.front_door import MAX_HEADER_BYTES, MAX_HEADERS, REFUSAL, FrontDoor, header_fault

LIMIT = 10
HOST = (b"host", b"localhost")


def served(
    chunks: list[bytes], *headers: tuple[bytes, bytes], **scope: Any
) -> tuple[bytes | None, dict[str, Any] | None, int]:
    """(the body that the application read, the scope that was refused, how many chunks were read)."""
    messages = [
        {"type": "http.request", "body": chunk, "more_body": index + 1 < len(chunks)}
        for index, chunk in enumerate(chunks)
    ]
    read, body, refused = 0, None, None

    async def receive() -> Any:
        nonlocal read
        read += 1
        return messages[read - 1]

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal body
        arrived, more = b"", True
        while more:
            message = await receive()
            arrived += message["body"]
            more = message["more_body"]
        body = arrived

    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        nonlocal refused
        assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
        refused = scope

    async def send(message: Any) -> None:
        raise AssertionError(message)

    whole = {"type": "http", "http_version": "1.1", "query_string": b"", "headers": [HOST, *headers], **scope}
    asyncio.run(FrontDoor(application, refuse, LIMIT)(whole, receive, send))
    return body, refused, read


def refusal_of(*headers: tuple[bytes, bytes], **scope: Any) -> Any:
    body, refused, read = served([b""], *headers, **scope)
    assert (body, read) == (None, 0)
    assert refused is not None
    return refused[REFUSAL]


def test_a_body_at_the_limit_passes() -> None:
    assert served([b"12345", b"67890"]) == (b"1234567890", None, 2)


@pytest.mark.parametrize(("chunks", "announced", "read"), [([b"x" * 6] * 50, None, 2), ([b"x"] * 50, b"50", 0)])
def test_a_body_over_the_limit_is_refused_and_read_no_further(
    chunks: list[bytes], announced: bytes | None, read: int
) -> None:
    headers = [] if announced is None else [(b"content-length", announced)]
    body, refused, chunks_read = served(chunks, *headers)
    assert (body, chunks_read) == (None, read)
    assert refused is not None
    assert isinstance(refused[REFUSAL], TooLargeError)


def test_of_a_refused_request_only_what_its_answer_needs_goes_on() -> None:
    kept = [HOST, (b"x-request-id", b"abc-1"), (b"authorization", b"Bearer x")]
    _, refused, _ = served([b""], *kept[1:], (b"x-a", b"\x0b"), (b"x-api-key", b"\x0b"), query_string=b"a=1")
    assert refused is not None
    assert (refused["headers"], refused["query_string"]) == (kept, b"")


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        ([(b"x-%d" % n, b"a") for n in range(MAX_HEADERS + 1)], "More than 100 headers"),
        ([(b"x-a", b"a" * MAX_HEADER_BYTES)], "Headers of more than 32768 bytes"),
        ([(b"x-a", b"a\x0bb")], "A header holds a control character"),
        ([(b"x-a", b"a\rb")], "A header holds a control character"),
        ([(b"x-a", b"a\nb")], "A header holds a control character"),
        ([(b"x-a", b"a\x00b")], "A header holds a control character"),
        ([(b"content-length", b"2"), (b"content-length", b"2")], "The length of the body is given more than once"),
        (
            [(b"content-length", b"2"), (b"transfer-encoding", b"chunked")],
            "The length of the body is given more than once",
        ),
        ([(b"content-length", b"+2")], "Content-Length is not a number"),
        ([(b"content-length", b"2, 2")], "Content-Length is not a number"),
        ([(b"content-length", b"9" * 5000)], "Content-Length is not a number"),
        ([(b"transfer-encoding", b"gzip, chunked")], "Transfer-Encoding must be chunked"),
        ([(b"transfer-encoding", b"chunked")] * 2, "Transfer-Encoding must be chunked"),
        ([HOST, HOST], "More than one Host header"),
    ],
)
def test_b10_headers_that_no_honest_client_sends_are_a_fault(headers: list[tuple[bytes, bytes]], fault: str) -> None:
    assert header_fault(headers) == fault


def test_ordinary_headers_have_no_fault() -> None:
    many = [(b"x-%d" % n, "tab\there, ümlaut".encode()) for n in range(MAX_HEADERS - 2)]
    assert header_fault([*many, HOST, (b"transfer-encoding", b"Chunked")]) is None


def test_a_fault_is_400_and_so_is_what_the_server_found() -> None:
    assert refusal_of((b"x-a", b"\x0b")).message == "A header holds a control character"
    assert refusal_of(headers=[]).message == "No Host header"
    assert refusal_of(query_string=b"a=\xff").message.startswith("The query string")
    found = BadRequestError("The request must name a path, not an address")
    assert refusal_of(**{REFUSAL: found}) is found
