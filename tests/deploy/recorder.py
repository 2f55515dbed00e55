"""HTTP servers in place of Synapse's processes, which answer with what they received."""

import asyncio
import json
import ssl
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from deploy.routing import MAIN, WHOAMI, Routing, Server

_T = TypeVar("_T")
_MAX_HEAD = 64 * 1024  # Bytes of a request line and headers.


@dataclass(frozen=True)
class Received:
    """A request as one of the servers received it.

    Attributes:
        name: the name of the server.
        method: the method.
        target: the path with its query, as in the request line.
        headers: the headers with lower-case names, in their order.
        body_bytes: the length of the body.
    """

    name: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body_bytes: int

    def values(self, name: str) -> list[str]:
        """Return the values of a header."""
        return [value for header, value in self.headers if header == name]


def received(body: bytes) -> Received:
    """Return the request that an answer of a server describes."""
    document = json.loads(body)
    headers = tuple((name, value) for name, value in document.pop("headers"))
    return Received(headers=headers, **document)


async def _body_bytes(reader: asyncio.StreamReader, headers: dict[str, str]) -> int:
    """Read the body of a request; return its length."""
    if "chunked" in headers.get("transfer-encoding", ""):
        total = 0
        while size := int((await reader.readline()).split(b";")[0], 16):
            await reader.readexactly(size + 2)
            total += size
        await reader.readline()
        return total
    length = int(headers.get("content-length", "0"))
    await reader.readexactly(length)
    return length


class Recorder:
    """One server for each process of a plan, at the process's own address.

    Attributes:
        users: the user IDs by access token. For these tokens, the main process answers
            ``/account/whoami`` as Synapse does.
        asked: the tokens of those answers, in their order.
    """

    def __init__(self, routing: Routing, tls: Path, sockets: Path | None = None) -> None:
        """Prepare the servers.

        Args:
            routing: the routes, whose hosts are addresses of this machine.
            tls: the folder with ``tls.crt`` and ``tls.key`` for servers with TLS.
            sockets: the folder of the Unix sockets on this machine, whatever it is in the routes.
        """
        self.users: dict[str, str] = {}
        self.asked: list[str] = []
        self.servers = {server.name: server for server in routing.servers}
        self._sockets = sockets
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._listening: dict[str, asyncio.Server] = {}
        self._connections: dict[str, set[asyncio.StreamWriter]] = {
            name: set() for name in self.servers
        }

    def __enter__(self) -> Self:
        """Start all servers."""
        self._thread.start()
        for name in self.servers:
            self.start(name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop all servers."""
        for name in list(self._listening):
            self.stop(name)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def start(self, name: str) -> None:
        """Start a server that is stopped."""
        self._listening[name] = self._wait(self._start(self.servers[name]))

    def stop(self, name: str) -> None:
        """Stop a server; its connections are closed, and new ones are refused."""
        self._wait(self._stop(name))

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        future: Future[_T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(10)

    async def _start(self, server: Server) -> asyncio.Server:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections = self._connections[server.name]
            connections.add(writer)
            try:
                while await self._answer_one(server.name, reader, writer):
                    pass
            except (OSError, asyncio.IncompleteReadError):
                pass  # The client closed the connection.
            finally:
                connections.discard(writer)
                writer.close()

        if server.socket:
            assert self._sockets is not None
            path = self._sockets / Path(server.socket).name
            path.unlink(missing_ok=True)
            return await asyncio.start_unix_server(answer, path, limit=_MAX_HEAD)
        context = self._context if server.tls else None
        return await asyncio.start_server(
            answer, server.host, server.port, ssl=context, backlog=512, limit=_MAX_HEAD
        )

    async def _stop(self, name: str) -> None:
        self._listening.pop(name).close()
        for writer in list(self._connections[name]):
            writer.transport.abort()

    async def _answer_one(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer one request; return whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request_line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        method, target, version = request_line.split(" ")
        pairs = [line.split(":", 1) for line in lines]
        headers = [(header.lower(), value.strip()) for header, value in pairs]
        length = await _body_bytes(reader, dict(headers))
        document = {
            "name": name,
            "method": method,
            "target": target,
            "headers": headers,
            "body_bytes": length,
        }
        token = dict(headers).get("authorization", "").removeprefix("Bearer ")
        if name == MAIN and target == WHOAMI and token in self.users:
            self.asked.append(token)
            document = {"user_id": self.users[token], "is_guest": False, "device_id": "D"}
        body = json.dumps(document).encode()
        stays = version == "HTTP/1.1" and ("connection", "close") not in headers
        connection = "keep-alive" if stays else "close"
        # The answer to HEAD has the body's length, but no body; hence the header with the name.
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Name: {name}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: {connection}\r\n\r\n".encode()
        )
        if method != "HEAD":
            writer.write(body)
        await writer.drain()
        return stays
