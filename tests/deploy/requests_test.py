"""The routes of plans agree with upstream, for every request that upstream knows."""

import os
import re
from pathlib import Path

import pytest

from deploy.routing import Routing, Server, routing
from tests.deploy.requests import LEFT_TO_MAIN, SENT_TO_A_WORKER, Upstream, difference, requests
from tests.upstream.workers_page import documented, workers_page
from worker.worker_types import load_table

PAGE = documented(workers_page(Path(os.environ["SOURCE"])))
UPSTREAM = Upstream(PAGE)
REQUESTS = requests(PAGE)
TYPES = [name for name, worker_type in load_table().types.items() if worker_type.resources]


def plan(names: list[str]) -> Routing:
    """Return the routes of a plan with one worker of each of these types."""
    workers = [(Server(name, f"host-{name}", 8008), frozenset({name})) for name in names]
    table = load_table()
    return routing(table.routes, table.minor, workers, Server("main", "main", 8008))


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(TYPES, id="one of each type"),
        pytest.param([name for name in TYPES if name != "generic_worker"], id="no generic worker"),
        pytest.param(["generic_worker"], id="a generic worker"),
        pytest.param([], id="main alone"),
    ],
)
def test_a_type_that_upstream_names_answers(names: list[str]) -> None:
    """Otherwise it is main, or there is a reason."""
    routes = plan(names)
    differences = []
    for request in REQUESTS:
        route = routes.find(request.method, request.path)
        answered = {server.name for server in route.servers} if route else set()
        differences.append(difference(UPSTREAM, request, names, answered))
    assert list(filter(None, differences)) == []


def test_there_are_many_requests() -> None:
    """The comparison is not of two empty lists."""
    assert len(REQUESTS) >= 1000
    assert len({kind for request in REQUESTS for kind in UPSTREAM.types(request)}) >= 15


@pytest.mark.parametrize("reason", [*LEFT_TO_MAIN, *SENT_TO_A_WORKER])
def test_every_difference_is_needed(reason: str) -> None:
    """A difference that no request has any more is removed."""
    routes = plan(TYPES)
    lines = [
        (route.servers[0].name if route else "", UPSTREAM.types(request))
        for request in REQUESTS
        if re.fullmatch(reason, f"{request.method} {request.path}")
        for route in [routes.find(request.method, request.path)]
    ]
    assert lines
    assert any(name not in types if name else types for name, types in lines)
