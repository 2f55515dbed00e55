"""Tests for the writers of each stream: workers, and the main process if its updates write too.

Rules: "Stream writers" in Synapse's docs/workers.md, and docs/streams.md in this repository.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from testbed.site import PLANNED, WORKERS
from worker.check import find_problems, find_warnings
from worker.documents import documents
from worker.plan import MAIN_WRITER, contradictions, parse_plan
from worker.settings import Settings, parse
from worker.worker_types import Table, load_table

TABLE = load_table()
STREAM = "quarantined_media_changes"
GOOD: dict[str, Any] = yaml.safe_load(PLANNED)
BARE: dict[str, Any] = yaml.safe_load(WORKERS)


def table(version: str) -> Table:
    """Return the table for another version of Synapse."""
    return replace(TABLE, version=version)


def settings(version: str = "", **variables: str) -> Settings:
    """Return the settings of a worker or of the main process."""
    base = {"SYNAPSE_REPLICATION_HOST": "main", "SYNAPSE_REPLICATION_SECRET": "off"}
    return parse(base | variables, table(version))


def rendered(plan: str, version: str = "", **variables: str) -> dict[str, Any]:
    """Return the shared document of a process in ``plan``, by default the main process."""
    chosen = variables or {"SYNAPSE_WORKER": "homeserver"}
    document = documents(GOOD, settings(version, SYNAPSE_WORKERS=plan, **chosen))
    found: dict[str, Any] = document["homeserver.yaml"]
    return found


@pytest.mark.parametrize(
    ("plan", "writers"),
    [
        pytest.param("warden=quarantined_media_changes", ["warden"], id="the worker type"),
        pytest.param("keeper=media_repository", ["keeper"], id="whoever serves media"),
        pytest.param("a=media_repository+quarantined_media_changes", ["a"], id="both, once"),
        pytest.param(
            "a=media_repository, b=quarantined_media_changes, background_worker",
            ["a", "b"],
            id="the background worker is not where the database is updated",
        ),
    ],
)
def test_main_writes_quarantined_media_beside_workers(plan: str, writers: list[str]) -> None:
    """Otherwise, the main process's database update fails five times, and no later update runs."""
    for variables in ({}, {"SYNAPSE_WORKER_NAME": parse_plan(plan, TABLE)[0].name}):
        shared = rendered(plan, **variables)
        assert shared["stream_writers"] == {STREAM: [*writers, MAIN_WRITER]}
        others = {name for name in shared["instance_map"] if name != "main"}
        assert others == set(writers)


def test_without_a_worker_for_media_main_is_the_writer_by_default() -> None:
    """The plan sets `stream_writers` only for other streams."""
    assert "stream_writers" not in rendered("pusher")
    assert rendered("typing")["stream_writers"] == {"typing": ["typing"]}


@pytest.mark.parametrize("version", ["1.66.0", "1.144.0", "1.151.0", "1.152.0", "1.158.2"])
def test_older_synapse_has_no_further_writer(version: str) -> None:
    """The stream does not exist before 1.152, and other processes do not get it before 1.159."""
    shared = rendered("keeper=media_repository", version)
    assert "stream_writers" not in shared
    assert "instance_map" not in shared


@pytest.mark.parametrize("version", ["1.152.0", "1.158.0", "1.159.0rc1", "1.163.2"])
def test_the_role_that_was_asked_for_is_rendered_since_1_152(version: str) -> None:
    """The main process is a writer too."""
    shared = rendered(STREAM, version)
    assert shared["stream_writers"] == {STREAM: [STREAM, MAIN_WRITER]}


