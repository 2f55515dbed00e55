"""Draining: which requests are waited for, for how long, and what is said about the others."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.requests import in_flight
from tests.worker.servers import closed_port, saying, server
from worker.__main__ import main
from worker.worker_types import load_table

METRIC = "synapse_http_server_in_flight_requests_count"
SEND = f'{METRIC}{{method="PUT",servlet="RoomSendEventRestServlet",server_name="x"}} 2.0\n'
SYNC = f'{METRIC}{{method="GET",servlet="SyncRestServlet"}} 7.0\n'
OWN = f'{METRIC}{{method="GET",servlet="MetricsResource",server_name="x"}} 1.0\n'
DONE = f'{METRIC}{{method="GET",servlet="WhoamiRestServlet"}} 0.0\n'


@pytest.mark.parametrize(
    ("metrics", "servlets"),
    [
        ("", []),
        (SYNC + DONE + OWN, []),
        (SEND, ["RoomSendEventRestServlet"]),
        (DONE + SEND + SYNC + SEND, ["RoomSendEventRestServlet"]),
        (f'# HELP {METRIC} x\n{METRIC}_other{{servlet="A"}} 1.0\n', []),
    ],
)
def test_long_polls_are_not_waited_for(metrics: str, servlets: list[str]) -> None:
    """They take half a minute, and a proxy may repeat them."""
    assert in_flight(metrics) == servlets


@pytest.fixture
def drained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs the verb with a port for the metrics."""
    monkeypatch.setattr("worker.__main__.drop_rights", lambda _: [])
    environ = {
        "SYNAPSE_WORKER": "synapse.app.pusher",
        "SYNAPSE_REPLICATION_HOST": "127.0.0.1",
        "SYNAPSE_BIND_ADDRESSES": "127.0.0.1",
        "SYNAPSE_RUNTIME_DIR": str(tmp_path),
    }

    def run(port: int, *arguments: str) -> tuple[int, str, str]:
        table = load_table()
        other = replace(table, ports={**table.ports, "metrics": port})
        monkeypatch.setattr("worker.settings.load_table", lambda: other)
        code = main(["drain", *arguments], environ)
        printed = capsys.readouterr()
        assert (tmp_path / "draining").exists() or "number of seconds" in printed.err
        return code, printed.out, printed.err

    return run


def answer(metrics: str) -> bytes:
    """Return an HTTP response with these metrics."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(metrics)}\r\n\r\n"
    return (head + metrics).encode()


def test_it_ends_when_nothing_is_in_flight(drained: Callable[..., tuple[int, str, str]]) -> None:
    """It returns at once, long before its limit."""
    with server(saying(answer(SYNC + OWN))) as port:
        assert drained(port, "600") == (0, "drained\n", "")


def test_it_names_what_is_still_in_flight(drained: Callable[..., tuple[int, str, str]]) -> None:
    """The limit is kept, and an engine sees the code of a service that is not ready in time."""
    with server(saying(answer(SEND))) as port:
        message = (
            "error: drain: after 1 s, requests are still in flight: RoomSendEventRestServlet; take "
            "the process out of the proxy first\n"
        )
        assert drained(port, "1") == (75, "", message)


def test_it_waits_first_until_proxies_send_no_more_requests(
    drained: Callable[..., tuple[int, str, str]],
) -> None:
    """A process that is idle when it becomes unready still gets requests for a while."""
    with server(saying(answer(SYNC + OWN))) as port:
        begin = time.monotonic()
        assert drained(port, "--delay=2") == (0, "drained\n", "")
        assert time.monotonic() - begin > 2


@pytest.mark.parametrize("seconds", ["601", "-1", "1.5", "x", ""])
def test_a_wrong_delay(drained: Callable[..., tuple[int, str, str]], seconds: str) -> None:
    """Nothing is drained."""
    message = (
        f"error: drain: --delay={seconds!r} is not a number of seconds from 0 to 600; use one, for "
        "example 15\n"
    )
    assert drained(1, f"--delay={seconds}") == (2, "", message)


def test_a_failure_may_be_no_failure(drained: Callable[..., tuple[int, str, str]]) -> None:
    """Compose stops nothing if a hook fails, as after a mistake in the settings."""
    port = closed_port()
    line = f"error: drain: the metrics at 127.0.0.1 port {port} do not answer: Connection refused\n"
    assert drained(port, "--stop-anyway") == (0, "", line)
    code, _, said = drained(1, "--stop-anyway", "0")
    assert (code, said[:35]) == (0, "error: drain '0' is not a number of")


def test_a_process_that_is_gone_is_reported(drained: Callable[..., tuple[int, str, str]]) -> None:
    """There is nothing to wait for, but its requests may have been cut off."""
    port = closed_port()
    line = f"error: drain: the metrics at 127.0.0.1 port {port} do not answer: Connection refused\n"
    assert drained(port) == (75, "", line)


@pytest.mark.parametrize("seconds", ["0", "601", "-1", "1.5", "x", "", "9" * 400])
def test_a_wrong_number_of_seconds(
    drained: Callable[..., tuple[int, str, str]], seconds: str
) -> None:
    """Nothing is drained."""
    message = (
        f"error: drain {seconds[:40]!r} is not a number of seconds from 1 to 600; use one, for "
        "example 15\n"
    )
    assert drained(1, "--", seconds) == (2, "", message)
