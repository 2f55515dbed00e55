"""Tests for plans: what each process gets, and contradictions."""

from typing import Any

import pytest
import yaml

from testbed.site import PLANNED
from worker.documents import documents, worker_document
from worker.errors import ConfigError
from worker.listeners import listener_kinds
from worker.plan import contradictions, parse_plan, planned_settings, replaced_settings, replicates
from worker.settings import parse
from worker.worker_types import load_table

TABLE = load_table()
GOOD: dict[str, Any] = yaml.safe_load(PLANNED)
PLAN = """
pusher:2, federation_sender  # two pushers share the work
persister=event_persister@10.0.0.7
writer=typing+to_device+account_data+receipts+presence+push_rules+device_lists
appservice, user_dir, media_repository, background_worker, synchrotron+client_reader
"""


def shared(**variables: str) -> dict[str, Any]:
    """Return the documents of one process of the plan."""
    settings = parse(
        {"SYNAPSE_WORKERS": PLAN, "SYNAPSE_REPLICATION_HOST": "main", "SYNAPSE_HOSTNAME": "h"}
        | variables
    )
    return documents(GOOD, settings)


def test_a_plan_gives_every_process_the_same_duties() -> None:
    """If these settings differed between processes, work would be done twice or not at all."""
    kept = (
        "appservice",
        "federation_sender_instances",
        "media_instance_running_background_jobs",
        "notify_appservices_from_worker",
        "pusher_instances",
        "run_background_tasks_on",
        "stream_writers",
        "update_user_directory_from_worker",
        "start_pushers",
    )
    names = [worker.name for worker in parse_plan(PLAN, TABLE)]
    everyone = [shared(SYNAPSE_WORKER="homeserver")]
    everyone += [shared(SYNAPSE_WORKER_NAME=name) for name in names]
    found = [
        {name: document["homeserver.yaml"].get(name) for name in kept} for document in everyone
    ]
    assert all(duties == found[0] for duties in found)
    assert found[0] == {
        "appservice": None,
        "federation_sender_instances": ["federation_sender"],
        "media_instance_running_background_jobs": "media_repository",
        "notify_appservices_from_worker": "appservice",
        "pusher_instances": ["pusher1", "pusher2"],
        "run_background_tasks_on": "background_worker",
        "start_pushers": None,
        "stream_writers": {
            "account_data": ["writer"],
            "device_lists": ["writer"],
            "events": ["persister"],
            "presence": ["writer"],
            "push_rules": ["writer"],
            "quarantined_media_changes": ["media_repository", "master"],
            "receipts": ["writer"],
            "to_device": ["writer"],
            "typing": ["writer"],
        },
        "update_user_directory_from_worker": "user_dir",
    }


def test_white_space_around_the_parts_of_an_entry_is_no_part_of_them() -> None:
    """White space is ignored, so that a plan can be aligned in a Compose file."""
    (worker,) = parse_plan(" one = pusher @ 10.0.0.5 ", TABLE)
    assert (worker.name, worker.process.slug, worker.host) == ("one", "pusher", "10.0.0.5")
    assert [worker.name for worker in parse_plan("pusher : 2", TABLE)] == ["pusher1", "pusher2"]
    (worker,) = parse_plan("synapse.app.pusher @ here", TABLE)
    assert (worker.process.app, worker.host) == ("synapse.app.pusher", "here")
    with pytest.raises(ConfigError, match=r"^SYNAPSE_WORKERS: '=' is not a valid entry; "):
        parse_plan("  =  ", TABLE)


def test_only_what_a_plan_needs_is_set() -> None:
    """Worker types without a setting add none, and only workers that others call replicate."""
    (reader,) = parse_plan("synchrotron", TABLE)
    assert planned_settings([reader], TABLE) == {}
    assert replaced_settings([reader]) == frozenset()
    assert not replicates(reader.process, TABLE)
    (sender,) = parse_plan("sender=federation_sender+pusher", TABLE)
    assert planned_settings([sender], TABLE) == {
        "federation_sender_instances": ["sender"],
        "pusher_instances": ["sender"],
    }
    assert replaced_settings([sender]) == {"send_federation", "start_pushers"}
    assert replicates(sender.process, TABLE)


def test_a_planned_application_is_rendered_as_a_generic_worker() -> None:
    """The old application names assign duties, which the plan already does."""
    settings = parse(
        {
            "SYNAPSE_WORKERS": "one=synapse.app.pusher",
            "SYNAPSE_WORKER_NAME": "one",
            "SYNAPSE_REPLICATION_HOST": "main",
        }
    )
    assert settings.process.app == "synapse.app.pusher"
    worker = worker_document(GOOD, settings)
    assert worker["worker_app"] == "synapse.app.generic_worker"


def test_a_planned_writer_listens_before_anyone_has_rendered_its_place() -> None:
    """The replication listener follows from the plan, not from homeserver.yaml's `instance_map`."""
    settings = parse(
        {
            "SYNAPSE_WORKERS": "event_persister",
            "SYNAPSE_WORKER_NAME": "event_persister",
            "SYNAPSE_REPLICATION_HOST": "main",
        }
    )
    assert "replication" in listener_kinds(settings, None)


