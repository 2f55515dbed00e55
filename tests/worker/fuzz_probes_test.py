"""Fuzz tests of what the database, Redis, the main process and Synapse itself answer to a probe.

The services are sockets that send whatever Hypothesis generates; the lines of `asking` must not
contain a secret.
"""

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.cases import yaml_values
from tests.worker.fuzzing import DEADLINE, SECRET, Tally, many
from worker.asking import ask
from worker.health import health_probe
from worker.probes import secret_mask, service_probes
from worker.settings import parse

_SECONDS = 1.0
_SETTINGS = parse({"SYNAPSE_WORKER": "synapse.app.pusher", "SYNAPSE_REPLICATION_HOST": "127.0.0.1"})


class Server:
    """A service on loopback that answers every connection with the same bytes, then closes it."""

    def __init__(self) -> None:
        self.answer = b""
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1)
                try:
                    connection.recv(4096)
                    connection.sendall(self.answer)
                except OSError:
                    continue

    def close(self) -> None:
        """Stop listening."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def server() -> Iterator[Server]:
    """Yield one server that stands in for all services."""
    found = Server()
    yield found
    found.close()


_STATUSES = [b"200 OK", b"400 Bad", b"500 No", b"100 Continue", b"99999", b"-1", b""]
_HEADERS = [
    b"",
    b"Content-Length: 5",
    b"Content-Length: -1",
    b"Content-Length: " + b"9" * 400,
    b"Transfer-Encoding: chunked",
    b"X: " + b"a" * 70000,
    b"A: b\r\n" * 200,
    b"\xff: \0",
]
_REPLIES = [b"+PONG\r\n", b"-NOAUTH Authentication required.\r\n", b"-\r\n", b"+", b"+PO", b"$-1"]
_POSTGRES = [b"S", b"N", b"R" + b"\0" * 8, b"E\0\0\0\x10SFATAL\0\0"]
_ANSWERS = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda *parts: b"HTTP/%s %s\r\n%s\r\n\r\n%s" % parts,
        st.sampled_from([b"1.1", b"1.0", b"9", b"x"]),
        st.sampled_from(_STATUSES),
        st.sampled_from(_HEADERS),
        st.binary(max_size=20),
    ),
    st.sampled_from(_REPLIES + _POSTGRES),
    st.builds(
        lambda kind, text: b"-ERR " + kind + text + SECRET.encode() + b"\r\n",
        st.sampled_from([b"", b"\x1b[2J", b"\n", b"\xff"]),
        st.binary(max_size=8),
    ),
)


def _document(port: int, changes: dict[str, Any]) -> dict[str, Any]:
    """Return a document whose services are all at ``port``, with ``changes`` of any type."""
    place = {"host": "127.0.0.1", "port": port}
    args = place | {"user": "synapse", "password": SECRET, "dbname": "synapse"}
    document: dict[str, Any] = {
        "database": {"name": "psycopg2", "args": args},
        "redis": place | {"enabled": True, "password": SECRET},
        "instance_map": {"main": place},
        "worker_replication_secret": SECRET,
    }
    for path, value in changes.items():
        inner, *names = path.split(".")
        if names:
            document[inner] = {**document[inner]}
            if len(names) == 2:
                document[inner][names[0]] = {**document[inner][names[0]], names[1]: value}
            else:
                document[inner][names[0]] = value
        else:
            document[inner] = value
    return document


_PLACES = st.sampled_from(
    "database.args database.args.dsn database.args.password database.args.port "
    "database.args.sslmode databases instance_map.main instance_map.main.path "
    "instance_map.main.port redis.ca_file redis.host redis.password redis.password_path redis.path "
    "redis.port redis.use_tls redis.username worker_replication_secret "
    "worker_replication_secret_path".split()
)
_CHANGES = st.one_of(
    st.just({}), st.builds(lambda place, value: {place: value}, _PLACES, yaml_values())
)


def test_any_answer(server: Server, tally: Tally) -> None:
    """A probe returns at most one line, in time, whatever the service answers."""

    @many()
    @given(answer=_ANSWERS, changes=_CHANGES)
    def check(answer: bytes, changes: dict[str, Any]) -> None:
        server.answer = answer
        settings = replace(_SETTINGS, ports={**_SETTINGS.ports, "health": server.port})
        settings = replace(settings, bind_addresses=("127.0.0.1",))
        document = _document(server.port, changes)
        start = time.monotonic()
        probes = [health_probe(settings), *service_probes(document, settings)]
        lines = ask(probes, _SECONDS, secret_mask(document))
        seconds = time.monotonic() - start
        tally.add(1 if lines else 0, seconds)
        assert seconds < DEADLINE  # Allows for a busy machine; an endless answer would take longer.
        assert all(line and line.isprintable() for line in lines), lines
        assert not any("Traceback" in line for line in lines), lines
        whole = all(name not in changes for name in ("redis.password", "database.args.password"))
        if whole:
            assert SECRET not in "".join(lines), lines

    check()
    tally.must_have_seen(1)
