"""A proxy with a script finds the users of access tokens that do not name them."""

import base64
import os
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.deploy import proxies
from tests.deploy.asking import Client, bearer
from tests.deploy.local_plans import plan
from tests.deploy.served import Served, served

PROXY = os.environ["PROXY"]
SYNC = "/_matrix/client/v3/sync?since=s1"
USERS = 30
OPTIONS = replace(proxies.OPTIONS, script="/state/users")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Yield what runs for a plan with several workers of each type."""
    folder = tmp_path_factory.mktemp("users")
    with served(PROXY, folder, plan("shards"), options=OPTIONS) as both:
        yield both


def name(token: str) -> str:
    """Return the name of the server that answers a sync with an access token."""
    with Client() as client:
        return client.ask("GET", SYNC, bearer(token)).name


def localpart(number: int) -> str:
    """Return the localpart of a user; its base64 has padding of each length."""
    return f"user{number}" + "x" * (number % 3)


def test_all_tokens_of_a_user_stay_on_one_worker(running: Served) -> None:
    """The devices of a user sync at one worker, with tokens of either kind, before and after."""
    used = set()
    for number in range(USERS):
        opaque = [f"mat_{number}x{device}_Ab3" for device in range(3)]
        running.recorder.users |= {token: f"@{localpart(number)}:x.test" for token in opaque}
        encoded = base64.b64encode(localpart(number).encode()).decode().rstrip("=")
        tokens = [*opaque, f"syt_{encoded}_abcdefghijklmnopqrst_0aBcDe"]
        names = {name(token) for token in tokens}
        assert len(names) == 1, (number, names)
        used |= names
    assert used == running.names("GET", SYNC)


def test_an_answer_is_kept(running: Served) -> None:
    """Synapse is asked once for each token and not for its own tokens; requests need no more."""
    running.recorder.users["mat_kept"] = "@kept:x.test"
    before = len(running.recorder.asked)
    own = "syt_a2VwdA_abcdefghijklmnopqrst_0aBcDe"
    with Client() as client:
        for _ in range(20):
            client.ask("GET", SYNC, bearer("mat_kept"))
            client.ask("GET", SYNC, bearer(own))
            client.ask("GET", SYNC)
    # HAProxy keeps the answers in each of its threads.
    asked = running.recorder.asked[before:]
    assert set(asked) == {"mat_kept"}
    assert len(asked) <= (os.cpu_count() or 1)


def test_the_token_in_the_query_is_found(running: Served) -> None:
    """Old clients send it there."""
    running.recorder.users |= {f"mat_query{number}": "@query:x.test" for number in range(8)}
    names = set()
    for number in range(8):
        with Client() as client:
            names.add(client.ask("GET", f"{SYNC}&access_token=mat_query{number}").name)
    assert len(names) == 1


@pytest.mark.parametrize("user_id", ["", "x", "@", '@a"b', "@:x.test", "@a\r\nX-Other: b:x.test"])
def test_an_odd_answer_leaves_the_token_as_key(running: Served, user_id: str) -> None:
    """Whatever the answer is, the request arrives, always at the same worker."""
    token = f"mat_odd_{user_id.encode().hex()}"
    running.recorder.users[token] = user_id
    assert len({name(token) for _ in range(4)}) == 1


def test_an_unknown_token_stays_on_one_worker(running: Served) -> None:
    """The worker answers that Synapse refuses the token."""
    assert {len({name(f"mat_no{number}") for _ in range(4)}) for number in range(9)} == {1}


def test_requests_arrive_while_the_main_process_is_away(running: Served) -> None:
    """Nobody can say who the user is, so the token itself is the key."""
    running.recorder.stop("main")
    try:
        for number in range(4):
            begin = time.monotonic()
            names = {name(f"mat_away{number}") for _ in range(3)}
            assert len(names) == 1
            assert names <= running.names("GET", SYNC)
            assert time.monotonic() - begin < 10
    finally:
        running.recorder.start("main")
