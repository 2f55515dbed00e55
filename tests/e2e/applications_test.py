"""All of the predecessor's applications at once, which is transparent to clients."""

import asyncio
import os
import subprocess
import time

import pytest
from nio import (
    AsyncClient,
    JoinResponse,
    LoginResponse,
    RoomCreateResponse,
    RoomInviteResponse,
    RoomMessageText,
    RoomSendResponse,
    SyncResponse,
    UploadResponse,
)

from testbed.homeserver import Homeserver
from testbed.receivers import Receiver
from tests.e2e.people import Person, served, until


def test_every_process_is_ready(first: Homeserver, second: Homeserver) -> None:
    """Each process checks the database, Redis and main from inside its own container."""
    for homeserver in (first, second):
        for process in homeserver.synapses():
            done = subprocess.run(
                homeserver.command(process.name, "healthcheck", "--ready"),
                text=True,
                capture_output=True,
                check=False,
            )
            assert (done.returncode, done.stdout) == (0, "ready\n"), (process.name, done.stderr)


def test_every_process_gives_its_own_metrics(first: Homeserver, second: Homeserver) -> None:
    """Even processes that serve nothing else serve metrics."""
    for homeserver in (first, second):
        for process in homeserver.synapses():
            assert "synapse_build_info{" in homeserver.metrics(process.name), process.name


def test_a_client_library_talks_to_twelve_processes(first: Homeserver) -> None:
    """matrix-nio, which knows nothing about workers, works as with a single process."""
    dora = first.register("dora", "wonderland")
    emil = first.register("emil", "wonderland")

    async def story() -> None:
        sender, reader = AsyncClient(first.layout.url, dora), AsyncClient(first.layout.url, emil)
        try:
            assert isinstance(await sender.login("wonderland"), LoginResponse)
            assert isinstance(await reader.login("wonderland"), LoginResponse)
            created = await sender.room_create()
            assert isinstance(created, RoomCreateResponse), created
            room = created.room_id
            assert isinstance(await sender.room_invite(room, emil), RoomInviteResponse)
            assert isinstance(await reader.join(room), JoinResponse)
            content = {"msgtype": "m.text", "body": "curiouser"}
            sent = await sender.room_send(room, "m.room.message", content)
            assert isinstance(sent, RoomSendResponse), sent
            synced = await reader.sync(timeout=10000)
            assert isinstance(synced, SyncResponse), synced
            events = synced.rooms.join[room].timeline.events
            bodies = [event.body for event in events if isinstance(event, RoomMessageText)]
            assert bodies == ["curiouser"]
            data = os.urandom(5000)
            uploaded, _ = await sender.upload(
                lambda *_: data, content_type="application/octet-stream", filesize=len(data)
            )
            assert isinstance(uploaded, UploadResponse), uploaded
            fetched = await reader.download(uploaded.content_uri)
            assert fetched.body == data
        finally:
            await sender.close()
            await reader.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("name", "servlet"),
    [
        ("main", "UserRegisterServlet"),
        ("client_reader", "LoginRestServlet"),
        ("event_creator", "RoomCreateRestServlet"),
        ("event_creator", "RoomMembershipRestServlet"),
        ("event_creator", "RoomSendEventRestServlet"),
        ("synchrotron", "SyncRestServlet"),
        ("media_repository", "UploadServlet"),
        ("media_repository", "DownloadResource"),
    ],
)
def test_each_type_did_its_own_work(
    first: Homeserver, alice: Person, room: str, name: str, servlet: str
) -> None:
    """The requests are counted in the worker's metrics and not in those of the main process."""
    alice.send(room, "work")
    assert served(first, name, servlet) > 0
    if name != "main":
        assert served(first, "main", servlet) == 0


def test_keys_are_uploaded_through_frontend_proxy(first: Homeserver, alice: Person) -> None:
    """Key uploads are routed to frontend_proxy."""
    alice.call("POST", "keys/upload", {})
    assert served(first, "frontend_proxy", "KeyUploadServlet") == 1


def test_generic_worker_answers_whatever_is_routed_to_it(first: Homeserver, alice: Person) -> None:
    """generic_worker accepts the token that client_reader issued."""
    path = "/_matrix/client/v3/account/whoami"
    answer = first.call_directly("generic_worker", "GET", path, token=alice.token)
    assert answer["user_id"] == alice.id
    assert served(first, "generic_worker", "WhoamiRestServlet") == 1


def test_a_user_is_found_by_the_directory_worker(
    first: Homeserver, alice: Person, bob: Person, room: str
) -> None:
    """user_dir both updates the user directory and serves searches."""

    def found() -> bool:
        answer = alice.call("POST", "user_directory/search", {"search_term": "bob"})
        return bob.id in [user["user_id"] for user in answer["results"]]

    until(found, "bob is in the directory")
    assert served(first, "user_dir", "UserDirectorySearchRestServlet") > 0


def test_a_message_is_pushed_once(
    first: Homeserver, alice: Person, bob: Person, room: str, gateway: Receiver
) -> None:
    """The pusher worker sends it; the main process does not."""
    pusher = {
        "kind": "http",
        "app_id": "test",
        "pushkey": "key",
        "app_display_name": "a",
        "device_display_name": "d",
        "lang": "en",
        "data": {"url": f"{gateway.url}/_matrix/push/v1/notify"},
    }
    bob.call("POST", "pushers/set", pusher)
    event = alice.send(room, "hello bob")

    def pushes() -> list[str]:
        return [
            document["notification"].get("event_id")
            for path, document in gateway.received
            if path == "/_matrix/push/v1/notify"
        ]

    until(lambda: event in pushes(), "the push arrives")
    time.sleep(1)  # A duplicate would follow immediately.
    assert pushes().count(event) == 1
    processed = "synapse_http_httppusher_http_pushes_processed_total"
    assert first.count("pusher", processed) > 0
    assert first.count("main", processed) == 0


def test_the_application_service_gets_each_event_once(
    first: Homeserver, alice: Person, room: str, service: Receiver
) -> None:
    """The appservice worker sends it; the main process does not."""
    event = alice.send(room, "hello bridge")

    def seen() -> list[str]:
        return [
            row["event_id"]
            for path, document in service.received
            if "/transactions/" in path
            for row in document["events"]
        ]

    until(lambda: event in seen(), "the transaction arrives")
    time.sleep(1)
    assert seen().count(event) == 1
    processed = "synapse_handlers_appservice_events_processed_total"
    assert first.count("appservice", processed) > 0
    assert first.count("main", processed) == 0
