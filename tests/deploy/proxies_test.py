"""A real proxy with our configuration sends each request to the process that shall have it."""

import base64
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

from deploy.routing import MAIN, Routing
from testbed.site import make_data
from tests.deploy import proxies
from tests.deploy.asking import Client, bearer
from tests.deploy.local_plans import PLANS, SOCKETS, plan, worker_type
from tests.deploy.proxies import CLIENT_PORT, FEDERATION_PORT, PLAIN_PORT
from tests.deploy.recorder import Received, Recorder, received
from tests.deploy.requests import Request, Upstream, difference, requests
from tests.upstream.workers_page import documented, workers_page

PROXY = os.environ["PROXY"]
PAGE = documented(workers_page(Path(os.environ["SOURCE"])))
UPSTREAM = Upstream(PAGE)
REQUESTS = requests(PAGE)
CLIENT = "/_matrix/client/v3"
KEYS = 30  # Rooms, users and so on; more than enough for each of three workers to get one.
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


@dataclass(frozen=True)
class Parts:
    """What runs.

    Attributes:
        routing: the routes.
        recorder: the servers.
    """

    routing: Routing
    recorder: Recorder


@pytest.fixture(
    scope="module", params=[name for name in PLANS if name not in REFUSED.get(PROXY, {})], ids=str
)
def planned(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Parts]:
    """Yield the parts of each plan: the proxy, and a server for each process."""
    folder = tmp_path_factory.mktemp("plan")
    routing = plan(request.param)
    data = make_data(folder / "data", "")
    services = Path(os.environ["SERVICES"]).resolve().parent / "root"
    # The path of a socket must not be longer than 107 bytes (unix(7)).
    with (
        tempfile.TemporaryDirectory(prefix="sockets.", dir="/tmp") as short,
        Recorder(routing, data, Path(short)) as recorder,
    ):
        proxy = proxies.start(PROXY, services, folder, data, routing, Path(short))
        try:
            yield Parts(routing, recorder)
        finally:
            proxy.stop()
            print(f"----- {PROXY}\n{proxy.tail(40)}")


# For tests of how several workers share their requests.
SHARDED = pytest.mark.parametrize("planned", ["shards"], indirect=True)


def names(routing: Routing, method: str, target: str) -> set[str]:
    """Return the names of the servers that may answer a request, according to the model."""
    path, _, query = target.partition("?")
    route = routing.find(method, path, query)
    return {server.name for server in route.servers} if route else {MAIN}


@pytest.fixture(scope="module")
def answered(planned: Parts) -> list[tuple[Request, Received]]:
    """Return each request that upstream knows, and as a server received it."""
    with Client() as client:
        return [(request, client.ask(request.method, request.path)) for request in REQUESTS]


def test_a_type_that_upstream_names_answers(
    planned: Parts, answered: list[tuple[Request, Received]]
) -> None:
    """Every request that upstream knows is answered by a worker that upstream names, or by main."""
    types = {worker_type(server.name) for server in planned.routing.servers} - {""}
    wrong = []
    for request, got in answered:
        assert (got.method, got.target) == (request.method, request.path)
        wrong.append(difference(UPSTREAM, request, types, {worker_type(got.name)} - {""}))
    assert list(filter(None, wrong)) == []


