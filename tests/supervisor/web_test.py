"""What the port for health answers."""

import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.web import host_of
from tests.supervisor.containers import Container, Make, containers

_EXAMPLE = "a line such as GET /health HTTP/1.1, and an empty line"


@pytest.fixture(scope="module")
def container() -> Iterator[Container]:
    """Yield a container with two processes."""
    with containers() as one:
        yield one({"main": [], "sync1": []}).start().wait_healthy()


def test_health_of_all_and_of_one(container: Container) -> None:
    """The answer is the same as Synapse's own."""
    assert container.get("/health") == (200, "OK")
    assert container.get("/health/sync1") == (200, "OK")
    assert container.get("/health?verbose=1") == (200, "OK")
    assert container.get("/health", "HEAD") == (200, "")


@pytest.mark.parametrize("path", ["/", "/health/", "/health/nix", "/health/sync1/x", "/metrics"])
def test_other_paths_are_not_found(container: Container, path: str) -> None:
    """The answer lists the paths that exist."""
    said = f"path {path!r}: is unknown; use /health, /health/NAME or /prometheus/targets\n"
    assert container.get(path) == (404, said)


def test_nothing_can_be_changed(container: Container) -> None:
    """Orders go to the control socket."""
    assert container.get("/health", "POST") == (
        405,
        "method 'POST': is not supported; use GET or HEAD\n",
    )


def test_prometheus_finds_every_process(container: Container) -> None:
    """The targets have the host to which it sent its request (http_sd_configs)."""
    status, body = container.get("/prometheus/targets")

    assert status == 200
    assert json.loads(body) == [
        {"targets": [f"127.0.0.1:{one.metrics.port}"], "labels": {"instance": one.name}}
        for one in container.spec.processes
    ]


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("synapse:8080", "synapse"),
        ("synapse", "synapse"),
        ("10.0.0.7:8080", "10.0.0.7"),
        ("[fd00::5]:8080", "[fd00::5]"),
        ("", ""),
    ],
)
def test_the_host_of_a_header(header: str, host: str) -> None:
    """An IPv6 address keeps its brackets."""
    assert host_of(header) == host


def _sent(container: Container, data: bytes) -> tuple[str, str]:
    """Send ``data`` and end the request; return the first line of the answer, and its body."""
    with socket.create_connection(("127.0.0.1", container.spec.port), 10) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as reader:
            head, _, body = reader.read().decode().partition("\r\n\r\n")
    return head.partition("\r\n")[0], body


@pytest.mark.parametrize(
    ("data", "status", "problem"),
    [
        (b"GET /\r\n\r\n", "400 Bad Request", f"request 'GET /': is not HTTP/1; send {_EXAMPLE}"),
        (
            b"GET /health HTTP/2\r\nHost: x\r\n\r\n",
            "400 Bad Request",
            f"request 'GET /health HTTP/2': is not HTTP/1; send {_EXAMPLE}",
        ),
        (
            b"GET /health HTTP/1.1\r\n",
            "400 Bad Request",
            f"request: ends within its headers; send {_EXAMPLE}",
        ),
        (
            b"GET /health HTTP/1.1\r\nX: " + b"x" * 500_000,
            "431 Request Header Fields Too Large",
            "request: longer than 8192 bytes; send fewer headers",
        ),
        (
            b"POST /health HTTP/1.1\r\n\r\n" + b"x" * 500_000,
            "405 Method Not Allowed",
            "method 'POST': is not supported; use GET or HEAD",
        ),
    ],
    ids=["no version", "HTTP/2", "no end", "too long", "body"],
)
def test_a_malformed_request_is_answered(
    container: Container, data: bytes, status: str, problem: str
) -> None:
    """The client learns what is wrong, however much it sends."""
    assert _sent(container, data) == (f"HTTP/1.1 {status}", f"{problem}\n")


def test_a_client_that_asks_nothing_gets_no_answer(container: Container) -> None:
    """A TCP probe only connects."""
    assert _sent(container, b"") == ("", "")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.binary(max_size=300))
def test_whatever_is_sent_is_answered_in_one_line(container: Container, data: bytes) -> None:
    """A scanner may find the port, and the parent goes on."""
    status, body = _sent(container, data + b"\r\n\r\n")
    assert status.startswith("HTTP/1.1 4")
    assert body.removesuffix("\n").isprintable()
    assert container.get("/health/main") == (200, "OK")


def test_a_silent_client_is_told_after_a_while(make: Make) -> None:
    """A hundred silent clients do not keep others from an answer."""
    container = make({"main": []}).start().wait_healthy()
    silent = [socket.create_connection(("127.0.0.1", container.spec.port)) for _ in range(100)]

    assert container.get("/health") == (200, "OK")
    head, _, body = silent[0].recv(1000).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert body.decode() == f"request: not complete within 5 s; send {_EXAMPLE}\n"
    for one in silent:
        one.close()
