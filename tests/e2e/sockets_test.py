"""Unix sockets instead of the ports between processes, as in a pod."""

from collections.abc import Iterator

import pytest

from testbed.homeserver import Homeserver, Parts
from testbed.layout import Options
from testbed.processes import answers
from tests.e2e.people import Person, served, until

WORKERS = {"events": "event_persister", "reader": "client_reader+synchrotron+event_creator"}


@pytest.fixture(scope="module")
def homeserver(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homeserver]:
    """Yield a homeserver whose processes share a folder of sockets."""
    # A socket's path may have at most 107 bytes; the path inside the container is short.
    folder = tmp_path_factory.mktemp("sockets") / "4"
    found = Homeserver(4, folder, parts, Options(WORKERS, planned=True, sockets=True))
    try:
        found.start()
        yield found
    finally:
        for process in found.processes.values():
            print(f"----- {process.name}\n{process.tail(10)}")
        found.kill()


def test_a_message_goes_through_sockets_alone(homeserver: Homeserver) -> None:
    """The message goes from the client through a worker and the persister, and can be read."""
    alice = Person(homeserver, "alice")
    room = alice.call("POST", "createRoom", {})["room_id"]
    alice.send(room, "hello")
    until(lambda: alice.reads(room, "hello"), "the message is read")
    assert served(homeserver, "reader", "RoomSendEventRestServlet") > 0
    assert homeserver.count("events", "synapse_storage_events_persisted_events_total") > 0


def test_the_ports_are_not_bound(homeserver: Homeserver) -> None:
    """Only the health and metrics ports are bound."""
    for name in ("main", "events", "reader"):
        host = homeserver.layout.host_of(name)
        assert [port for port in (8008, 8080, 9000, 9093) if answers(host, port)] == [8080, 9000]


def test_every_process_ends_cleanly_and_its_sockets_go_with_it(homeserver: Homeserver) -> None:
    """Exit codes are 0 and no socket is left; this test must come last."""
    statuses = homeserver.stop()
    assert {statuses[name] for name in ("main", "events", "reader")} == {0}
    assert homeserver.sockets is not None
    assert [path.name for path in homeserver.sockets.iterdir() if path.is_socket()] == []
