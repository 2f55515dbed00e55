"""Unix sockets in place of the ports between processes, as in one pod."""

from collections.abc import Iterator

import pytest

from cluster.homeserver import Homeserver, Parts
from cluster.processes import answers
from tests.e2e.people import Person, served, until

WORKERS = {"events": "event_persister", "reader": "client_reader+synchrotron+event_creator"}


@pytest.fixture(scope="module")
def homeserver(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homeserver]:
    """A homeserver whose processes share a folder of sockets."""
    # The path of a socket has at most 107 bytes: inside the container it is short.
    folder = tmp_path_factory.mktemp("sockets") / "4"
    found = Homeserver(4, folder, parts, WORKERS, planned=True, settings={}, sockets=True)
    try:
        found.start()
        yield found
    finally:
        for process in found.processes.values():
            print(f"----- {process.name}\n{process.tail(10)}")
        found.kill()


def test_a_message_goes_through_sockets_alone(homeserver: Homeserver) -> None:
    """Client, worker, persister, main, and back."""
    alice = Person(homeserver, "alice")
    room = alice.call("POST", "createRoom", {})["room_id"]
    alice.send(room, "hello")
    until(lambda: alice.reads(room, "hello"), "the message is read")
    assert served(homeserver, "reader", "RoomSendEventRestServlet") > 0
    assert homeserver.count("events", "synapse_storage_events_persisted_events_total") > 0


def test_the_ports_are_not_bound(homeserver: Homeserver) -> None:
    """Only health and metrics are."""
    for name in ("main", "events", "reader"):
        host = homeserver.host_of(name)
        assert [port for port in (8008, 8080, 9000, 9093) if answers(host, port)] == [8080, 9000]


def test_every_process_ends_cleanly_and_its_sockets_go_with_it(homeserver: Homeserver) -> None:
    """Last."""
    statuses = homeserver.stop()
    assert {statuses[name] for name in ("main", "events", "reader")} == {0}
    assert homeserver.sockets is not None
    assert [path.name for path in homeserver.sockets.iterdir() if path.is_socket()] == []
