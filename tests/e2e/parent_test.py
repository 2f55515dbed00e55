"""Synapse processes that one parent has forked: what they share, and what they must not share."""

import ctypes
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.homeserver import Homeserver, Parts
from testbed.image import container, entrypoint
from testbed.layout import MAIN, Options
from testbed.processes import Process, memory
from tests.e2e.people import Person, served, until

WORKERS = {"events": "event_persister", "reader": "client_reader+synchrotron+event_creator"}
NAMES = [MAIN, *WORKERS]
PARENT = "parent0"
_KCMP, _KCMP_FILE = 312, 0  # Of x86-64; kcmp(2).
# Seconds after the parent handles signals, until somewhat after all processes are healthy.
MOMENTS = [0, 0.2, 0.5, 0.8, 1.1, 1.5, 2.0, 3.0]


@pytest.fixture(scope="module")
def homeserver(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homeserver]:
    """Yield a homeserver with one parent, as an operator gets it by default."""
    folder = tmp_path_factory.mktemp("parent") / "6"
    found = Homeserver(6, folder, parts, Options(WORKERS, planned=True, parents=1))
    try:
        found.start()
        yield found
    finally:
        for process in (found.processes[name] for name in found.layout.containers):
            print(f"----- {process.name}\n{process.tail(30)}")
        found.kill()


def pids(homeserver: Homeserver) -> dict[str, int]:
    """Return the process IDs of the parent and of each process, by name."""
    return {name: homeserver.processes[name].pid for name in (PARENT, *NAMES)}


def descriptors(pid: int) -> dict[int, str]:
    """Return what each descriptor of a process refers to."""
    folder = Path(f"/proc/{pid}/fd")
    return {int(name): os.readlink(folder / name) for name in os.listdir(folder)}


def status(pid: int, field: str) -> int:
    """Return a field of proc_pid_status(5): a number, or a set of signals as a bit mask."""
    text = Path(f"/proc/{pid}/status").read_text()
    match = re.search(rf"^{field}:\t(\w+)$", text, re.MULTILINE)
    assert match
    return int(match[1], 16 if field.startswith("Sig") else 10)


def same_file(pid: int, descriptor: int, other: int, other_descriptor: int) -> bool:
    """Return whether two descriptors are of one open file description."""
    libc = ctypes.CDLL(None, use_errno=True)
    answer: int = libc.syscall(_KCMP, pid, other, _KCMP_FILE, descriptor, other_descriptor)
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer == 0


def test_no_open_file_is_shared(homeserver: Homeserver) -> None:
    """An epoll descriptor or a connection that two processes had would break both.

    Only standard output and error are one file within a process.
    """
    found = {name: descriptors(pid) for name, pid in pids(homeserver).items()}
    by_name = pids(homeserver)

    for (name, ours), (other, theirs) in itertools.combinations(found.items(), 2):
        shared = [
            (name, ours[a], other, theirs[b])
            for a, b in itertools.product(ours, theirs)
            if ours[a] == theirs[b]
            and "/dev/null" not in ours[a]
            and same_file(by_name[name], a, by_name[other], b)
        ]
        assert shared == []


def test_each_process_has_what_it_would_have_by_itself(homeserver: Homeserver) -> None:
    """Its own reactor, its own connections, and a pipe for its output."""
    for name in NAMES:
        kinds = list(descriptors(homeserver.processes[name].pid).values())
        assert sum(kind == "anon_inode:[eventpoll]" for kind in kinds) == 1, (name, kinds)
        assert descriptors(homeserver.processes[name].pid)[0] == "/dev/null"
        assert len(kinds) < 60


def test_the_parent_has_one_thread_and_no_connection(homeserver: Homeserver) -> None:
    """It can fork at any time, and nothing of it depends on PostgreSQL or Redis."""
    pid = homeserver.processes[PARENT].pid
    assert status(pid, "Threads") == 1
    inodes = {kind.removeprefix("socket:[").removesuffix("]") for kind in descriptors(pid).values()}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # The remote address is 0 for a socket that listens.
    assert [row[2] for row in rows if row[9] in inodes and not row[2].endswith(":0000")] == []


