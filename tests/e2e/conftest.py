"""Two whole homeservers, each split into workers.

The first runs all of the predecessor's applications under its contract, in which homeserver.yaml
assigns the duties.  The second has all worker types, assigned by a worker plan.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from testbed.homeserver import Homeserver, Parts
from testbed.image import read_image, unpack
from testbed.layout import Options
from testbed.receivers import Receiver, receiver
from testbed.site import make_authority
from tests.e2e.people import PARENTS, SECOND_PARENTS, Person
from worker.worker_types import load_table

APPLICATIONS = [app for app, process in load_table().apps.items() if not process.is_main]
WORKER_TYPES = {
    "events": "event_persister",
    "writer": "typing+to_device+account_data+receipts+presence+push_rules+device_lists"
    "+thread_subscriptions",
    "fedin": "federation_inbound+federation_reader",
    "sender": "federation_sender",
    "background": "background_worker",
    "reader": "synchrotron+client_reader+event_creator+frontend_proxy",
    "media": "media_repository+quarantined_media_changes",
    "others": "pusher+appservice+user_dir",
    "generic": "generic_worker",
}


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """Yield the shared parts: the image, unpacked once, the services and a CA."""
    folder = tmp_path_factory.mktemp("parts")
    image = read_image(Path(os.environ["IMAGE"]))
    unpack(image, folder / "root")
    services = Path(os.environ["SERVICES"]).resolve().parent / "root"
    yield Parts(image, folder / "root", services, make_authority(folder / "authority"))
    subprocess.run(["rm", "-rf", folder / "root"], check=True)


@pytest.fixture(scope="session")
def gateway() -> Iterator[Receiver]:
    """Yield a push gateway."""
    with receiver("127.1.0.5") as found:
        yield found


@pytest.fixture(scope="session")
def service() -> Iterator[Receiver]:
    """Yield a receiver for an application service that is interested in all users."""
    with receiver("127.1.0.6") as found:
        yield found


def run(homeserver: Homeserver) -> Iterator[Homeserver]:
    """Run a homeserver for the tests; print the ends of its logs afterwards."""
    try:
        start = time.monotonic()
        homeserver.start()
        count = len(homeserver.synapses())
        print(f"{count} processes healthy after {time.monotonic() - start:.1f} s")
        yield homeserver
    finally:
        for process in homeserver.processes.values():
            print(f"----- {process.name}\n{process.tail(15)}")
        homeserver.kill()


@pytest.fixture(scope="session")
def first(
    parts: Parts, service: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Homeserver]:
    """Yield a homeserver that runs all of the predecessor's applications.

    Only a plan can say which of them share a parent.
    """
    registration = {
        "id": "bridge",
        "url": service.url,
        "as_token": "as",
        "hs_token": "hs",
        "sender_localpart": "bridge",
        "namespaces": {"users": [{"regex": "@.*", "exclusive": False}]},
    }
    yield from run(
        Homeserver(
            1,
            tmp_path_factory.mktemp("hs") / "1",
            parts,
            Options(
                {app.rpartition(".")[2]: app for app in APPLICATIONS},
                planned=PARENTS > 0,
                parents=PARENTS,
                settings={"app_service_config_files": ["/data/bridge.yaml"]},
                data={"bridge.yaml": yaml.safe_dump(registration)},
            ),
        )
    )


@pytest.fixture(scope="session")
def second(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homeserver]:
    """Yield a homeserver whose worker plan has every worker type."""
    folder = tmp_path_factory.mktemp("hs") / "2"
    # All processes then federate through the sender, which needs a replication listener for that.
    settings = {"outbound_federation_restricted_to": ["sender"]}
    options = Options(WORKER_TYPES, planned=True, settings=settings, parents=SECOND_PARENTS)
    yield from run(Homeserver(2, folder, parts, options))


@pytest.fixture(scope="session")
def alice(first: Homeserver) -> Person:
    """Return a user on the first homeserver."""
    return Person(first, "alice")


@pytest.fixture(scope="session")
def bob(first: Homeserver) -> Person:
    """Return another user on the first homeserver."""
    return Person(first, "bob")


@pytest.fixture(scope="session")
def carol(second: Homeserver) -> Person:
    """Return a user on the second homeserver."""
    return Person(second, "carol")


@pytest.fixture(scope="session")
def room(alice: Person, bob: Person) -> str:
    """Return the ID of a room with alice and bob."""
    body = {"preset": "public_chat", "room_alias_name": "room"}
    room_id: str = alice.call("POST", "createRoom", body)["room_id"]
    alice.call("POST", f"rooms/{room_id}/invite", {"user_id": bob.id})
    bob.call("POST", f"rooms/{room_id}/join", {})
    return room_id
