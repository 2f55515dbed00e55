"""Stream writers on workers, and background updates of the database on the main process."""

import hashlib
import json
import urllib.request
from collections.abc import Iterator

import pytest

from testbed.homeserver import Homeserver, Parts
from testbed.layout import Options
from tests.e2e.people import Person, until

WORKERS = {
    "background": "background_worker",
    "keeper": "media_repository",
    "sync": "synchrotron+client_reader",
    "warden": "quarantined_media_changes",
}
UPDATE = "flag_existing_quarantined_media"


@pytest.fixture(scope="module")
def homeserver(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homeserver]:
    """Yield a homeserver: two workers may quarantine media, another runs background tasks."""
    folder = tmp_path_factory.mktemp("writers") / "4"
    quick = {"background_updates": {"sleep_enabled": False}}
    found = Homeserver(4, folder, parts, Options(WORKERS, planned=True, settings=quick))
    try:
        found.start()
        yield found
    finally:
        for process in found.processes.values():
            print(f"----- {process.name}\n{process.tail(10)}")
        found.kill()


@pytest.fixture(scope="module")
def admin(homeserver: Homeserver) -> Person:
    """Return a server admin, who may quarantine media."""
    person = Person(homeserver, "admin")
    homeserver.query(f"UPDATE users SET admin = 1 WHERE name = '{person.id}'")
    return person


def upload(person: Person, content: bytes) -> str:
    """Upload a file; return its media ID."""
    url = f"{person.homeserver.layout.url}/_matrix/media/v3/upload"
    request = urllib.request.Request(url, content, method="POST")
    request.add_header("Authorization", f"Bearer {person.token}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        uri: str = json.load(answer)["content_uri"]
    return uri.rpartition("/")[2]


def changes(homeserver: Homeserver, media: str) -> list[str]:
    """Return the instances that recorded the quarantine of a file."""
    return homeserver.query(
        f"SELECT instance_name FROM quarantined_media_changes WHERE media_id = '{media}'"
    )


def updated(homeserver: Homeserver) -> bool:
    """Return whether no background update of the database is left."""
    return homeserver.query("SELECT update_name FROM background_updates") == []


def test_media_quarantined_before_1_152_is_written_down(
    homeserver: Homeserver, admin: Person
) -> None:
    """The main process records it: it runs the updates, although ``background`` has the tasks.

    Synapse 1.152 added the table and an update that fills it with media that was quarantined
    earlier; 1.157 runs the update again.  The test recreates the state after their schema deltas:
    quarantined media, no row for it in the new table, and the update queued for the next start.
    """
    until(lambda: updated(homeserver), "a new database is updated", 120)
    media = upload(admin, b"from long ago")
    homeserver.query(
        f"UPDATE local_media_repository SET quarantined_by = '{admin.id}' "
        f"WHERE media_id = '{media}'; "
        "INSERT INTO background_updates (ordering, update_name, progress_json) "
        f"VALUES (9405, '{UPDATE}', '{{}}')"
    )
    main = homeserver.processes["main"]
    assert main.stop() == 0
    main.start()
    homeserver.wait_healthy("main")
    until(lambda: updated(homeserver), "the update is done", 60)
    assert changes(homeserver, media) == ["master"]
    assert "Error doing update" not in main.log.read_text()


@pytest.mark.parametrize("name", ["keeper", "warden"])
def test_each_worker_that_serves_media_may_quarantine_it(
    homeserver: Homeserver, admin: Person, name: str
) -> None:
    """This proxy sends the requests only to the warden; other proxies may use the keeper."""
    media = upload(admin, name.encode())
    path = f"/_synapse/admin/v1/media/quarantine/{homeserver.layout.server_name}/{media}"
    if name == "warden":
        homeserver.call("POST", path, {}, admin.token)
    else:
        homeserver.call_directly(name, "POST", path, {}, admin.token)
    assert changes(homeserver, media) == [name]


def test_sync_goes_on_afterwards(homeserver: Homeserver, admin: Person) -> None:
    """A writer that writes nothing, as the main process here, must not hold up the others."""
    since = admin.call("GET", "sync?timeout=0")["next_batch"]
    media = upload(admin, hashlib.sha256(b"one more").digest())
    path = f"/_synapse/admin/v1/media/quarantine/{homeserver.layout.server_name}/{media}"
    homeserver.call("POST", path, {}, admin.token)
    room = admin.call("POST", "createRoom", {})["room_id"]
    admin.send(room, "after the quarantine")
    until(lambda: admin.reads(room, "after the quarantine"), "the message is synchronised")
    answer = admin.call("GET", f"sync?since={since}&timeout=5000")
    assert room in answer["rooms"]["join"]
    again = admin.call("GET", f"sync?since={answer['next_batch']}&timeout=0")
    assert again["next_batch"]