def test_signals_are_those_of_synapse(homeserver: Homeserver) -> None:
    """None is blocked; it handles those that Synapse and Twisted handle, and nothing is ignored
    but what Python ignores.
    """
    handled = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}
    for name in NAMES:
        pid = homeserver.processes[name].pid
        assert status(pid, "SigBlk") == 0
        caught, ignored = status(pid, "SigCgt"), status(pid, "SigIgn")
        assert all(caught >> number - 1 & 1 for number in handled), name
        assert not any(ignored >> number - 1 & 1 for number in handled), name


def test_sighup_reaches_every_process(homeserver: Homeserver) -> None:
    """They go on, and main reads its certificate anew."""
    before = pids(homeserver)
    homeserver.processes[PARENT].signal(signal.SIGHUP)
    log = homeserver.processes[PARENT].log
    until(lambda: "Replacing TLS context factory on" in log.read_text(), "main reads it")

    assert pids(homeserver) == before


def test_each_has_its_own_start_time_and_build(homeserver: Homeserver) -> None:
    """The metrics of a process are not those of its parent."""
    starts = {name: homeserver.count(name, "process_start_time_seconds") for name in NAMES}

    assert starts[MAIN] < min(starts[name] for name in WORKERS)
    for name in NAMES:
        assert abs(time.time() - starts[name]) < 3600
        assert homeserver.count(name, "python_twisted_reactor_tick_time_count") > 0


def test_memory_is_shared(homeserver: Homeserver) -> None:
    """On the default pin: a process by itself has 91 MiB; see docs/one-container.md."""
    used = {name: memory(pid) for name, pid in pids(homeserver).items()}
    print(used)

    assert all(used[name] < 60 for name in WORKERS), used


def test_logs_name_the_process(homeserver: Homeserver) -> None:
    """Every line of the container."""
    lines = homeserver.processes[PARENT].log.read_text().splitlines()
    known = tuple(f"{name} | " for name in (*NAMES, "(supervisor)"))

    assert [line for line in lines if not line.startswith(known)] == []


def test_requests_go_through_default_sockets(homeserver: Homeserver) -> None:
    """nginx, with the folder mounted at the same path."""
    alice = Person(homeserver, "alice")
    room = alice.call("POST", "createRoom", {})["room_id"]
    alice.send(room, "hello")
    until(lambda: alice.reads(room, "hello"), "the message is read")

    assert served(homeserver, "reader", "RoomSendEventRestServlet") > 0
    assert homeserver.count("events", "synapse_storage_events_persisted_events_total") > 0


def test_prometheus_can_scrape_what_it_finds(homeserver: Homeserver) -> None:
    """Each target answers with its own metrics."""
    url = homeserver.layout.health(MAIN).replace("/health/main", "/prometheus/targets")
    with urllib.request.urlopen(url, timeout=10) as answer:
        found = {one["labels"]["instance"]: one["targets"][0] for one in json.load(answer)}

    assert list(found) == NAMES
    for name, target in found.items():
        with urllib.request.urlopen(f"http://{target}/_synapse/metrics", timeout=10) as answer:
            text = answer.read().decode()
        build = re.search(r"^synapse_build_info\{.*\} 1", text, re.MULTILINE)
        assert build, name


def test_a_listener_that_is_gone_is_replaced(homeserver: Homeserver) -> None:
    """After SIGKILL, the lock of each socket names a process that does not exist any more."""
    assert homeserver.sockets is not None
    reader = homeserver.processes["reader"]
    before = reader.pid
    lock = homeserver.sockets / "reader.client.sock.lock"
    reader.kill()
    lock.unlink(missing_ok=True)
    # As after the ID was given to another process, such as this test.
    lock.symlink_to(str(homeserver.processes[MAIN].pid))
    until(lambda: homeserver.healthy("reader"), "it is back")

    assert reader.pid != before


