"""A real proxy with our configuration shares the requests of a route among several workers."""

import base64
import hashlib
import os
from collections.abc import Iterator

import pytest

from tests.deploy.asking import Client, bearer
from tests.deploy.local_plans import plan
from tests.deploy.served import Served, served

PROXY = os.environ["PROXY"]
CLIENT = "/_matrix/client/v3"
KEYS = 30  # Rooms, users and so on; more than enough for each of three workers to get one.
SYNC = f"{CLIENT}/sync"


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Yield what runs for a plan with several workers of each type."""
    with served(PROXY, tmp_path_factory.mktemp("shards"), plan("shards")) as running:
        yield running


def spread(
    sharded: Served, method: str, targets: list[str], headers: list[dict[str, str]]
) -> set[str]:
    """Send all combinations on new connections; return the names of the servers that answered."""
    answered = set()
    for target in targets:
        for one in headers:
            with Client() as client:
                answered.add(client.ask(method, target, one).name)
    assert answered <= sharded.names(method, targets[0])
    return answered


def word(number: int, length: int) -> str:
    """Return a word that looks random, as in Synapse's identifiers."""
    digest = base64.b32encode(hashlib.sha512(str(number).encode()).digest())
    return digest.decode()[:length]


def test_a_room_stays_on_one_worker(sharded: Served) -> None:
    """Requests of a room go to one worker, whoever sends them; rooms are shared among workers."""
    tokens = [bearer(f"syt_dXNlcg_{word(number, 20)}_0aBcDe") for number in range(6)] + [{}]
    used = set()
    for number in range(KEYS):
        # The IDs of newer rooms have no server.
        room = f"!{word(number, 18)}%3Ax.test" if number % 2 else f"!{word(number, 43)}"
        events = [f"{CLIENT}/rooms/{room}/send/m.room.message/{event}" for event in range(2)]
        (name,) = spread(sharded, "PUT", events, tokens)
        (also,) = spread(sharded, "POST", [f"{CLIENT}/rooms/{room}/invite"], tokens[:2])
        assert also == name
        used.add(name)
    assert used == sharded.names("PUT", f"{CLIENT}/rooms/!a/send/m.room.message/1")


def test_a_user_stays_on_one_worker(sharded: Served) -> None:
    """All devices of a user sync at one worker, wherever the access token is."""
    used = set()
    for number in range(KEYS):
        user = base64.b64encode(word(number, 5 + number % 4).lower().encode()).decode().rstrip("=")
        tokens = [f"syt_{user}_{word(device, 20)}_0aBcDe" for device in range(3)]
        targets = [f"{SYNC}?since=s1", f"{SYNC}?since=s2"]
        (name,) = spread(sharded, "GET", targets, [bearer(token) for token in tokens])
        queries = [f"{SYNC}?since=s1&access_token={token}" for token in tokens]
        (also,) = spread(sharded, "GET", queries, [{}])
        assert also == name
        used.add(name)
    assert used == sharded.names("GET", f"{SYNC}?since=s1")


def test_an_opaque_token_stays_on_one_worker(sharded: Served) -> None:
    """Tokens of Matrix Authentication Service do not name the user."""
    targets = [f"{SYNC}?since=s1", f"{SYNC}?since=s2"]
    used = set()
    for number in range(KEYS):
        headers = bearer(f"mat_{word(number, 30)}_{word(-number, 6)}")
        (name,) = spread(sharded, "GET", targets, [headers] * 3)
        used.add(name)
    assert used == sharded.names("GET", targets[0])


def test_a_token_stays_on_one_worker(sharded: Served) -> None:
    """Where a user's devices need not share a worker, each token has a worker of its own."""
    targets = ["/_matrix/client/versions", f"{CLIENT}/capabilities"]
    used = set()
    for number in range(KEYS):
        headers = bearer(f"syt_dXNlcg_{word(number, 20)}_{word(-number, 6)}")
        (name,) = spread(sharded, "GET", targets, [headers] * 2)
        used.add(name)
    assert used == sharded.names("GET", targets[0])


def test_an_origin_stays_on_one_worker(sharded: Served) -> None:
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
        (name,) = spread(sharded, "PUT", [target], [{"Authorization": value} for value in values])
        used.add(name)
    assert used == sharded.names("PUT", target)


def test_single_sign_on_stays_on_one_worker(sharded: Served) -> None:
    """The steps of a login must meet in one process."""
    targets = [
        f"{CLIENT}/login/sso/redirect?redirectUrl=x",
        "/_synapse/client/pick_idp",
        "/_synapse/client/oidc/callback?state=1",
    ]
    assert len(spread(sharded, "GET", targets, [bearer(f"t{number}") for number in range(8)])) == 1


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", f"{SYNC}?since=s1"),
        ("GET", "/_matrix/client/versions"),
        ("PUT", "/_matrix/federation/v1/send/1"),
    ],
)
def test_requests_without_a_key_are_spread(sharded: Served, method: str, target: str) -> None:
    """The client's address alone never chooses, since many clients can share one."""
    assert len(spread(sharded, method, [target], [{}] * 40)) > 1
