"""A real proxy with our configuration sends each request to the process that shall have it."""

import os
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.deploy import proxies
from tests.deploy.asking import Client, bearer
from tests.deploy.local_plans import PLANS, SOCKETS, plan, worker_type
from tests.deploy.proxies import CLIENT_PORT, FEDERATION_PORT, PLAIN_PORT
from tests.deploy.recorder import Received, received
from tests.deploy.requests import Request, Upstream, difference, requests
from tests.deploy.served import Served, served
from tests.upstream.workers_page import documented, workers_page

PROXY = os.environ["PROXY"]
PAGE = documented(workers_page(Path(os.environ["SOURCE"])))
UPSTREAM = Upstream(PAGE)
REQUESTS = requests(PAGE)
CLIENT = "/_matrix/client/v3"
SYNC = f"{CLIENT}/sync"
SLIDING = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
# Requests that are not in the lists of upstream, or not with these queries: (method, target).
ODD = [
    *[("GET", f"{SYNC}{query}") for query in ("", "?", "?since=", "?since=s1", "?since=s1&x=1")],
    *[("GET", f"{SYNC}?{query}") for query in ("x=1&since=s1", "notsince=s1", "since=s1&since=")],
    *[("GET", f"{SYNC}?since=s1&full_state={value}") for value in ("true", "false", "truely", "")],
    *[
        ("GET", f"{SYNC}?{query}")
        for query in ("full_state=true&since=s1", "since&x=1", "%73ince=1")
    ],
    *[("POST", f"{SLIDING}{query}") for query in ("", "?pos=", "?pos=5", "?timeout=1&pos=5")],
    *[("HEAD", path) for path in (SYNC, f"{CLIENT}/capabilities", "/_matrix/client/versions")],
    *[("OPTIONS", path) for path in (SYNC, f"{CLIENT}/login", f"{CLIENT}/pushrules/", "/")],
    *[("DELETE", path) for path in (f"{CLIENT}/devices/D", f"{CLIENT}/presence/x/status")],
    # Synapse's own paths are compared as they are sent.
    *[("GET", path) for path in (f"{SYNC}/", f"{SYNC}x", f"{CLIENT}/SYNC", f"{CLIENT}/%73ync")],
    *[("GET", path) for path in (f"/x{SYNC}", "/", "/favicon.ico", "/_matrix", "/_matrix/client")],
    ("GET", f"{CLIENT}/rooms/%21a%2Fb%3Ax.test/state"),
    ("GET", f"{CLIENT}/rooms/!a:x.test/messages?dir=b&from=t%2F1"),
    ("PUT", f"{CLIENT}/rooms/!a%3Ax.test/send/m.room.message/a%20b;c=d,e"),
    ("PUT", f"{CLIENT}/rooms/!a%3Ax.test/state/m.room.member/%40u%3Ax.test"),
    ("GET", f"{CLIENT}/rooms/!a%3Ax.test/state/m.room.name/"),
    ("GET", f"{CLIENT}/user/%40u%3Ax.test/rooms/!a%3Ax.test/tags"),
]
# Plans that a proxy cannot serve, with the start of its message.
REFUSED = {"traefik": {SOCKETS: "SYNAPSE_UNIX_SOCKETS: Traefik cannot connect to Unix sockets"}}
# Requests that a proxy sends elsewhere than the model, because it decodes what we compare as sent.
# Synapse decodes the query too, and has nothing at that path.
DECODED = {"traefik": [("GET", f"{CLIENT}/%73ync"), ("GET", f"{SYNC}?%73ince=1")]}


@pytest.fixture(
    scope="module", params=[name for name in PLANS if name not in REFUSED.get(PROXY, {})], ids=str
)
def planned(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Yield what runs for each plan: the proxy, and a server for each process."""
    folder = tmp_path_factory.mktemp("plan")
    # The path of a socket must not be longer than 107 bytes (unix(7)).
    with (
        tempfile.TemporaryDirectory(prefix="sockets.", dir="/tmp") as short,
        served(PROXY, folder, plan(request.param), Path(short)) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def answered(planned: Served) -> list[tuple[Request, Received]]:
    """Return each request that upstream knows, and as a server received it."""
    with Client() as client:
        return [(request, client.ask(request.method, request.path)) for request in REQUESTS]


def test_a_type_that_upstream_names_answers(
    planned: Served, answered: list[tuple[Request, Received]]
) -> None:
    """Every request that upstream knows is answered by a worker that upstream names, or by main."""
    types = {worker_type(server.name) for server in planned.routing.servers} - {""}
    wrong = []
    for request, got in answered:
        assert (got.method, got.target) == (request.method, request.path)
        wrong.append(difference(UPSTREAM, request, types, {worker_type(got.name)} - {""}))
    assert list(filter(None, wrong)) == []


def test_the_servers_of_the_model_answer(
    planned: Served, answered: list[tuple[Request, Received]]
) -> None:
    """The proxy does the same as `Routing.find`, with odd paths and queries as well."""
    with Client() as client:
        odd = [(method, target, client.send(method, target)[0]) for method, target in ODD]
    asked = [*((one.method, one.path, got.name) for one, got in answered), *odd]
    wrong = [
        (method, target, name)
        for method, target, name in asked
        if not name
        or (
            name not in planned.names(method, target)
            and (method, target) not in DECODED.get(PROXY, [])
        )
    ]
    assert wrong == []


def test_what_a_proxy_cannot_do_is_refused() -> None:
    """There is no configuration that would not work."""
    emitter = import_module(f"deploy.{PROXY}")
    refused = {
        name: emitter.problems(plan(name), proxies.OPTIONS)[0]
        for name in PLANS
        if emitter.problems(plan(name), proxies.OPTIONS)
    }
    expected = REFUSED.get(PROXY, {})
    assert refused.keys() == expected.keys()
    assert all(refused[name].startswith(message) for name, message in expected.items())


@pytest.mark.parametrize("port", [CLIENT_PORT, FEDERATION_PORT])
def test_both_ports_with_tls_have_all_routes(planned: Served, port: int) -> None:
    """Servers may use the port for clients, and clients the port for servers."""
    with Client(port) as client:
        for request in REQUESTS[::10]:
            got = client.ask(request.method, request.path)
            assert got.name in planned.names(request.method, request.path), request
            assert got.values("x-forwarded-proto") == ["https"]


def test_headers_of_the_client_are_not_believed(planned: Served) -> None:
    """Synapse records the address of the client, so it must be the true one."""
    forged = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "gopher",
        "X-Other": "kept",
    }
    for target in ("/", SYNC, "/_matrix/federation/v1/version", "/_matrix/media/v3/config"):
        with Client(PLAIN_PORT) as client:
            got = client.ask("GET", target, forged)
        assert got.values("x-forwarded-for") == ["127.0.0.1"], target
        assert got.values("x-forwarded-proto") in (["http"], ["https"]), target
        assert got.values("host") == ["x.test"], target
        assert got.values("x-other") == ["kept"], target


def test_a_large_body_arrives(planned: Served) -> None:
    """Uploads are not cut off; the limit is 50 MiB."""
    body = os.urandom(5 << 20)
    with Client(CLIENT_PORT) as client:
        name, answer = client.send("POST", "/_matrix/media/v3/upload", bearer("syt_a_b"), body)
    assert name, answer
    assert received(answer).body_bytes == len(body)
