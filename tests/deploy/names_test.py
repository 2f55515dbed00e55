"""A container that is started again can get another address: the proxies ask the DNS again."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.routing import Routing
from sandbox.bwrap import read_only
from testbed.names import Names, start
from testbed.site import make_data
from tests.deploy import proxies
from tests.deploy.asking import Client
from tests.deploy.recorder import Recorder
from worker.routes import plan_routing

PROXY = os.environ["PROXY"]
DNS = "127.0.104.53"
TYPING = ("PUT", "/_matrix/client/v3/rooms/!a/typing/@u:x.test")
MAIN = ("GET", "/_matrix/client/v3/thirdparty/protocols")


def at(routing: Routing, last: int) -> Routing:
    """Return the routes with addresses for names; ``last`` is their last part."""
    addresses = {"main": f"127.0.105.{last}", "typing": f"127.0.106.{last}"}
    routes = tuple(
        replace(
            route,
            servers=tuple(replace(one, host=addresses[one.name]) for one in route.servers),
        )
        for route in routing.routes
    )
    return Routing(routes, replace(routing.main, host=addresses["main"]))


@pytest.fixture
def names(root: Path, tmp_path: Path) -> Iterator[Names]:
    """Yield a DNS server without names."""
    server = start(root, tmp_path, DNS)
    try:
        yield server
    finally:
        server.process.stop()


def named(routing: Routing) -> dict[str, list[str]]:
    """Return the addresses of the servers of routes by name."""
    return {f"the-{server.name}.test": [server.host] for server in routing.servers}


@pytest.fixture
def root() -> Path:
    """Return the root of the services."""
    return Path(os.environ["SERVICES"]).resolve().parent / "root"


def answer(method: str, target: str) -> str:
    """Send a request on a new connection; return the name of the server, or the error."""
    with Client() as client:
        name, body = client.send(method, target)
    return name or f"{client.status} {body[:100]!r}"


def test_names_are_resolved_again(root: Path, names: Names, tmp_path: Path) -> None:
    """Both processes move to other addresses, and their requests follow them."""
    environ = {"SYNAPSE_REPLICATION_HOST": "the-main.test"}
    routing = plan_routing(environ, "typing@the-typing.test")
    data = make_data(tmp_path / "data", "")
    (tmp_path / "resolv.conf").write_text(f"nameserver {DNS}\n")
    before, after = at(routing, 1), at(routing, 2)
    names.set(named(before))
    with Recorder(before, data) as first, Recorder(after, data) as second:
        for name in second.servers:
            second.stop(name)
        proxy = proxies.start(
            PROXY,
            root,
            tmp_path,
            data,
            routing,
            options=replace(proxies.OPTIONS, resolver=DNS),
            mounts=[read_only(tmp_path / "resolv.conf", "/etc/resolv.conf")],
        )
        try:
            assert [answer(*TYPING), answer(*MAIN)] == ["typing", "main"]
            for name in first.servers:
                first.stop(name)
                second.start(name)
            names.set(named(after))
            deadline = time.monotonic() + 30
            while [answer(*TYPING), answer(*MAIN)] != ["typing", "main"]:
                assert time.monotonic() < deadline, [answer(*TYPING), answer(*MAIN)]
        finally:
            proxy.stop()
            print(proxy.tail(40))
