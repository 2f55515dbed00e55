"""HAProxy finds the replicas of a worker by their common name, however many there are."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from deploy.routing import Paths, Route, Routing, Server
from sandbox.bwrap import read_only
from testbed.names import Names, start
from testbed.processes import Process
from testbed.site import make_data
from tests.deploy import proxies
from tests.deploy.asking import Client, bearer
from tests.deploy.recorder import Recorder

DNS = "127.0.104.53"
MAIN = Server("main", "127.0.105.1", 8008)
REPLICAS = [Server(f"sync{number}", f"127.0.106.{number}", 8008) for number in range(1, 6)]
NAME = "sync.test"


def routes(servers: Sequence[Server]) -> Routing:
    """Return routes in which servers share the requests of each user."""
    sync = Route("sync", (Paths("^/sync$", ()),), tuple(servers), "user", "", True, False)
    return Routing((sync,), MAIN)


ROUTING = routes([Server("sync", NAME, 8008, replicas=20)])


@pytest.fixture
def root() -> Path:
    """Return the root of the services."""
    return Path(os.environ["SERVICES"]).resolve().parent / "root"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with a certificate and its key."""
    return make_data(tmp_path / "data", "")


@pytest.fixture
def recorder(data: Path) -> Iterator[Recorder]:
    """Yield the main process and five replicas."""
    with Recorder(routes(REPLICAS), data) as found:
        yield found


@pytest.fixture
def names(root: Path, tmp_path: Path) -> Iterator[Names]:
    """Yield a DNS server without names."""
    server = start(root, tmp_path, DNS)
    try:
        yield server
    finally:
        server.process.stop()


def proxy(root: Path, folder: Path, data: Path) -> Process:
    """Return a proxy that asks the DNS server."""
    folder.mkdir()
    (folder / "resolv.conf").write_text(f"nameserver {DNS}\n")
    mounts = [read_only(folder / "resolv.conf", "/etc/resolv.conf")]
    return proxies.start("haproxy", root, folder, data, ROUTING, mounts=mounts)


def servers() -> dict[str, str]:
    """Return the server of each of 40 users."""
    found = {}
    with Client() as client:
        for number in range(40):
            name, body = client.send("POST", "/sync", bearer(f"syt_u{number}_x_y"))
            assert name, f"{client.status} {body[:100]!r}"
            found[f"u{number}"] = name
    return found


def wait_for(replicas: Sequence[Server]) -> dict[str, str]:
    """Return the server of each user, once all replicas are used, and nothing else is."""
    expected = {server.name for server in replicas}
    deadline = time.monotonic() + 30
    before: dict[str, str] = {}
    # Twice the same: a change while the users are asked would mix two states.
    while (found := servers()) != before or set(found.values()) != expected:
        assert time.monotonic() < deadline, Counter(found.values())
        before = found
        time.sleep(0.2)
    return found


def test_requests_follow_the_replicas(
    root: Path, names: Names, recorder: Recorder, data: Path, tmp_path: Path
) -> None:
    """One, five and then two: no request fails, and a user keeps a replica that stays."""
    names.set({NAME: [REPLICAS[0].host]})
    running = proxy(root, tmp_path / "proxy", data)
    try:
        wait_for(REPLICAS[:1])
        names.set({NAME: [server.host for server in REPLICAS]})
        five = wait_for(REPLICAS)
        # An engine removes the address before it ends the process.
        names.set({NAME: [server.host for server in REPLICAS[:2]]})
        two = wait_for(REPLICAS[:2])
        for server in REPLICAS[2:]:
            recorder.stop(server.name)
        assert servers() == two
        kept = {user for user, name in five.items() if name in ("sync1", "sync2")}
        assert {user: two[user] for user in kept} == {user: five[user] for user in kept}
    finally:
        running.stop()
        print(running.tail(40))


def test_a_replica_that_is_killed_loses_no_request(
    root: Path, names: Names, recorder: Recorder, data: Path, tmp_path: Path
) -> None:
    """The DNS still has its address; without any replica, the main process answers."""
    names.set({NAME: [server.host for server in REPLICAS]})
    running = proxy(root, tmp_path / "proxy", data)
    try:
        wait_for(REPLICAS)
        for number, server in enumerate(REPLICAS, 1):
            recorder.stop(server.name)
            assert set(servers().values()) <= {one.name for one in [*REPLICAS[number:], MAIN]}
        names.set({})
        time.sleep(5)
        assert set(servers().values()) == {"main"}
        for server in REPLICAS:
            recorder.start(server.name)
        names.set({NAME: [server.host for server in REPLICAS]})
        wait_for(REPLICAS)
    finally:
        running.stop()
        print(running.tail(40))


def test_two_proxies_choose_the_same_replica(
    root: Path, names: Names, recorder: Recorder, data: Path, tmp_path: Path
) -> None:
    """The order in which the DNS lists the addresses, or in which they appeared, is arbitrary."""
    found = []
    for number, order in enumerate((REPLICAS, REPLICAS[::-1])):
        names.set({NAME: [server.host for server in order[:1]]})
        running = proxy(root, tmp_path / f"proxy{number}", data)
        try:
            wait_for(order[:1])
            names.set({NAME: [server.host for server in order]})
            found.append(wait_for(REPLICAS))
        finally:
            running.stop()
            print(running.tail(40))
    assert found[0] == found[1]


def test_an_address_that_returns_is_used_again(
    root: Path, names: Names, recorder: Recorder, data: Path, tmp_path: Path
) -> None:
    """A name without any address is that of replicas that are not ready."""
    running = proxy(root, tmp_path / "proxy", data)
    try:
        assert set(servers().values()) == {"main"}
        names.set({NAME: [REPLICAS[0].host]})
        wait_for(REPLICAS[:1])
        names.set({})
        time.sleep(5)
        # HAProxy keeps the last addresses: a process that the engine does not call ready can run.
        assert set(servers().values()) == {"sync1"}
        names.set({NAME: [REPLICAS[4].host]})
        wait_for(REPLICAS[4:])
    finally:
        running.stop()
        print(running.tail(40))
