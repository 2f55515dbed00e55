"""What a health check says: of this container's Synapse alone, or of all that it needs."""

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
    """The system's own, or the first of a library's; never nothing."""
    assert reason_of(error) == reason


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A pusher's environment; this process keeps its rights."""
    monkeypatch.setattr("worker.__main__.drop_rights", lambda _: [])
    return {
        "SYNAPSE_WORKER": "synapse.app.pusher",
        "SYNAPSE_REPLICATION_HOST": "127.0.0.1",
        "SYNAPSE_BIND_ADDRESSES": "127.0.0.1",
        "SYNAPSE_RUNTIME_DIR": str(tmp_path),
    }


@pytest.fixture
def health_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make another port than 8080 that of health checks."""
    table = load_table()

    def at(port: int) -> None:
        other = replace(table, ports={**table.ports, "health": port})
        monkeypatch.setattr("worker.settings.load_table", lambda: other)

    return at


def rendered(environ: dict[str, str], redis: int, main_process: int) -> None:
    """Write the document that `start` has rendered, with these ports on loopback."""
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
    """An engine would restart it for a failure of another otherwise."""
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
    """As the rendered document has it; each that fails is named."""
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
    """In one word."""
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
    """Nothing has been rendered either, so that Synapse is all there is to ask."""
    with server(saying(b"SSH-2.0-OpenSSH\r\n")) as port:
        health_at(port)
        assert main(["healthcheck", "--ready"], environ) == 1
    line = capsys.readouterr().err
    assert line.startswith(
        f"unhealthy: synapse.app.pusher at 127.0.0.1 port {port} does not answer: SSH-2.0-OpenSSH"
    )
