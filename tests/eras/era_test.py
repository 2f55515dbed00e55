"""Tests of a pin of another era: the structure of every worker type, and a running homeserver."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from deploy.metrics import METRICS
from testbed.first_steps import WORKERS, talk
from testbed.homeserver import Homeserver, Parts
from testbed.image import read_image, unpack
from testbed.layout import Options
from testbed.site import WORKERS as DUTIES_ELSEWHERE
from testbed.site import make_authority, make_mounts
from tests.e2e.watched import watch
from tests.upstream.agreement import (
    STAYED_WITH_MAIN,
    STAYS_WITH_MAIN,
    kinds,
    unrouted,
    unserved,
    without_main,
)
from tests.upstream.servlets import served
from tests.worker_images.structure import (
    ABSENT,
    command_tests,
    files_here,
    imported,
    metadata_test,
    run_inside,
)
from tools.digests import check_digest
from worker.worker_types import ProcessType, load_table

PIN_JSON = Path(os.environ["PIN"])
PIN = json.loads(PIN_JSON.read_text())
MODULES = imported(Path(os.environ["LOCK"]))
TABLE = replace(load_table(), version=PIN["version"])
# Metrics with labels that the oldest of these releases, 1.66, does not even declare before there is
# work for them; this homeserver has no application service.
UNDECLARED = {
    "synapse_appservice_api_failed_transactions_total",
    "synapse_appservice_api_sent_events_total",
}
# Only the oldest versions can replicate over TCP, without Redis.
TCP = TABLE.has("tcp_replication")
_ESTABLISHED, _LISTENS = "01", "0A"


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """Yield the shared parts: the image, unpacked once, the services and a CA."""
    folder = tmp_path_factory.mktemp("parts")
    image = read_image(Path(os.environ["IMAGE"]))
    unpack(image, folder / "root")
    services = Path(os.environ["SERVICES"]).resolve().parent / "root"
    yield Parts(image, folder / "root", services, make_authority(folder / "authority"))
    subprocess.run(["rm", "-rf", folder / "root"], check=True)


def test_the_image_has_the_digest_in_git() -> None:
    """The image's digest is the one in git, as for the default pin."""
    check_digest(PIN_JSON, Path(os.environ["DIGEST"]))


@pytest.mark.parametrize("worker", TABLE.apps.values(), ids=lambda worker: worker.slug)
def test_structure(parts: Parts, worker: ProcessType, tmp_path: Path) -> None:
    """Each worker type passes the same structure tests as with the default pin."""
    mounts = make_mounts(tmp_path, DUTIES_ELSEWHERE)
    # All types share the layers, so importing every module of Synapse once is enough.
    commands = command_tests(parts.image, worker, MODULES if worker.is_main else [])
    files = [
        {"name": path, "path": path, "shouldExist": True} for path in files_here(PIN["python"])
    ]
    files += [{"name": path, "path": path, "shouldExist": False} for path in ABSENT]
    # image/worker_image.bzl adds the variable to the image that all types share.
    config = parts.image.config["config"]
    environ = [*config["Env"], f"SYNAPSE_WORKER={worker.app}"]
    document = {
        "commandTests": commands,
        "fileExistenceTests": files,
        "metadataTest": metadata_test(parts.image, PIN, TABLE.ports, worker.app),
    }
    said = run_inside(
        parts.image,
        parts.root,
        mounts,
        tmp_path / "inside",
        document,
        {"config": {**config, "Env": environ}},
    )
    assert f"Passes:      {len(commands) + len(files) + 1}" in said, said


@pytest.mark.parametrize("delegated", [False, True], ids=["own logins", "delegated logins"])
def test_requests_go_to_processes_that_serve_them(
    parts: Parts, tmp_path: Path, delegated: bool
) -> None:
    """The one table of routes fits this Synapse; see tests/upstream/servlets_test.py."""
    folder = tmp_path / "served"
    processes = served(parts.image, parts.root, folder, kinds(TABLE), delegated=delegated)
    assert list(unrouted(TABLE, processes, STAYS_WITH_MAIN | STAYED_WITH_MAIN)) == []
    assert list(unserved(TABLE, processes)) == []
    assert list(without_main(TABLE, processes)) == []


