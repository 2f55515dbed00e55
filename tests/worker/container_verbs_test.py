"""What the verbs of a container do: start, print-config, wait and generate."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.site import WORKERS, make_data
from tests.worker.one_process import keep_rights, verb
from worker.__main__ import main

GOOD: dict[str, Any] = yaml.safe_load(WORKERS)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a valid /data folder."""
    return make_data(tmp_path / "data", WORKERS)


@pytest.fixture(autouse=True)
def requested(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keep the user and CPUs of the test; return a list of the changes that were requested."""
    return keep_rights(monkeypatch)


def test_start_renders_what_synapse_reads_and_becomes_it(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The derived secret is in a separate file, on one line."""
    became: list[tuple[list[Path], object]] = []
    monkeypatch.setattr(
        "worker.__main__.exec_synapse",
        lambda settings, files, environ: became.append((files, environ["SYNAPSE_WORKER"])),
    )
    monkeypatch.setattr("worker.binding.listening_problems", lambda documents: [])
    assert verb(data, SYNAPSE_WORKER="synapse.app.pusher", SYNAPSE_WORKER_NAME="pusher") == 2
    names = ("homeserver.yaml", "worker.yaml", "log.yaml")
    assert became == [([data / name for name in names], "synapse.app.pusher")]
    assert capsys.readouterr() == ("", "")
    (secret,) = (data / "replication_secret").read_text().splitlines(keepends=True)
    assert len(secret) == 65
    assert secret.endswith("\n")
    (data / "homeserver.yaml").write_text(WORKERS)
    (data / "replication_secret").unlink()
    assert verb(data, "start", SYNAPSE_REPLICATION_SECRET="off") == 2
    assert not (data / "replication_secret").exists()


def test_a_port_that_is_taken_keeps_synapse_from_starting(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each problem is on its own line."""
    monkeypatch.setattr("worker.binding.listening_problems", lambda documents: ["one", "two"])
    monkeypatch.setattr("worker.__main__.exec_synapse", lambda *_: pytest.fail("it started"))
    assert verb(data, "start") == 2
    assert capsys.readouterr().err == "error: one\nerror: two\n"


def test_print_config_shows_each_document_under_its_name_in_its_order(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output is valid YAML, and options keep the order of homeserver.yaml."""
    assert (
        verb(
            data, "print-config", SYNAPSE_WORKER="synapse.app.pusher", SYNAPSE_WORKER_NAME="pusher"
        )
        == 0
    )
    text = capsys.readouterr().out
    parts = text.split("--- # ")
    assert [part.partition("\n")[0] for part in parts[1:]] == [
        "homeserver.yaml", "worker.yaml", "log.yaml",
    ]  # fmt: skip
    assert "\n\n" not in text
    shared = yaml.safe_load(parts[1].partition("\n")[2])
    kept = [name for name in GOOD if name in shared]
    assert [name for name in shared if name in GOOD] == kept


@pytest.mark.parametrize("seconds", ["0", "86401", "1e3", "-1", "", "x", "9" * 400])
def test_a_wait_that_is_no_time_is_refused(
    data: Path, capsys: pytest.CaptureFixture[str], seconds: str
) -> None:
    """The error names the valid range and an example."""
    assert verb(data, "wait", seconds) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: wait '")
    assert error.endswith(" is not a number of seconds from 1 to 86400; use one, for example 60\n")


@pytest.mark.parametrize(
    ("arguments", "variables", "seconds"),
    [
        (["wait"], {}, 60),
        (["wait"], {"SYNAPSE_WAIT_SECONDS": "7"}, 7),
        (["wait", "86400"], {"SYNAPSE_WAIT_SECONDS": "7"}, 86400),
        (["wait", "1"], {}, 1),
        (["start"], {"SYNAPSE_WAIT_SECONDS": "7"}, 7),
        (["start"], {}, None),
    ],
)
def test_who_waits_and_how_long(
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    variables: dict[str, str],
    seconds: int | None,
) -> None:
    """The exit code is 75 if something is still missing after that time."""
    asked: list[float] = []

    def wait(probes: object, seconds: float, say: object, hide: object) -> list[str]:
        asked.append(seconds)
        return ["Redis is down", "PostgreSQL is down"]

    monkeypatch.setattr("worker.asking.wait", wait)
    monkeypatch.setattr("worker.binding.listening_problems", lambda documents: [])
    monkeypatch.setattr("worker.__main__.exec_synapse", lambda *_: None)
    status = verb(data, *arguments, **variables)
    assert asked == ([] if seconds is None else [seconds])
    if seconds is not None:
        assert status == 75
        assert capsys.readouterr().err == (
            f"error: after {seconds} s: Redis is down\nerror: after {seconds} s: PostgreSQL is "
            "down\n"
        )


def test_waiting_ends_with_ready(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 0 when everything answers."""
    monkeypatch.setattr("worker.asking.wait", lambda *_: [])
    assert verb(data, "wait", "5") == 0
    assert capsys.readouterr().out == "ready\n"


def test_generate_says_what_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], requested: list[str]
) -> None:
    """`generate` runs with Synapse's privileges and needs no worker type."""
    environ = {
        "SYNAPSE_DATA_DIR": str(tmp_path),
        "SYNAPSE_REPORT_STATS": "no",
        "SYNAPSE_SERVER_NAME": "example.com",
        "UID": "1234",
    }
    assert main(["generate"], environ) == 0
    assert requested == ["rights"]
    written = capsys.readouterr().out.splitlines()
    assert sorted(written) == sorted(f"wrote {path}" for path in tmp_path.iterdir())
    assert written[-1] == f"wrote {tmp_path}/homeserver.yaml"
    assert main(["generate"], environ | {"UID": "x"}) == 2
    assert capsys.readouterr().err.startswith("error: UID='x' is not a number from 1 to 999999999")