def test_names_that_are_given_twice_are_listed_in_their_order() -> None:
    """The errors are sorted by name, whatever the order in the plan."""
    with pytest.raises(ConfigError) as caught:
        parse_plan("b=pusher, b=pusher, a=pusher, a=pusher", TABLE)
    names = [line.split()[3] for line in caught.value.problems]
    assert names == ["a", "b"]


def test_every_process_finds_those_that_it_calls() -> None:
    """`instance_map` has stream writers, federation senders and, for workers, the main process."""
    workers = shared(SYNAPSE_WORKER_NAME="pusher1")["homeserver.yaml"]["instance_map"]
    assert workers == {
        "federation_sender": {"host": "federation_sender", "port": 9093},
        "main": {"host": "main", "port": 9093},
        "media_repository": {"host": "media_repository", "port": 9093},
        "persister": {"host": "10.0.0.7", "port": 9093},
        "writer": {"host": "writer", "port": 9093},
    }
    of_main = shared(SYNAPSE_WORKER="homeserver")["homeserver.yaml"]["instance_map"]
    assert of_main == {name: value for name, value in workers.items() if name != "main"}


@pytest.mark.parametrize(
    ("name", "listeners"),
    [
        ("pusher1", [(8080, ["health"]), (9000, ["metrics"])]),
        ("persister", [(8080, ["health"]), (9000, ["metrics"]), (9093, ["replication"])]),
        (
            "writer",
            [(8008, ["client"]), (8080, ["health"]), (9000, ["metrics"]), (9093, ["replication"])],
        ),
        (
            "media_repository",
            [
                (8008, ["client", "media"]),
                (8080, ["health"]),
                (9000, ["metrics"]),
                (9093, ["replication"]),
            ],
        ),
    ],
)
def test_each_worker_listens_where_its_roles_are_asked(
    name: str, listeners: list[tuple[int, list[str]]]
) -> None:
    """Besides health and metrics, a worker listens only for its own worker types."""
    worker = shared(SYNAPSE_WORKER_NAME=name)["worker.yaml"]
    found = [(row["port"], row["resources"][0]["names"]) for row in worker["worker_listeners"]]
    assert found == listeners
    assert worker["worker_name"] == name
    assert worker["worker_app"] == "synapse.app.generic_worker"


def test_without_tls_federation_is_served_beside_clients() -> None:
    """This is for use behind a reverse proxy that terminates TLS, as with the official image."""
    settings = parse(
        {
            "SYNAPSE_WORKER": "federation_inbound",
            "SYNAPSE_FEDERATION_TLS": "off",
            "SYNAPSE_REPLICATION_HOST": "main",
        }
    )
    rendered = documents(GOOD, settings)
    assert rendered["homeserver.yaml"]["listeners"] == []
    first = rendered["worker.yaml"]["worker_listeners"][0]
    assert (first["port"], first["resources"][0]["names"]) == (8008, ["federation"])
    assert "tls" not in first


def test_unix_sockets_stand_for_the_ports_that_processes_share() -> None:
    """Processes in one pod can use Unix sockets instead of ports."""
    rendered = shared(SYNAPSE_WORKER_NAME="writer", SYNAPSE_UNIX_SOCKETS="/sockets")
    paths = [row.get("path") for row in rendered["worker.yaml"]["worker_listeners"]]
    assert paths == ["/sockets/writer.client.sock", None, None, "/sockets/writer.replication.sock"]
    assert rendered["homeserver.yaml"]["instance_map"]["main"] == {
        "path": "/sockets/main.replication.sock"
    }


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"pusher_instances": ["x"]}, "homeserver.yaml: pusher_instances is ['x'], but"),
        ({"stream_writers": {"typing": "x"}}, "homeserver.yaml: stream_writers is {'typing': 'x'}"),
        ({"run_background_tasks_on": "x"}, "homeserver.yaml: run_background_tasks_on is 'x', but"),
    ],
)
def test_a_setting_that_the_plan_contradicts_is_named(change: dict[str, Any], line: str) -> None:
    """Either the setting or the plan is wrong, and only the operator knows which."""
    (found,) = contradictions(GOOD | change, parse_plan(PLAN, TABLE), TABLE)
    assert found.startswith(line)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"start_pushers": False}, "homeserver.yaml: start_pushers is false, but no worker in"),
        ({"send_federation": False}, "homeserver.yaml: send_federation is false, but no worker"),
        ({"notify_appservices": False}, "homeserver.yaml: notify_appservices is false, but no"),
        ({"update_user_directory": False}, "homeserver.yaml: update_user_directory is false, but"),
        ({"pusher_instances": ["x"]}, "homeserver.yaml: pusher_instances names ['x'], but no"),
        ({"stream_writers": {"typing": "x"}}, "homeserver.yaml: stream_writers has typing, but no"),
    ],
)
def test_a_duty_that_nobody_has_is_named(change: dict[str, Any], line: str) -> None:
    """Synapse would start and be healthy, but would never do the work."""
    (found,) = contradictions(GOOD | change, parse_plan("synchrotron", TABLE), TABLE)
    assert found.startswith(line)
