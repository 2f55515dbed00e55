"""The life of a container: order, restarts, signals, orders at the control socket."""

import json
import os
import signal
import socket
import stat
import time
from functools import partial
from pathlib import Path

import pytest

from tests.supervisor.containers import Container, Make, until


def wrote(container: Container, name: str, lines: list[str]) -> bool:
    """Return whether a process wrote these lines."""
    return container.lines(name) == lines


THREE = {"main": [], "sync1": ["hup"], "sync2": ["hup"]}


def test_main_is_healthy_before_the_others_start(make: Make) -> None:
    """It migrates the database, which must not happen twice at once."""
    container = make(THREE).start().wait_healthy()
    until(lambda: len(container.lines("(supervisor)")) == 3, "all are noticed")

    assert container.lines("(supervisor)")[0].startswith("main (process ")


def test_workers_end_before_main(make: Make) -> None:
    """After SIGTERM, the exit code says that all ended cleanly."""
    container = make(THREE).start().wait_healthy()
    pids = container.pids()

    assert container.end() == 0
    ends = [line for line in container.text().splitlines() if line.endswith("| ending")]
    assert sorted(ends[:2]) == ["sync1 | ending", "sync2 | ending"]
    assert ends[2:] == ["main | ending"]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())


@pytest.mark.parametrize("name", THREE)
def test_a_killed_process_is_started_again_alone(make: Make, name: str) -> None:
    """It starts after a second; until then, it is unhealthy, but the container is healthy."""
    container = make(THREE).start().wait_healthy()
    before = container.pids()
    os.kill(before[name], signal.SIGKILL)
    until(lambda: not container.healthy(name), f"{name} is gone", 5)
    said = f"{name} was ended by SIGKILL and will be started again\n"

    assert container.get(f"/health/{name}") == (503, said)
    assert container.healthy()
    until(lambda: container.healthy(name), f"{name} is back", 10)
    after = container.pids()
    assert {one for one in THREE if before[one] != after[one]} == {name}
    said = f"{name} was ended by SIGKILL; it starts again in 1 s"
    assert any(line.startswith(said) for line in container.lines("(supervisor)"))


def test_a_process_that_keeps_dying_makes_the_container_unhealthy(make: Make) -> None:
    """The reason is in the answer; the last line, which may be private, only at the socket."""
    container = make({"main": [], "sync1": ["die"]}).start()
    until(lambda: "keeps dying" in container.get("/health")[1], "it is noticed", 40)

    reason = "sync1 keeps dying: 5 times so far; the last time it ended with exit code 3"
    assert container.get("/health") == (503, f"{reason}\n")
    assert container.ask("health") == ([], [f"{reason}; its last line: the reason why"])
    assert container.healthy("main")
    assert container.get("/health/sync1") == (503, f"{reason}\n")
    assert container.lines("sync1") == ["the reason why"] * 5
    begin = time.monotonic()
    assert container.end() == 3
    assert time.monotonic() - begin < 10


def test_all_must_have_been_healthy_once(make: Make) -> None:
    """Until then, the container is not, since a process that never starts is not one restarting."""
    container = make({"main": [], "sync1": ["die"]}).start()
    until(lambda: container.lines("sync1"), "it has died once")

    status, body = container.get("/health")
    assert (status, body.partition(" ")[0]) == (503, "sync1")


def test_sighup_reaches_every_process_and_not_the_parent(make: Make) -> None:
    """Synapse reopens its log and reads its certificates anew."""
    container = make(THREE).start().wait_healthy()
    os.kill(container.pid, signal.SIGHUP)

    for name in ("sync1", "sync2"):
        until(partial(wrote, container, name, ["hup"]), f"{name} gets it")
    time.sleep(0.2)
    assert set(container.pids()) == set(THREE)  # main ignores it, as Synapse does while it starts.


def test_a_process_that_ignores_sigterm_is_killed(make: Make) -> None:
    """The container ends within the 30 s that docs/operating.md gives it."""
    container = make({"main": [], "sync1": ["ignore"]}).start().wait_healthy()
    begin = time.monotonic()

    assert container.end() == 137
    assert time.monotonic() - begin < 28
    assert "sync1 has not ended within 11 s and is killed" in container.lines("(supervisor)")
    assert container.lines("main") == ["ending"]


def test_a_stop_waits_for_requests(make: Make) -> None:
    """They get five seconds; a request that takes longer does not hold up the others."""
    container = make({"main": ["hold"]}).start().wait_healthy()
    begin = time.monotonic()

    assert container.end() == 0
    assert 4 < time.monotonic() - begin < 10


def test_orphans_are_reaped(make: Make) -> None:
    """In a container, the parent is process 1, to which the kernel gives every orphan."""
    container = make({"main": ["grandchild"]}).start().wait_healthy()
    time.sleep(0.5)

    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        assert fields[:2] != ["Z", str(container.pid)]


def test_restart_touches_no_other(make: Make) -> None:
    """Its end does not count as a death."""
    container = make(THREE).start().wait_healthy()
    before = container.pids()

    assert container.ask("restart", "sync1") == (["restarted sync1"], [])
    after = container.pids()
    assert {name for name in THREE if before[name] != after[name]} == {"sync1"}
    assert not any("starts again" in line for line in container.lines("(supervisor)"))


