"""The control socket: its server in the parent, and the client that the entrypoint's verbs use.

A request is one line of JSON, an `Order`.  The answer is lines of JSON: any number of
``{"line": ...}`` as the work goes on, and at last ``{"problems": [...]}``.
"""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

_MAX_REQUEST_BYTES = 4096
_REQUEST_SECONDS = 5.0

Report = Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """A request to the parent.

    Attributes:
        verb: what to do.
        name: the process that it concerns, or "" for all.
        seconds: how long the work may take; 0 for the parent's own limit.
    """

    verb: str
    name: str = ""
    seconds: float = 0.0


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


async def listen(path: Path, handle: Handler) -> asyncio.Server:
    """Answer requests at the socket ``path``, which replaces any earlier one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def send(document: object) -> None:
            writer.write(json.dumps(document).encode() + b"\n")

        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                order = Order(**json.loads(await reader.readline()))
            problems = await handle(order, lambda line: send({"line": line}))
            send({"problems": problems})
            await writer.drain()
        except (OSError, ValueError, TypeError):
            pass  # The client is gone, or is none of ours.
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
