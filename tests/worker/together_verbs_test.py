"""The verbs of a container with several processes, and those that print files for it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from testbed.site import PLANNED, make_data
from worker.__main__ import main
from worker.deployment import deployment

PLAN = "events=event_persister, sync=synchrotron:2, sender=federation_sender@10.0.0.7"
HOSTED = "events=event_persister@10.0.0.7, sync=synchrotron@10.0.0.7"
ALL = {"SYNAPSE_PROCESSES": "all", "SYNAPSE_WORKERS": PLAN}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a valid /data folder for a plan."""
    return make_data(tmp_path_factory.mktemp("made") / "data", PLANNED)


def test_prometheus_targets_have_the_ports_of_the_plan(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A worker without a host of its own is where the main process is."""
    environ = {"SYNAPSE_PROCESSES": "all", "SYNAPSE_REPLICATION_HOST": "synapse"}
    assert main(["prometheus", PLAN], environ) == 0

    targets = [one["targets"] for one in json.loads(capsys.readouterr().out)]
    assert targets == [
        ["synapse:9000"],
        ["synapse:19001"],
        ["synapse:19002"],
        ["synapse:19003"],
        ["10.0.0.7:19004"],
    ]


def test_doctor_finds_a_name_that_is_not_in_the_plan(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`start` finds it too; `doctor` examines all processes, and not only those of a container."""
    monkeypatch.setattr("worker.examination.drop_rights", lambda _: [])
    folders = {"SYNAPSE_DATA_DIR": str(data), "SYNAPSE_MEDIA_DIR": str(data)}
    environ = ALL | folders | {"SYNAPSE_OOM_SCORE": "100, synk1=5"}
    assert main(["doctor", PLAN], environ) == 2

    assert capsys.readouterr().err == (
        "error: SYNAPSE_OOM_SCORE has a value for 'synk1', which is not in SYNAPSE_WORKERS; "
        "correct the name (every process)\n"
    )
    assert main(["doctor", PLAN], ALL | folders) == 0


@pytest.mark.parametrize("verb", [["healthcheck"], ["healthcheck", "--ready", "sync1"]])
def test_a_container_without_parent_is_unhealthy(
    data: Path,
    verb: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The parent is not there while the container waits for services, for example."""
    monkeypatch.setattr("worker.together_verbs.drop_rights", lambda _: [])
    environ = ALL | {"SYNAPSE_DATA_DIR": str(data), "SYNAPSE_RUNTIME_DIR": "/none"}
    assert main(verb, environ) == 1

    said = "the parent at /none/control.sock does not answer: No such file or directory"
    assert capsys.readouterr().err.startswith(f"unhealthy: {said}")


@pytest.mark.parametrize("verb", ["healthcheck", "restart", "print-config"])
def test_a_process_elsewhere_is_refused(
    data: Path, verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message lists the processes of this container."""
    monkeypatch.setattr("worker.together_verbs.drop_rights", lambda _: [])
    monkeypatch.setattr("worker.examination.drop_rights", lambda _: [])
    folders = {"SYNAPSE_DATA_DIR": str(data), "SYNAPSE_MEDIA_DIR": str(data)}
    environ = ALL | folders | {"SYNAPSE_PROCESSES": "main, sync1"}
    assert main([verb, "sender"], environ) == 2

    assert capsys.readouterr().err == (
        f"error: {verb}: 'sender' is not a process of this container; choose one of main, sync1\n"
    )


@pytest.fixture
def runtime() -> Iterator[Path]:
    """Yield a folder whose path is short enough for Unix sockets in it."""
    with TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.parametrize("plan", ["events=event_persister, sync=synchrotron:2", HOSTED])
def test_files_for_engines_have_variables_that_the_entrypoint_accepts(
    data: Path,
    runtime: Path,
    plan: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It examines all processes, and renders the files of each process of a container."""
    monkeypatch.setattr("worker.examination.drop_rights", lambda _: [])
    given = {"SYNAPSE_REPLICATION_HOST": "10.0.0.1"} if plan == HOSTED else {}
    found = deployment(given, plan, one_container=True)
    folders = {
        "SYNAPSE_DATA_DIR": str(data),
        "SYNAPSE_MEDIA_DIR": str(data),
        "SYNAPSE_RUNTIME_DIR": str(runtime),
    }
    printed = []
    for container in found.containers:
        environ = {**found.environ, **container.environ, **folders}
        del environ["SYNAPSE_DATABASE_PASSWORD_FILE"]  # The database of this homeserver is a file.
        assert main(["doctor", plan], environ) == 0
        assert capsys.readouterr().err == ""
        assert main(["print-config"], environ) == 0
        printed += re.findall("^--- # (.*): log.yaml$", capsys.readouterr().out, re.MULTILINE)
    assert sorted(printed) == sorted(name for one in found.containers for name in one.processes)


def test_files_for_engines_are_for_one_process_each(capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the option that makes them for several."""
    assert main(["compose", PLAN], ALL) == 2

    said = capsys.readouterr().err
    assert (
        "error: SYNAPSE_PROCESSES is set, but these files start each process in a container of its "
        "own; unset it, or add --one-container" in said
    )
