"""The control socket: its server in the parent, and the client that the entrypoint's verbs use.

A request is one line of JSON, an `Order`.  The answer is lines of JSON: any number of
``{"line": ...}`` as the work goes on, and at last ``{"problems": [...]}``.
"""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

VERBS = ("drain", "health", "ready", "restart")
_MAX_REQUEST_BYTES = 4096
_REQUEST_SECONDS = 5.0
_MAX_SECONDS = 86_400  # Longer than any work takes.
_MAX_SHOWN = 100  # The characters of a value that a message repeats.
_EXAMPLE = '{"verb": "health"}'

Report = Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """A request to the parent.

    Attributes:
        verb: what to do; one of `VERBS`.
        name: the process that it concerns, or "" for all.
        seconds: how long the work may take; 0 for the parent's own limit.
    """

    verb: str
    name: str = ""
    seconds: float = 0.0


class RequestError(ValueError):
    """A request is malformed; the message names what is wrong, and what would be right."""


def shown(value: object) -> str:
    """Return a value as a message repeats it: on one line, and shortened."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def parse_order(line: bytes) -> Order:
    """Return the request that one line contains.

    Raises:
        RequestError: if it contains none.
    """
    try:
        document: Any = json.loads(line)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        text = line.decode(errors="replace").rstrip("\n")
        raise RequestError(
            f"request {shown(text)}: is not a JSON object on one line; send one, such as {_EXAMPLE}"
        )
    names = [field.name for field in fields(Order)]
    for name in document:
        if name not in names:
            raise RequestError(
                f"request: the field {shown(name)} is unknown; use {', '.join(names)}"
            )
    if "verb" not in document:
        raise RequestError(f"request: the field verb is missing; add it, as in {_EXAMPLE}")
    verb, name = document["verb"], document.get("name", "")
    seconds = document.get("seconds", 0.0)
    if verb not in VERBS:
        raise RequestError(f"verb={shown(verb)}: is unknown; use one of {', '.join(VERBS)}")
    if not isinstance(name, str):
        raise RequestError(f"name={shown(name)}: is not text; use the name of a process")
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 <= seconds <= _MAX_SECONDS:
        raise RequestError(
            f"seconds={shown(seconds)}: is not a number from 0 to {_MAX_SECONDS}; use one"
        )
    return Order(verb, name, float(seconds))


# Takes a request and a function that reports a line; returns the problems.
Handler = Callable[[Order, Report], Awaitable[list[str]]]


def _bound(path: Path) -> socket.socket:
    """Return a socket at ``path`` that only this user can connect to."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    previous_mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(previous_mask)
    return listener


async def _request(reader: asyncio.StreamReader) -> bytes:
    """Return the line that a client sends.

    Raises:
        RequestError: if it takes too long or is too long.
        OSError: if the client is gone.
    """
    try:
        async with asyncio.timeout(_REQUEST_SECONDS):
            return await reader.readline()
    except TimeoutError:
        raise RequestError(
            f"request: not complete within {_REQUEST_SECONDS:g} s; end its line sooner"
        ) from None
    except ValueError:
        raise RequestError(
            f"request: longer than {_MAX_REQUEST_BYTES} bytes; send one line of JSON, such as "
            f"{_EXAMPLE}"
        ) from None


async def listen(path: Path, handle: Handler) -> asyncio.Server:
    """Answer requests at the socket ``path``, which replaces any earlier one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def send(document: object) -> None:
            writer.write(json.dumps(document).encode() + b"\n")

        try:
            try:
                order = parse_order(await _request(reader))
            except RequestError as error:
                problems = [str(error)]
            else:
                problems = await handle(order, lambda line: send({"line": line}))
            send({"problems": problems})
            await writer.drain()
        except OSError:
            pass  # The client is gone.
        finally:
            writer.close()

    return await asyncio.start_unix_server(serve, sock=_bound(path), limit=_MAX_REQUEST_BYTES)


def ask(path: Path, order: Order, report: Report, seconds: float) -> list[str]:
    """Send a request to the parent; return the problems.

    Args:
        path: the control socket.
        order: what to do.
        report: receives each line of the answer.
        seconds: how long to wait for each of them.

    Raises:
        OSError: if the parent does not answer.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(str(path))
        connection.sendall(json.dumps(asdict(order)).encode() + b"\n")
        with connection.makefile("rb") as reader:
            for line in reader:
                document = json.loads(line)
                if "problems" in document:
                    return [str(problem) for problem in document["problems"]]
                report(str(document["line"]))
    raise ConnectionError("the connection was closed before the answer was complete")
