"""What the port for health answers."""

import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.web import host_of
from tests.supervisor.containers import Container, Make, containers


@pytest.fixture(scope="module")
def container() -> Iterator[Container]:
    """Yield a container with two processes."""
    with containers() as one:
        yield one({"main": [], "sync1": []}).start().wait_healthy()


def test_health_of_all_and_of_one(container: Container) -> None:
    """The body is Synapse's own."""
    assert container.get("/health") == (200, "OK")
    assert container.get("/health/sync1") == (200, "OK")
    assert container.get("/health?verbose=1") == (200, "OK")
    assert container.get("/health", "HEAD") == (200, "")


@pytest.mark.parametrize("path", ["/", "/health/", "/health/nix", "/health/sync1/x", "/metrics"])
def test_other_paths_are_not_found(container: Container, path: str) -> None:
    """The answer says what there is."""
    said = "there are /health, /health/NAME and /prometheus/targets\n"
    assert container.get(path) == (404, said)


def test_nothing_can_be_changed(container: Container) -> None:
    """Orders go to the control socket."""
    assert container.get("/health", "POST") == (405, "use GET or HEAD\n")


def test_prometheus_finds_every_process(container: Container) -> None:
    """At the host that it used itself (http_sd_configs)."""
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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.binary(max_size=300))
def test_whatever_is_sent_the_parent_goes_on(container: Container, data: bytes) -> None:
    """A scanner may find the port."""
    with socket.create_connection(("127.0.0.1", container.spec.port), 10) as sending:
        sending.sendall(data + b"\r\n\r\n")
        sending.shutdown(socket.SHUT_WR)
        answer = sending.recv(1000)
    assert answer.startswith((b"HTTP/1.1 4", b"")), answer
    assert container.get("/health/main") == (200, "OK")


def test_a_silent_client_is_left_alone(make: Make) -> None:
    """A hundred of them do not keep others from an answer."""
    container = make({"main": []}).start().wait_healthy()
    silent = [socket.create_connection(("127.0.0.1", container.spec.port)) for _ in range(100)]

    assert container.get("/health") == (200, "OK")
    assert silent[0].recv(10) == b""
    for one in silent:
        one.close()