@given(
    st.lists(
        st.lists(
            st.sampled_from(
                [name for name, worker_type in TABLE.types.items() if worker_type.many]
            ),
            min_size=1,
            unique=True,
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["", "1.66.0", "1.98.0", "1.144.0", "1.155.0", "1.159.0"]),
)
def test_every_writer_can_be_called(plan: list[list[str]], version: str) -> None:
    """Each writer is main or in `instance_map`, and no stream has a writer twice."""
    chosen = table(version)
    kinds = [[name for name in types if chosen.types[name].since <= 66] for types in plan]
    text = ", ".join(f"w{number}={'+'.join(types)}" for number, types in enumerate(kinds) if types)
    if not text:
        return
    shared = rendered(text, version)
    for names in shared.get("stream_writers", {}).values():
        assert len(set(names)) == len(names)
        assert set(names) <= {MAIN_WRITER, *shared["instance_map"]}
    for stream in chosen.shared_with_main() & shared.get("stream_writers", {}).keys():
        assert MAIN_WRITER in shared["stream_writers"][stream]


def test_homeserver_yaml_may_say_the_same_as_the_plan() -> None:
    """Any other value contradicts the plan."""
    plan = parse_plan("keeper=media_repository", TABLE)
    same = {"stream_writers": {STREAM: ["keeper", MAIN_WRITER]}}
    assert contradictions(GOOD | same, plan, TABLE) == []
    (line,) = contradictions(GOOD | {"stream_writers": {STREAM: "keeper"}}, plan, TABLE)
    assert line.startswith("homeserver.yaml: stream_writers is {'quarantined_media_changes': 'ke")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with the signing key that every process needs."""
    (tmp_path / "signing.key").write_text("ed25519 a_test " + "B" * 42 + "A\n")
    return tmp_path


def own(data: Path, worker: str, version: str = "") -> Settings:
    """Return the settings of a process without a plan."""
    return settings(
        version,
        SYNAPSE_WORKER=worker,
        SYNAPSE_WORKER_NAME="" if worker == "homeserver" else "w",
        SYNAPSE_DATA_DIR=str(data),
        SYNAPSE_MEDIA_DIR=str(data),
        SYNAPSE_FEDERATION_TLS="off",
    )


PROBLEM = (
    "homeserver.yaml: stream_writers.quarantined_media_changes='w' lacks master: the main process "
    "runs the database updates, and an update that cannot write to this stream blocks all later "
    "ones; set stream_writers: {quarantined_media_changes: [w, master]} for every process"
)


@pytest.mark.parametrize("worker", ["homeserver", "media_repository", "synapse.app.pusher"])
def test_homeserver_yaml_must_not_take_the_stream_from_main(data: Path, worker: str) -> None:
    """Every process rejects it, since all of them read the same file."""
    instances = {"instance_map": {"w": {"host": "w", "port": 9093}}}
    homeserver = BARE | instances | {"stream_writers": {STREAM: "w"}}
    assert find_problems(homeserver, own(data, worker)) == [PROBLEM]
    assert find_problems(homeserver, own(data, worker, "1.151.0")) == []
    right = homeserver | {"stream_writers": {STREAM: ["w", "master"]}}
    assert find_problems(right, own(data, worker)) == []
    assert (
        find_problems(right | {"stream_writers": {STREAM: "master"}}, own(data, "homeserver")) == []
    )


def test_the_remedy_for_the_role_names_main_too(data: Path) -> None:
    """Without main in the remedy, the next start would be rejected."""
    found = find_problems(BARE, own(data, STREAM))
    assert found[0].endswith(
        "set stream_writers: {quarantined_media_changes: [w, master]} for every process"
    )


def quarantine(found: list[str]) -> list[str]:
    """Return the warnings about quarantine."""
    return [line for line in found if "quarantine" in line]


@pytest.mark.parametrize("worker", ["media_repository", "synapse.app.media_repository"])
def test_a_worker_that_cannot_quarantine_says_so(data: Path, worker: str) -> None:
    """A reverse proxy routes such requests to it, and Synapse responds to them with error 500."""
    chosen = own(data, worker)
    assert quarantine(find_warnings(BARE, chosen)) == [
        "homeserver.yaml: stream_writers.quarantined_media_changes is not set, so w answers "
        "requests to quarantine media with an error; set stream_writers: "
        "{quarantined_media_changes: [w, master]} and instance_map: {w: {host: HOST, port: 9093}} "
        "for every process"
    ]
    named = BARE | {"stream_writers": {STREAM: ["w", "master"]}}
    assert quarantine(find_warnings(named, chosen)) == []
    assert quarantine(find_warnings(BARE, own(data, worker, "1.151.0"))) == []


def test_synapse_that_quarantines_badly_says_so() -> None:
    """From 1.152 to 1.158, a worker did not replicate the stream."""
    plan = "a=media_repository, b=quarantined_media_changes"

    def warnings(name: str, version: str) -> list[str]:
        chosen = settings(version, SYNAPSE_WORKERS=plan, SYNAPSE_WORKER_NAME=name)
        return quarantine(find_warnings(GOOD, chosen))

    assert warnings("a", "1.158.0") == [
        "Synapse 1.158.0: a answers requests to quarantine media with an error; update to 1.159"
    ]
    assert warnings("b", "1.158.0") == [
        "Synapse 1.158.0: b writes quarantined_media_changes, but other processes are not "
        "notified, so /sync may stop working after media is quarantined; update to 1.159, or let "
        "only the main process write that stream"
    ]
    assert warnings("a", "1.159.0") == warnings("b", "1.159.0") == []