@pytest.fixture(scope="module")
def homeserver(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homeserver]:
    """Yield a homeserver with main and two workers, configured as for the predecessor."""
    folder = tmp_path_factory.mktemp("hs") / "1"
    made = Homeserver(1, folder, parts, Options(WORKERS, redis=not TCP))
    try:
        made.start()
        yield made
    finally:
        for process in made.processes.values():
            print(f"----- {process.name}\n{process.tail(15)}")
        made.kill()


def test_workers_replicate(homeserver: Homeserver) -> None:
    """A message sent through one worker reaches a sync that is waiting at another."""
    seconds = talk(homeserver)
    print(f"Synapse {PIN['version']}: the waiting sync had it after {seconds:.2f} s")


def connections(port: int) -> list[tuple[str, str]]:
    """Return (remote address, state) of every IPv4 socket with local port ``port`` (proc(5))."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [(row[2], row[3]) for row in rows if row[1].endswith(f":{port:04X}")]


def test_events_come_as_the_era_has_it(homeserver: Homeserver) -> None:
    """Workers get events over TCP from main's port if the era has it, otherwise through Redis."""
    assert ("redis" in homeserver.processes) is not TCP
    port = TABLE.ports["tcp_replication"]
    assert (("00000000:0000", _LISTENS) in connections(port)) is TCP
    # Both workers stay connected.
    connected = [end for end, state in connections(port) if state == _ESTABLISHED]
    assert len(connected) == (2 if TCP else 0), connections(port)


def test_healthcheck_and_readiness(homeserver: Homeserver) -> None:
    """Both verbs work in this era, for the main process and a worker."""
    for name in ("main", "synchrotron"):
        done = subprocess.run(
            homeserver.command(name, "healthcheck", "--ready"),
            text=True,
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "ready\n"), done.stderr


def test_the_metrics_of_the_alerts_exist(homeserver: Homeserver, parts: Parts) -> None:
    """The rules and the dashboard that this image prints name none that this era lacks."""
    with TemporaryDirectory() as folder, watch(homeserver, parts.services, Path(folder)) as watched:
        assert watched.errors() == {}
        used = {selector.metric for selector in watched.selectors}
        assert used == {name for name, since in METRICS.items() if since <= TABLE.minor}

        def absent() -> set[str]:
            # A metric with labels has no series before there is work for it, only its type.
            return {
                name
                for name in used - watched.prometheus.declared()
                if not watched.prometheus.query(f"count({name})")
            }

        tolerated = UNDECLARED if TABLE.minor == 66 else set()
        # Synapse updates some metrics every 30 s.
        deadline = time.monotonic() + 40
        while absent() - tolerated and time.monotonic() < deadline:
            time.sleep(0.5)
        assert absent() - tolerated == set()


@pytest.fixture(scope="module")
def together(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homeserver]:
    """Yield a homeserver whose processes are forked from one parent."""
    folder = tmp_path_factory.mktemp("hs") / "2"
    options = Options(
        WORKERS,
        planned=True,
        redis=not TCP,
        parents=1,
        only_ports=not TABLE.has("unix_sockets"),
    )
    made = Homeserver(2, folder, parts, options)
    try:
        made.start()
        yield made
    finally:
        for process in made.processes.values():
            print(f"----- {process.name}\n{process.tail(15)}")
        made.kill()


def test_one_parent_forks_every_process(together: Homeserver) -> None:
    """A message goes through them, each is ready, and the metrics know each reactor."""
    talk(together)
    for name in ("main", *WORKERS):
        done = subprocess.run(
            together.command(name, "healthcheck", "--ready", name),
            text=True,
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "ready\n"), done.stderr
        assert together.count(name, "python_twisted_reactor_tick_time_count") > 0
        assert together.count(name, "python_twisted_reactor_last_seen") < 5


def test_one_parent_restarts_a_process(together: Homeserver) -> None:
    """In this era, too; the other processes go on."""
    before = {name: together.processes[name].pid for name in ("main", *WORKERS)}
    done = subprocess.run(
        together.command("main", "restart", "synchrotron"),
        text=True,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "restarted synchrotron\n"), done.stderr
    after = {name: together.processes[name].pid for name in ("main", *WORKERS)}
    assert {name for name in before if before[name] != after[name]} == {"synchrotron"}
    talk(together, "bob")
    assert together.stop()["main"] == 0
