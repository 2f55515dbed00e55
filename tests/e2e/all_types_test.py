"""All worker types at once with a worker plan, and federation between two homeservers."""

import json

import pytest

from testbed.homeserver import Homeserver
from tests.e2e.people import Person, served, until


def test_two_homeservers_federate_over_tls(
    first: Homeserver, second: Homeserver, alice: Person, carol: Person, room: str
) -> None:
    """Messages go from the sender worker of one to the receiving worker of the other, and back."""
    carol.call("POST", f"join/%23room:{first.layout.server_name}", {})
    alice.send(room, "hello carol")
    until(lambda: carol.reads(room, "hello carol"), "the message crosses")
    carol.send(room, "hello alice")
    until(lambda: alice.reads(room, "hello alice"), "the answer crosses")
    sent = "synapse_federation_client_sent_transactions_total"
    assert first.count("federation_sender", sent) > 0
    assert second.count("sender", sent) > 0
    for homeserver in (first, second):
        assert homeserver.count("main", sent) == 0
    assert served(first, "federation_reader", "FederationSendServlet") > 0
    assert served(second, "fedin", "FederationSendServlet") > 0


@pytest.mark.parametrize(
    ("method", "path", "body", "servlet"),
    [
        ("PUT", "rooms/{room}/typing/{me}", {"typing": True}, "RoomTypingRestServlet"),
        (
            "PUT",
            "sendToDevice/m.test/1",
            {"messages": {"{me}": {"*": {"a": 1}}}},
            "SendToDeviceRestServlet",
        ),
        ("PUT", "user/{me}/account_data/m.test", {"a": 1}, "AccountDataServlet"),
        ("PUT", "presence/{me}/status", {"presence": "online"}, "PresenceStatusRestServlet"),
        (
            "PUT",
            "pushrules/global/content/test",
            {"actions": ["notify"], "pattern": "x"},
            "PushRuleRestServlet",
        ),
        ("POST", "rooms/{room}/receipt/m.read/{event}", {}, "ReceiptRestServlet"),
        ("POST", "keys/upload", {}, "KeyUploadServlet"),
    ],
)
def test_each_stream_is_written_by_its_writer(
    second: Homeserver, carol: Person, method: str, path: str, body: object, servlet: str
) -> None:
    """Any other worker would answer the same request with an error."""
    created = carol.call("POST", "createRoom", {})["room_id"]
    event = carol.send(created, "x")
    names = {"room": created, "me": carol.id, "event": event}
    filled = json.loads(json.dumps(body).replace("{me}", carol.id))
    carol.call(method, path.format(**names), filled)
    assert served(second, "writer", servlet) > 0
    assert served(second, "main", servlet) == 0


def test_events_are_persisted_by_their_persister(second: Homeserver, carol: Person) -> None:
    """The main process persists no events."""
    carol.send(carol.call("POST", "createRoom", {})["room_id"], "kept")
    persisted = "synapse_storage_events_persisted_events_total"
    assert second.count("events", persisted) > 0
    assert second.count("main", persisted) == 0