def test_verbs_for_one_process(homeserver: Homeserver) -> None:
    """Each says what it did on one line."""

    def run(*arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            homeserver.command(MAIN, *arguments), text=True, capture_output=True, check=False
        )
        return done.returncode, done.stdout, done.stderr

    assert run("healthcheck", "events") == (0, "healthy\n", "")
    assert run("healthcheck", "--ready") == (0, "ready\n", "")
    unknown = "'nix' is not a process of this container; choose one of main, events, reader"
    for verb in ("healthcheck", "restart", "print-config"):
        assert run(verb, "nix") == (2, "", f"error: {verb}: {unknown}\n")
    code, out, err = run("print-config", "events")
    assert (code, err) == (0, "")
    assert out.startswith("--- # events: homeserver.yaml\n")
    assert re.findall("^--- # (.*)$", out, re.MULTILINE) == [
        f"events: {name}" for name in ("homeserver.yaml", "worker.yaml", "log.yaml")
    ]
    before = pids(homeserver)
    homeserver_yaml = homeserver.data / "homeserver.yaml"
    text = homeserver_yaml.read_text()
    try:
        homeserver_yaml.write_text(text + "redis: 5\n")
        code, out, err = run("restart", "events")
        assert (code, out) == (2, "")
        assert "homeserver.yaml" in err
        assert pids(homeserver) == before
    finally:
        homeserver_yaml.write_text(text)
    assert run("restart", "events") == (0, "restarted events\n", "")
    assert {name for name, pid in pids(homeserver).items() if pid != before[name]} == {"events"}
    assert run("drain") == (0, "drained\n", "")
    code, out, err = run("healthcheck", "--ready")
    assert (code, out) == (1, "")
    assert (
        err
        == "unhealthy: "
        + "; ".join(f"{name} is being drained before its stop" for name in NAMES)
        + "\n"
    )


def first_process(parts: Parts, homeserver: Homeserver, folder: Path) -> Process:
    """Return the container of a parent that is process 1, as in an engine."""
    mounts = {"/synapse_runtime": folder / "runtime", "/synapse_media": folder / "media"}
    for path in mounts.values():
        path.mkdir()
    environ = homeserver.layout.environ(MAIN) | {"SYNAPSE_BIND_ADDRESSES": "127.6.0.99"}
    inside = container(parts.image, parts.root, mounts, environ, {"/data": homeserver.data})
    command = replace(inside, first=True).command(*entrypoint(parts.image))
    return Process("first", command, folder / "log")


def is_parent(process: Process) -> bool:
    """Return whether process 1 is the parent, with a handler for SIGTERM."""
    try:
        words = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        caught = status(process.pid, "SigCgt")
    except OSError:
        return False
    return any(b"supervisor" in word for word in words[:5]) and bool(
        caught >> signal.SIGTERM - 1 & 1
    )


@pytest.mark.parametrize("seconds", MOMENTS)
def test_sigterm_ends_the_container_at_any_time(
    parts: Parts, homeserver: Homeserver, tmp_path: Path, seconds: float
) -> None:
    """While Synapse is imported, while processes start, and afterwards; this test comes last."""
    homeserver.processes[PARENT].stop()
    process = first_process(parts, homeserver, tmp_path)
    process.start()
    process.wait_until(lambda: is_parent(process), every=0.002)
    time.sleep(seconds)
    began = time.monotonic()
    process.signal(signal.SIGTERM)
    code = process.wait(30)

    assert code in (0, 143), process.tail()
    assert time.monotonic() - began < 10
    with socket.socket() as probe:
        assert probe.connect_ex(("127.6.0.99", 8080)) != 0