def test_the_servers_of_the_model_answer(
    planned: Parts, answered: list[tuple[Request, Received]]
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
            name not in names(planned.routing, method, target)
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
def test_both_ports_with_tls_have_all_routes(planned: Parts, port: int) -> None:
    """Servers may ask at the port for clients, and clients at that for servers."""
    with Client(port) as client:
        for request in REQUESTS[::10]:
            got = client.ask(request.method, request.path)
            assert got.name in names(planned.routing, request.method, request.path), request
            assert got.values("x-forwarded-proto") == ["https"]


def spread(
    planned: Parts, method: str, targets: list[str], headers: list[dict[str, str]]
) -> set[str]:
    """Send all combinations on new connections; return the names of the servers that answered."""
    answered = set()
    for target in targets:
        for one in headers:
            with Client() as client:
                answered.add(client.ask(method, target, one).name)
    assert answered <= names(planned.routing, method, targets[0])
    return answered


def word(number: int, length: int) -> str:
    """Return a word that looks random, as in Synapse's identifiers."""
    digest = base64.b32encode(hashlib.sha512(str(number).encode()).digest())
    return digest.decode()[:length]


@SHARDED
def test_a_room_stays_on_one_worker(planned: Parts) -> None:
    """Requests of a room go to one worker, whoever sends them; rooms are shared among workers."""
    tokens = [bearer(f"syt_dXNlcg_{word(number, 20)}_0aBcDe") for number in range(6)] + [{}]
    used = set()
    for number in range(KEYS):
        # The IDs of newer rooms have no server.
        room = f"!{word(number, 18)}%3Ax.test" if number % 2 else f"!{word(number, 43)}"
        events = [f"{CLIENT}/rooms/{room}/send/m.room.message/{event}" for event in range(2)]
        (name,) = spread(planned, "PUT", events, tokens)
        (also,) = spread(planned, "POST", [f"{CLIENT}/rooms/{room}/invite"], tokens[:2])
        assert also == name
        used.add(name)
    assert used == names(planned.routing, "PUT", f"{CLIENT}/rooms/!a/send/m.room.message/1")


@SHARDED
def test_a_user_stays_on_one_worker(planned: Parts) -> None:
    """All devices of a user sync at one worker, wherever the access token is."""
    used = set()
    for number in range(KEYS):
        user = base64.b64encode(word(number, 5 + number % 4).lower().encode()).decode().rstrip("=")
        tokens = [f"syt_{user}_{word(device, 20)}_0aBcDe" for device in range(3)]
        targets = [f"{SYNC}?since=s1", f"{SYNC}?since=s2"]
        (name,) = spread(planned, "GET", targets, [bearer(token) for token in tokens])
        queries = [f"{SYNC}?since=s1&access_token={token}" for token in tokens]
        (also,) = spread(planned, "GET", queries, [{}])
        assert also == name
        used.add(name)
    assert used == names(planned.routing, "GET", f"{SYNC}?since=s1")


@SHARDED
def test_an_opaque_token_stays_on_one_worker(planned: Parts) -> None:
    """Tokens of Matrix Authentication Service do not name the user."""
    targets = [f"{SYNC}?since=s1", f"{SYNC}?since=s2"]
    used = set()
    for number in range(KEYS):
        headers = bearer(f"mat_{word(number, 30)}_{word(-number, 6)}")
        (name,) = spread(planned, "GET", targets, [headers] * 3)
        used.add(name)
    assert used == names(planned.routing, "GET", targets[0])


@SHARDED
def test_a_token_stays_on_one_worker(planned: Parts) -> None:
    """Where it is not important that a user's devices share a worker, each has its own."""
    targets = ["/_matrix/client/versions", f"{CLIENT}/capabilities"]
    used = set()
    for number in range(KEYS):
        headers = bearer(f"syt_dXNlcg_{word(number, 20)}_{word(-number, 6)}")
        (name,) = spread(planned, "GET", targets, [headers] * 2)
        used.add(name)
    assert used == names(planned.routing, "GET", targets[0])


@SHARDED
def test_an_origin_stays_on_one_worker(planned: Parts) -> None:
    """The transactions of one server are handled by one worker, as docs/workers.md asks."""
    target = "/_matrix/federation/v1/send/1"
    used = set()
    for number in range(KEYS):
        domain = word(number, 5 + number % 5).lower()
        origin = f"matrix.{domain}.org" if number % 2 else f"{domain}.net"
        values = [
            f'X-Matrix origin="{origin}",key="ed25519:1",sig="{word(1, 40)}"',
            f'X-Matrix origin="{origin}",key="ed25519:1",sig="{word(2, 40)}"',
            f'X-Matrix origin={origin},destination="x.test",key="k",sig="{word(3, 40)}"',
        ]
        (name,) = spread(planned, "PUT", [target], [{"Authorization": value} for value in values])
        used.add(name)
    assert used == names(planned.routing, "PUT", target)


@SHARDED
def test_single_sign_on_stays_on_one_worker(planned: Parts) -> None:
    """The steps of a login must meet in one process."""
    targets = [
        f"{CLIENT}/login/sso/redirect?redirectUrl=x",
        "/_synapse/client/pick_idp",
        "/_synapse/client/oidc/callback?state=1",
    ]
    assert len(spread(planned, "GET", targets, [bearer(f"t{number}") for number in range(8)])) == 1


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", f"{SYNC}?since=s1"),
        ("GET", "/_matrix/client/versions"),
        ("PUT", "/_matrix/federation/v1/send/1"),
    ],
)
@SHARDED
def test_requests_without_a_key_are_spread(planned: Parts, method: str, target: str) -> None:
    """The client's address alone never chooses, since many clients can share one."""
    assert len(spread(planned, method, [target], [{}] * 40)) > 1


def test_headers_of_the_client_are_not_believed(planned: Parts) -> None:
    """Synapse records the address of the client, so that it must be the true one."""
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


def test_a_large_body_arrives(planned: Parts) -> None:
    """Uploads are not cut off; the limit is 50 MiB."""
    body = os.urandom(5 << 20)
    with Client(CLIENT_PORT) as client:
        name, answer = client.send("POST", "/_matrix/media/v3/upload", bearer("syt_a_b"), body)
    assert name, answer
    assert received(answer).body_bytes == len(body)
