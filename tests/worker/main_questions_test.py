"""Tests for the probe of the main process: its address, its request and the responses."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.worker.servers import (
    closed_port,
    hearing,
    lines_of,
    main_at,
    saying,
    server,
    settings,
)
from worker.probes import main_process_probes

MAIN = "homeserver.yaml: instance_map.main"


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (None, "127.0.0.1 port 9093"),
        ({}, "127.0.0.1 port 9093"),
        ([], "127.0.0.1 port 9093"),
        ({"main": {"host": "main", "port": 1}}, "main port 1"),
        ({"main": {"host": "main", "port": 65535}}, "main port 65535"),
        ({"main": {"path": "/sockets/main", "port": 0}}, "/sockets/main"),
    ],
)
def test_the_main_process_is_called_by_its_address(where: object, name: str) -> None:
    """The address comes from `instance_map`, or by default from SYNAPSE_REPLICATION_HOST."""
    (probe,) = main_process_probes({"instance_map": where}, settings())
    assert probe.name == f"the main process at {name}"


def test_the_main_process_behind_a_socket_is_called_by_its_path() -> None:
    """Every process of the plan uses the same path."""
    (probe,) = main_process_probes({}, settings(SYNAPSE_UNIX_SOCKETS="/sockets"))
    assert probe.name == "the main process at /sockets/main.replication.sock"


def test_the_main_process_is_not_asked_by_itself() -> None:
    """The main process does not listen yet, so it has no probe for itself."""
    assert list(main_process_probes({}, settings(SYNAPSE_WORKER="homeserver"))) == []


@pytest.mark.parametrize(
    ("main", "given"),
    [
        ({"host": "main", "port": 0}, "a mapping of another shape"),
        ({"host": "main", "port": 65536}, "a mapping of another shape"),
        ({"host": 5, "port": 1}, "a mapping of another shape"),
        ({"host": "main", "port": 1, "path": 5}, "a mapping of another shape"),
        ({"port": 1}, "a mapping of another shape"),
        ("main", "text"),
        (5, "5"),
    ],
)
def test_an_address_of_the_main_process_that_is_none_is_named(main: object, given: str) -> None:
    """The probe reports the invalid address in one line and does not connect."""
    (probe,) = main_process_probes({"instance_map": {"main": main}}, settings())
    remedy = "make it a mapping with host and port, or path"
    assert (probe.name, probe.ask()) == (MAIN, f"{MAIN} is {given}; {remedy}")


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (b"HTTP/1.1 400 x\r\n\r\n", ""),
        (
            b"HTTP/1.1 500 x\r\n\r\n",
            "refuses the replication secret; give every process the same signing.key, or the same "
            "SYNAPSE_REPLICATION_SECRET_FILE",
        ),
        (
            b"HTTP/1.1 404 x\r\n\r\n",
            "is not a replication listener of Synapse: it answers with status 404",
        ),
        (b"+PONG\r\n", "does not answer: +PONG"),
    ],
)
def test_what_the_answer_of_the_main_process_means(status: bytes, line: str) -> None:
    """The responses include those of other services on that port."""
    with server(saying(status)) as port:
        (found,) = lines_of(main_at(port))
    assert found == (f"the main process at 127.0.0.1 port {port} {line}" if line else "")


def test_a_main_process_that_is_not_there_is_one_line() -> None:
    """The line includes the kernel's error message."""
    port = closed_port()
    assert lines_of(main_at(port)) == [
        f"the main process at 127.0.0.1 port {port} does not answer: Connection refused"
    ]


def test_the_main_process_is_asked_at_its_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request goes over the Unix socket, as it does from Synapse's own workers."""
    monkeypatch.chdir(tmp_path)  # The path of a Unix socket must be short.
    with hearing(b"HTTP/1.1 400 x\r\n\r\n", path="here") as (_, heard):
        document = {"instance_map": {"main": {"path": "here"}}}
        assert lines_of(main_process_probes(document, settings())) == [""]
    assert b"\r\nHost: localhost\r\n" in heard[0]


@pytest.mark.parametrize("secret", ["in homeserver.yaml", "in a file", None])
def test_the_main_process_is_asked_for_a_stream_that_is_none(
    tmp_path: Path, secret: str | None
) -> None:
    """The request has the secret and a unique name, since Synapse caches responses for a while."""
    path = tmp_path / "secret"
    path.write_text("hunter22\n")
    given: dict[str, Any] = {
        "in homeserver.yaml": {"worker_replication_secret": "hunter22"},
        "in a file": {"worker_replication_secret_path": str(path)},
        None: {},
    }[secret]
    with hearing(b"HTTP/1.1 400 x\r\n\r\n") as (port, heard):
        assert lines_of(main_at(port, **given)) == [""]
    first, *headers = heard[0].decode().splitlines()
    place = "/_synapse/replication/get_repl_stream_updates/is_the_secret_right/[0-9a-f]{16}"
    assert re.fullmatch(f"GET {place} HTTP/1.1", first)
    sent = [header for header in headers if header.startswith("Authorization")]
    assert sent == (["Authorization: Bearer hunter22"] if secret else [])
