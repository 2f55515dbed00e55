"""The health check's output: for this container's Synapse only, or for all that it needs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.worker.servers import closed_port, saying, server
from worker.__main__ import main
from worker.health import reason_of
from worker.worker_types import load_table

BAD_STREAM = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(111, "Connection refused"), "Connection refused"),
        (ValueError("one\ntwo"), "one"),
        (ValueError("\n one "), "one"),
        (ValueError(""), "ValueError"),
    ],
)
def test_a_failure_has_one_line(error: Exception, reason: str) -> None:
    """It is the system's message, the first line of a library's, or the exception's type."""
    assert reason_of(error) == reason


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return a pusher's environment, and let this process keep its privileges."""
    monkeypatch.setattr("worker.__main__.drop_rights", lambda _: [])
    return {
        "SYNAPSE_WORKER": "synapse.app.pusher",
        "SYNAPSE_REPLICATION_HOST": "127.0.0.1",
        "SYNAPSE_BIND_ADDRESSES": "127.0.0.1",
        "SYNAPSE_RUNTIME_DIR": str(tmp_path),
    }


@pytest.fixture
def health_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that sets a port other than 8080 for health checks."""
    table = load_table()

    def at(port: int) -> None:
        other = replace(table, ports={**table.ports, "health": port})
        monkeypatch.setattr("worker.settings.load_table", lambda: other)

    return at


def rendered(environ: dict[str, str], redis: int, main_process: int) -> None:
    """Write the document that `start` would have rendered, with these ports on loopback."""
    document = {
        "redis": {"enabled": True, "host": "127.0.0.1", "port": redis},
        "instance_map": {"main": {"host": "127.0.0.1", "port": main_process}},
    }
    path = Path(environ["SYNAPSE_RUNTIME_DIR"], "homeserver.yaml")
    path.write_text(yaml.safe_dump(document))


def test_healthy_is_synapse_alone(
    environ: dict[str, str],
    health_at: Callable[[int], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Otherwise an engine would restart the container when another service fails."""
    rendered(environ, closed_port(), closed_port())
    with server(saying(HEALTHY)) as port:
        health_at(port)
        assert main(["healthcheck"], environ) == 0
    assert capsys.readouterr() == ("healthy\n", "")


def test_ready_asks_all_that_synapse_needs(
    environ: dict[str, str],
    health_at: Callable[[int], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The rendered document determines what to ask, and each failing service is named."""
    redis, main_process = closed_port(), closed_port()
    rendered(environ, redis, main_process)
    with server(saying(HEALTHY)) as port:
        health_at(port)
        assert main(["healthcheck", "--ready"], environ) == 1
    refused = "does not answer: Connection refused"
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"unhealthy: Redis at 127.0.0.1 port {redis} {refused}; "
        f"the main process at 127.0.0.1 port {main_process} {refused}\n"
    )


def test_ready_when_everything_answers(
    environ: dict[str, str],
    health_at: Callable[[int], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The output is a single word."""
    with (
        server(saying(HEALTHY)) as port,
        server(saying(b"+PONG\r\n")) as redis,
        server(saying(BAD_STREAM)) as main_process,
    ):
        health_at(port)
        rendered(environ, redis, main_process)
        status = main(["healthcheck", "--ready"], environ)
    assert capsys.readouterr() == ("ready\n", "")
    assert status == 0


def test_what_is_not_http_is_no_answer(
    environ: dict[str, str],
    health_at: Callable[[int], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No document has been rendered here, so only Synapse itself is asked."""
    with server(saying(b"SSH-2.0-OpenSSH\r\n")) as port:
        health_at(port)
        assert main(["healthcheck", "--ready"], environ) == 1
    line = capsys.readouterr().err
    assert line.startswith(
        f"unhealthy: synapse.app.pusher at 127.0.0.1 port {port} does not answer: SSH-2.0-OpenSSH"
    )
