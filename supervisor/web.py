"""Answers questions about the container's health, and where to find its metrics, over HTTP."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

from supervisor.control import shown

_MAX_REQUEST_BYTES = 8192
_SECONDS = 5.0  # For the request, and for the answer.
_DISCARDED_BYTES = 1 << 20
# Answers to clients that may still be sending.
_UNREAD = (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
_EXAMPLE = "a line such as GET /health HTTP/1.1, and an empty line"


@dataclass(frozen=True)
class Request:
    """A request without its body.

    Attributes:
        path: its path, decoded, without the query.
        host: the host that the client used, without the port; "" if it named none.
    """

    path: str
    host: str


@dataclass(frozen=True)
class Answer:
    """The answer to a request."""

    status: HTTPStatus
    body: str
    content_type: str = "text/plain; charset=utf-8"


def json_answer(document: object) -> Answer:
    """Return a successful answer with a document."""
    return Answer(HTTPStatus.OK, json.dumps(document, indent=1) + "\n", "application/json")


def host_of(header: str) -> str:
    """Return the host of a ``Host`` header without its port; an IPv6 address keeps its brackets."""
    if header.startswith("["):
        return header.partition("]")[0] + "]"
    return header.partition(":")[0]


def _parsed(head: bytes) -> tuple[str, Request] | None:
    """Return the method and the request, or None if the request is not HTTP/1."""
    first, *headers = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    named = [line.partition(":") for line in headers]
    hosts = [value.strip() for name, _, value in named if name.lower() == "host"]
    path = unquote(words[1].partition("?")[0])
    return words[0], Request(path, host_of(hosts[0]) if hosts else "")


async def _answer_to(
    head: bytes, respond: Callable[[Request], Awaitable[Answer]]
) -> tuple[str, Answer]:
    parsed = _parsed(head)
    if parsed is None:
        line = shown(head.decode("latin-1").partition("\r\n")[0])
        return "GET", Answer(
            HTTPStatus.BAD_REQUEST, f"request {line}: is not HTTP/1; send {_EXAMPLE}\n"
        )
    method, request = parsed
    if method not in ("GET", "HEAD"):
        return method, Answer(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"method {shown(method)}: is not supported; use GET or HEAD\n",
        )
    return method, await respond(request)


class WebServer:
    """A server for GET and HEAD, which closes each connection after its answer."""

    def __init__(self, respond: Callable[[Request], Awaitable[Answer]]) -> None:
        """Prepare it; ``respond`` returns the answer to a request."""
        self._respond = respond
        self._servers: list[asyncio.Server] = []

    async def listen(self, addresses: Sequence[str], port: int) -> None:
        """Listen at each of ``addresses``.

        Raises:
            OSError: if one of them cannot be bound.
        """
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = socket.socket(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
            # Not a socket that asyncio makes: at ::, that would serve only IPv6.
            listener.bind((address, port))
            self._servers.append(
                await asyncio.start_server(self._serve, sock=listener, limit=_MAX_REQUEST_BYTES)
            )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await _head(reader)
            async with asyncio.timeout(_SECONDS):
                method, answer = (
                    ("GET", head)
                    if isinstance(head, Answer)
                    else await _answer_to(head, self._respond)
                )
                _write(writer, method, answer)
                await writer.drain()
                if answer.status in _UNREAD:
                    await _discard(reader, writer)
        except OSError:
            pass  # The client is gone, or does not read the answer.
        finally:
            writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes | Answer:
    """Return the request line and the headers of a request, or an answer that says what is wrong.

    Raises:
        OSError: if the client is gone.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
    except TimeoutError:
        return Answer(
            HTTPStatus.REQUEST_TIMEOUT,
            f"request: not complete within {_SECONDS:g} s; send {_EXAMPLE}\n",
        )
    except asyncio.LimitOverrunError:
        return Answer(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"request: longer than {_MAX_REQUEST_BYTES} bytes; send fewer headers\n",
        )
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            raise ConnectionError("the client sent nothing") from None
        return Answer(
            HTTPStatus.BAD_REQUEST, f"request: ends within its headers; send {_EXAMPLE}\n"
        )
    return head.removesuffix(b"\r\n\r\n")


def _write(writer: asyncio.StreamWriter, method: str, answer: Answer) -> None:
    body = answer.body.encode()
    lines = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    head = "\r\n".join([*lines, "", ""]).encode()
    writer.write(head if method == "HEAD" else head + body)


async def _discard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read what else the client sends, up to a limit.

    The kernel would otherwise reset the connection, and the client could lose the answer
    (section 9.6 of RFC 9112).
    """
    writer.write_eof()
    discarded = 0
    while discarded < _DISCARDED_BYTES and (data := await reader.read(1 << 16)):
        discarded += len(data)
