"""All services are asked within one deadline, however they behave."""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.worker.servers import (
    Behaviour,
    closed_port,
    deaf,
    dripping,
    dripping_headers,
    endless,
    main_at,
    redis_at,
    saying,
    server,
    settings,
    silent,
)
from worker.asking import Probe, ask, wait
from worker.health import health_probe

STUCK = [silent, deaf, dripping, endless, dripping_headers]


@pytest.mark.parametrize("behaviour", STUCK, ids=lambda behaviour: behaviour.__name__)
@pytest.mark.parametrize(
    "probes",
    [
        pytest.param(redis_at, id="Redis"),
        pytest.param(lambda port: redis_at(port, use_tls=True), id="Redis over TLS"),
        pytest.param(main_at, id="main"),
    ],
)
def test_no_stuck_service_holds_up_the_deadline(
    probes: Callable[[int], list[Probe]], behaviour: Behaviour
) -> None:
    """One deadline limits the whole call, whatever a service does with its connection."""
    with server(behaviour) as port:
        began = time.monotonic()
        lines = ask(probes(port), 0.6)
        took = time.monotonic() - began
    assert len(lines) == 1
    assert f"127.0.0.1 port {port}" in lines[0]
    assert took < 1.2, lines


def test_itself_is_held_to_the_deadline_too() -> None:
    """The plain health check is the one that container engines run most often."""
    with server(dripping_headers) as port:
        request = replace(settings(SYNAPSE_BIND_ADDRESSES="127.0.0.1"), ports={"health": port})
        began = time.monotonic()
        lines = ask([health_probe(request)], 0.5)
    assert lines == [f"synapse.app.pusher at 127.0.0.1 port {port} has not answered within 0.5 s"]
    assert time.monotonic() - began < 1.1


def test_services_are_asked_at_once() -> None:
    """Three silent services take as long as one."""
    with server(silent) as port:
        began = time.monotonic()
        lines = ask([*redis_at(port), *main_at(port), *redis_at(port)], 0.6)
    assert len(lines) == 3
    assert time.monotonic() - began < 1.2


@pytest.mark.parametrize("seconds", [1, 2])
@pytest.mark.parametrize("behaviour", [silent, dripping, None])
def test_wait_keeps_its_deadline_and_leaves_no_process(
    seconds: int, behaviour: Behaviour | None
) -> None:
    """This process becomes Synapse, which would never reap a child process."""
    said: list[str] = []
    with server(behaviour or silent) as open_port:
        port = open_port if behaviour else closed_port()
        began = time.monotonic()
        lines = wait(redis_at(port), seconds, said.append)
        took = time.monotonic() - began
    assert len(lines) == 1
    assert said[0].startswith(f"waiting: Redis at 127.0.0.1 port {port} ")
    assert seconds - 0.5 < took < seconds + 0.5
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_wait_returns_as_soon_as_all_answer() -> None:
    """The next attempt finds a service that has come up late."""
    port = closed_port()

    def come_up() -> None:
        time.sleep(0.7)
        with socket.create_server(("127.0.0.1", port)) as listener:
            for _ in range(2):
                with contextlib.suppress(OSError):
                    saying(b"+PONG\r\n")(listener.accept()[0])

    threading.Thread(target=come_up, daemon=True).start()
    said: list[str] = []
    began = time.monotonic()
    assert wait(redis_at(port), 20, said.append) == []
    assert time.monotonic() - began < 5
    assert said == [f"waiting: Redis at 127.0.0.1 port {port} does not answer: Connection refused"]


def test_a_probe_that_dies_is_one_line() -> None:
    """A probe that is killed, by a library crash or a lack of memory, does not abort the wait."""

    def die() -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""

    probe = Probe("PostgreSQL at db port 5432", die)
    assert wait([probe], 1, lambda _: None) == [
        "PostgreSQL at db port 5432 cannot be checked: its probe was killed"
    ]
