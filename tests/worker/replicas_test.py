"""Workers that are named after the host of their container, so that there can be any number."""

import re
import socket
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from testbed.site import PLANNED
from worker.documents import documents
from worker.errors import ConfigError
from worker.plan import PlannedWorker, is_stateless, planned_settings, replicates
from worker.settings import Settings, parse
from worker.worker_types import GENERIC, ProcessType, load_table

TABLE = load_table()
HOMESERVER: dict[str, Any] = yaml.safe_load(PLANNED)
PLAN = "synchrotron:2, reader=client_reader+frontend_proxy, typing"


def replica(host_name: str, monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    """Return the settings of a synchrotron in a container with a host name."""
    monkeypatch.setattr(socket, "gethostname", lambda: host_name)
    environ = {
        "SYNAPSE_WORKER": "synchrotron",
        "SYNAPSE_WORKER_NAME_FROM": "hostname",
        "SYNAPSE_WORKERS": PLAN,
        "SYNAPSE_REPLICATION_HOST": "main",
    }
    return parse(environ | variables)


def problems(host_name: str, monkeypatch: pytest.MonkeyPatch, **variables: str) -> tuple[str, ...]:
    """Return what is wrong with the settings of a replica."""
    with pytest.raises(ConfigError) as caught:
        replica(host_name, monkeypatch, **variables)
    return tuple(caught.value.problems)


def types_of(names: tuple[str, ...]) -> ProcessType:
    """Return the process type with worker types."""
    return ProcessType(GENERIC, tuple(TABLE.types[name] for name in names), named_by_type=True)


@pytest.mark.parametrize("names", [*combinations(TABLE.types, 1), *combinations(TABLE.types, 2)])
def test_only_a_worker_that_nothing_names_may_have_replicas(names: tuple[str, ...]) -> None:
    """If the shared configuration named it, a replica would need an entry in every process."""
    worker = PlannedWorker("the-name", types_of(names), "the-host")
    lone = any(not worker_type.many for worker_type in worker.process.types)
    shared = yaml.safe_dump(planned_settings([worker], TABLE))
    named = "the-name" in shared or replicates(worker.process, TABLE)
    assert is_stateless(worker.process, TABLE) == (not named and not lone)


def test_a_replica_is_named_after_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is what Synapse, its metrics and its log show."""
    found = replica("synchrotron-6d5f-x2x9z", monkeypatch)
    worker = documents(HOMESERVER, found)["worker.yaml"]
    assert worker["worker_name"] == "synchrotron-6d5f-x2x9z"
    assert [one["port"] for one in worker["worker_listeners"]] == [8008, 8080, 9000]


def test_replicas_share_the_configuration_of_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing changes for other processes when there is one more."""
    planned: Mapping[str, str] = {
        "SYNAPSE_WORKER_NAME": "synchrotron1",
        "SYNAPSE_WORKERS": PLAN,
        "SYNAPSE_REPLICATION_HOST": "main",
    }
    expected = documents(HOMESERVER, parse(planned))["homeserver.yaml"]
    for name in ("a", "b"):
        found = documents(HOMESERVER, replica(name, monkeypatch))
        assert found["homeserver.yaml"] == expected


def test_a_replica_needs_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is given, so there is no warning about a second worker with the same name."""
    found = replica("a1b2", monkeypatch, SYNAPSE_WORKERS="")
    assert (found.name, found.name_given, found.plan) == ("a1b2", True, None)


@pytest.mark.parametrize(
    ("host_name", "line"),
    [
        (
            "typing",
            "SYNAPSE_WORKER_NAME_FROM=hostname: in SYNAPSE_WORKERS, typing is typing; give this "
            "container another host name",
        ),
        (
            "reader",
            "SYNAPSE_WORKER_NAME_FROM=hostname: in SYNAPSE_WORKERS, reader is "
            "client_reader+frontend_proxy; give this container another host name",
        ),
        *(
            (
                name,
                f"SYNAPSE_WORKER_NAME_FROM=hostname: the host name {name!r} is not a valid worker "
                "name; use at most 64 characters of A-Z a-z 0-9 _ . -, but neither main nor master",
            )
            for name in ("main", "master", "", "a b", "w" * 65, "ä")
        ),
    ],
)
def test_a_host_name_that_cannot_be_used_is_named(
    host_name: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers with the same name ignore each other's updates."""
    assert problems(host_name, monkeypatch) == (line,)


def test_the_name_of_a_planned_worker_of_its_type_is_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some engines call a container by the name in the plan."""
    assert replica("synchrotron2", monkeypatch).name == "synchrotron2"


@given(name=st.text(st.characters(exclude_categories=["Cs"]), max_size=70))
def test_any_host_name_is_the_name_or_one_line(name: str) -> None:
    """The kernel allows any bytes in a host name."""
    lines: tuple[str, ...] = ()
    with pytest.MonkeyPatch.context() as monkeypatch:
        try:
            assert replica(name, monkeypatch).name == name
        except ConfigError as error:
            lines = tuple(error.problems)
    assert all(line.isprintable() for line in lines)
    if lines:
        assert any("SYNAPSE_WORKER_NAME_FROM=hostname: " in line for line in lines)
        assert not re.fullmatch("[A-Za-z0-9_.-]{1,64}", name) or name in ("main", "master")


def test_a_host_name_for_the_log_that_is_not_printable_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No variable has it, so the line says where it comes from."""
    assert (
        "SYNAPSE_HOSTNAME is not set, and the host name 'a\\x1f' is not a printable line of at "
        in (problems("a\x1f", monkeypatch)[-1])
    )
