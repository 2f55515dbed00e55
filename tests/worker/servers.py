"""Small servers that respond badly or never, and probes of servers on loopback."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from worker.asking import Probe
from worker.probes import main_process_probes, redis_probes
from worker.settings import Settings, parse

Behaviour = Callable[[socket.socket], None]


def settings(**variables: str) -> Settings:
    """Return the settings of a pusher beside a main process on loopback, plus ``variables``."""
    base = {"SYNAPSE_WORKER": "synapse.app.pusher", "SYNAPSE_REPLICATION_HOST": "127.0.0.1"}
    return parse(base | variables)


def closed_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def server(behaviour: Behaviour) -> Iterator[int]:
    """Serve each connection on loopback with ``behaviour`` inside the context; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener, _serving(listener, behaviour):
        yield listener.getsockname()[1]


@contextlib.contextmanager
def server_at(path: str, behaviour: Behaviour) -> Iterator[None]:
    """Serve each connection on the Unix socket ``path`` with ``behaviour`` inside the context."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with _serving(listener, behaviour):
            yield


@contextlib.contextmanager
def _serving(listener: socket.socket, behaviour: Behaviour) -> Iterator[None]:
    connections = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connections.append(listener.accept()[0])
                threading.Thread(target=quietly, args=[connections[-1]], daemon=True).start()

    def quietly(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            behaviour(connection)

    threading.Thread(target=serve, daemon=True).start()
    yield
    listener.shutdown(socket.SHUT_RDWR)
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()


@contextlib.contextmanager
def hearing(*answers: bytes, path: str = "") -> Iterator[tuple[int, list[bytes]]]:
    """Send the next of ``answers`` for each message, on loopback or the Unix socket ``path``.

    Yields:
        The port, which is 0 for a path, and the list of messages received.
    """
    heard: list[bytes] = []

    def behaviour(connection: socket.socket) -> None:
        for answer in answers:
            message = connection.recv(4096)
            if not message:
                return
            heard.append(message)
            connection.sendall(answer)

    if path:
        with server_at(path, behaviour):
            yield 0, heard
    else:
        with server(behaviour) as port:
            yield port, heard


def silent(connection: socket.socket) -> None:
    """Read everything and send nothing."""
    while connection.recv(4096):
        pass


def deaf(_: socket.socket) -> None:
    """Accept the connection and read nothing."""
    time.sleep(60)


def dripping(connection: socket.socket) -> None:
    """Send one byte at a time, and never a complete line."""
    while True:
        connection.sendall(b"H")
        time.sleep(0.2)


def endless(connection: socket.socket) -> None:
    """Send data endlessly, and never a complete line."""
    while True:
        connection.sendall(b"x" * 65536)


def dripping_headers(connection: socket.socket) -> None:
    """Start an HTTP response and keep adding headers to it."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X: y\r\n")
        time.sleep(0.2)


def saying(answer: bytes) -> Behaviour:
    """Return a behavior that responds to any message with ``answer`` and then closes."""

    def behaviour(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(4096)

    return behaviour


def redis_at(port: int, **more: Any) -> list[Probe]:
    """Return the probe of a Redis server on loopback, with ``more`` in its configuration."""
    return list(
        redis_probes({"redis": {"enabled": True, "host": "127.0.0.1", "port": port} | more})
    )


def main_at(port: int, **more: Any) -> list[Probe]:
    """Return the probe of a main process on loopback, with ``more`` in homeserver.yaml."""
    where = {"main": {"host": "127.0.0.1", "port": port}}
    return list(main_process_probes({"instance_map": where} | more, settings()))


def lines_of(probes: Iterable[Probe]) -> list[str]:
    """Return the line that each of ``probes`` reports."""
    return [probe.ask() for probe in probes]
