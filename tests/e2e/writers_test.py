"""Stream writers on workers, and the updates of the database, which run on the main process."""

import hashlib
import json
import urllib.request
from collections.abc import Iterator

import pytest

from cluster.homeserver import PORTS, Homeserver, Parts
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
    """A plan in which two workers may quarantine media, and another has the background tasks."""
    folder = tmp_path_factory.mktemp("writers") / "4"
    quick = {"background_updates": {"sleep_enabled": False}}
    found = Homeserver(4, folder, parts, WORKERS, planned=True, settings=quick)
    try:
        found.start()
        yield found
    finally:
        for process in found.processes.values():
            print(f"----- {process.name}\n{process.tail(10)}")
        found.kill()


@pytest.fixture(scope="module")
def admin(homeserver: Homeserver) -> Person:
    """May quarantine media."""
    person = Person(homeserver, "admin")
    homeserver.query(f"UPDATE users SET admin = 1 WHERE name = '{person.id}'")
    return person


def upload(person: Person, content: bytes) -> str:
    """Store a file; return its media id."""
    url = f"{person.homeserver.url}/_matrix/media/v3/upload"
    request = urllib.request.Request(url, content, method="POST")
    request.add_header("Authorization", f"Bearer {person.token}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        uri: str = json.load(answer)["content_uri"]
    return uri.rpartition("/")[2]


def changes(homeserver: Homeserver, media: str) -> list[str]:
    """Return who wrote down that a file was quarantined."""
    return homeserver.query(
        f"SELECT instance_name FROM quarantined_media_changes WHERE media_id = '{media}'"
    )


def updated(homeserver: Homeserver) -> bool:
    """Whether no update of the database is left."""
    return homeserver.query("SELECT update_name FROM background_updates") == []


def test_media_quarantined_before_1_152_is_written_down(
    homeserver: Homeserver, admin: Person
) -> None:
    """By the main process, which runs the updates though ``background`` has the tasks.

    Synapse 1.152 made the table, and an update that fills it with the media of before, which 1.157
    runs again.  What their schema deltas leave behind is made here: media with its mark, no row in
    the new table, and the update in its queue, from which it is taken at the next start.
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
    """Through the proxy the warden alone does; any other proxy may send it to the keeper."""
    media = upload(admin, name.encode())
    path = f"/_synapse/admin/v1/media/quarantine/{homeserver.server_name}/{media}"
    if name == "warden":
        homeserver.call("POST", path, {}, admin.token)
    else:
        url = f"http://{homeserver.host_of(name)}:{PORTS['client']}{path}"
        request = urllib.request.Request(url, b"{}", method="POST")
        request.add_header("Authorization", f"Bearer {admin.token}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 200
    assert changes(homeserver, media) == [name]


def test_sync_goes_on_afterwards(homeserver: Homeserver, admin: Person) -> None:
    """A writer that is silent, as the main process is now, must not hold up the others."""
    since = admin.call("GET", "sync?timeout=0")["next_batch"]
    media = upload(admin, hashlib.sha256(b"one more").digest())
    path = f"/_synapse/admin/v1/media/quarantine/{homeserver.server_name}/{media}"
    homeserver.call("POST", path, {}, admin.token)
    room = admin.call("POST", "createRoom", {})["room_id"]
    admin.send(room, "after the quarantine")
    until(lambda: admin.reads(room, "after the quarantine"), "the message is synchronised")
    answer = admin.call("GET", f"sync?since={since}&timeout=5000")
    assert room in answer["rooms"]["join"]
    again = admin.call("GET", f"sync?since={answer['next_batch']}&timeout=0")
    assert again["next_batch"]