def test_rolling_restart_ends_with_main(make: Make) -> None:
    """They restart one after another, each healthy before the next one ends."""
    container = make(THREE).start().wait_healthy()
    before = container.pids()

    lines = ["restarted sync1", "restarted sync2", "restarted main"]
    assert container.ask("restart") == (lines, [])
    assert not set(before.values()) & set(container.pids().values())


def test_a_restart_shortens_the_pause(make: Make) -> None:
    """Whoever asks for it has removed the cause."""
    container = make({"main": [], "sync1": ["die"]}).start()
    said = "sync1 ended with exit code 3; it starts again in 8 s"
    until(lambda: any(said in line for line in container.lines("(supervisor)")), "it waits", 20)
    container.ask("health")
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(container.spec.control_path))
        asking.sendall(b'{"verb": "restart", "name": "sync1"}\n')
        until(lambda: len(container.lines("sync1")) == 5, "it starts", 5)
    # And its deaths are forgotten.
    said = "sync1 ended with exit code 3; it starts again in 1 s"
    until(lambda: sum(said in line for line in container.lines("(supervisor)")) == 2, "it waits")


def test_a_stop_while_a_process_is_about_to_start(make: Make) -> None:
    """It is no longer forked, since nobody would end it."""
    container = make({"main": [], "sync1": ["die"]}).start()
    until(lambda: container.healthy("main"), "main is healthy")
    until(lambda: container.lines("sync1"), "sync1 has died")
    begin = time.monotonic()

    assert container.end() == 3
    assert time.monotonic() - begin < 10


def test_drain_makes_all_unready_and_names_what_is_in_flight(make: Make) -> None:
    """Health stays good, since an engine must not kill a process that is drained."""
    container = make({"main": [], "sync1": ["hold"]}).start().wait_healthy()
    assert container.ask("ready") == ([], [])

    in_flight = "sync1: after 1 s, requests are still in flight: SlowServlet"
    assert container.ask("drain", seconds=1) == ([], [in_flight])
    draining = [f"{name} is being drained before its stop" for name in ("main", "sync1")]
    assert container.ask("ready") == ([], draining)
    assert container.healthy()
    container.ask("restart", "main")
    assert container.ask("ready") == ([], draining[1:])


def test_unknown_orders_are_answered(make: Make) -> None:
    """The answer lists what would be right."""
    container = make(THREE).start().wait_healthy()

    said = "'nix' is not a process of this container; choose one of main, sync1, sync2"
    assert container.ask("restart", "nix") == ([], [said])
    said = "verb='jump': is unknown; use one of drain, health, ready, restart"
    assert container.ask("jump") == ([], [said])


def test_only_its_user_can_give_orders(make: Make) -> None:
    """The socket has mode 0600 from the moment it exists."""
    container = make(THREE).start().wait_healthy()

    assert stat.S_IMODE(container.spec.control_path.stat().st_mode) == 0o600


def test_a_malformed_request_is_answered(make: Make) -> None:
    """Its sender learns what is wrong, and the parent goes on."""
    container = make({"main": []}).start().wait_healthy()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(container.spec.control_path))
        client.sendall(b"restart\n")
        with client.makefile("rb") as answer:
            assert json.loads(answer.read()) == {
                "problems": [
                    "request 'restart': is not a JSON object on one line; send one, such as "
                    '{"verb": "health"}'
                ]
            }
    assert container.healthy()


def test_a_request_is_limited_in_size_and_in_time(make: Make) -> None:
    """A client that never ends its line does not keep the parent's memory."""
    container = make({"main": []}).start().wait_healthy()
    path = str(container.spec.control_path)
    with socket.socket(socket.AF_UNIX) as long, socket.socket(socket.AF_UNIX) as slow:
        for client in (long, slow):
            client.settimeout(20)
            client.connect(path)
        long.sendall(b"x" * 5000)
        slow.sendall(b"x")
        assert json.loads(long.recv(1000))["problems"] == [
            'request: longer than 4096 bytes; send one line of JSON, such as {"verb": "health"}'
        ]
        assert json.loads(slow.recv(1000))["problems"] == [
            "request: not complete within 5 s; end its line sooner"
        ]
    assert container.healthy()


def test_it_starts_although_a_killed_one_left_its_sockets(make: Make) -> None:
    """Synapse's lock names a process ID, which another process may have by now."""
    container = make({"main": []}).start().wait_healthy()
    container.end(signal.SIGKILL)
    health = Path(container.spec.processes[0].health.path)
    os.symlink("1", f"{health}.lock")
    assert health.is_socket()

    container.start().wait_healthy()
    assert not Path(f"{health}.lock").is_symlink()


def test_systemd_hears_of_the_container_from_the_parent(make: Make) -> None:
    """Once all are healthy. A message from Synapse would make it the main process of the unit."""
    name = f"@parent-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(20)
        systemd.bind("\0" + name[1:])
        container = make({"main": ["report"], "sync1": []}, notify=name).start()

        assert systemd.recv(100) == b"READY=1"
        assert container.healthy()
        assert container.report("main")["notify"] == ""
        container.end()
        assert systemd.recv(100) == b"STOPPING=1"


def test_an_error_of_the_parent_ends_everything(make: Make) -> None:
    """No process is left behind that nobody would restart."""
    container = make(THREE).start("keep")

    assert container.wait(20) == 70
    assert "RuntimeError: broken" in container.text()
    assert container.pids() == {}
