"""Tests for what the verbs print: results on standard output, the rest on standard error."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.site import PLANNED, make_data
from worker.__main__ import main
from worker.check import SharedResults
from worker.errors import ConfigError, one_line
from worker.examination import Findings
from worker.settings import Settings
from worker.worker_types import load_table


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return an environment with a valid data folder, and keep the privileges of this process."""
    monkeypatch.setattr("worker.examination.drop_rights", lambda _: [])
    data = make_data(tmp_path / "data", PLANNED)
    return {"SYNAPSE_DATA_DIR": str(data), "SYNAPSE_MEDIA_DIR": str(data)}


def test_prometheus_is_given_a_file_that_people_can_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The output is indented JSON in the format of `file_sd_configs`."""
    assert main(["prometheus", ""], {}) == 0
    assert capsys.readouterr().out == (
        '[\n {\n  "targets": [\n   "main:9000"\n  ],\n  "labels": {\n   "instance": "main",\n'
        '   "job": "main",\n   "index": "1"\n  }\n }\n]\n'
    )


@pytest.mark.parametrize("verb", ["doctor", "prometheus", "alerts", "dashboard"])
def test_a_plan_is_text(tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the position of the invalid byte, since an editor does not show it."""
    plan = tmp_path / "plan"
    plan.write_bytes(b"pusher\xff")
    assert main([verb, str(plan)], {}) == 2
    assert capsys.readouterr().err == (
        f"error: {plan}: the plan is not UTF-8: byte 6 is invalid; save it as UTF-8\n"
    )


def test_a_configuration_that_is_missing_is_all_that_is_said(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every other problem would follow from the missing file."""
    path = Path(environ["SYNAPSE_DATA_DIR"], "homeserver.yaml")
    path.unlink()
    assert main(["print-config"], environ | {"SYNAPSE_WORKER": "homeserver"}) == 2
    assert capsys.readouterr().err == f"error: {path}: the configuration is missing; mount it\n"


def test_warnings_do_not_keep_a_process_from_starting(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Unused settings and files cause only warnings."""
    data = Path(environ["SYNAPSE_DATA_DIR"])
    (data / "tls.dh").touch()
    with (data / "homeserver.yaml").open("a") as file:
        file.write("worker_app: synapse.app.pusher\n")
    unused = f"{data}/tls.dh is not used: Synapse has not read this file since 0.99"
    assert main(["print-config"], environ | {"SYNAPSE_WORKER": "homeserver"}) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("warning: ")
    assert "worker_app" in lines[0]
    assert lines[1] == f"warning: {unused}"
    assert main(["doctor", "a=pusher+typing"], environ) == 0
    out, err = capsys.readouterr()
    assert out == "ok: main: the main process\nok: a: pusher+typing, replication at a:9093\n"
    assert err.splitlines() == [
        f"{lines[0]} (every process)",
        f"warning: {unused} (every process)",
    ]


class Synapse:
    """Replaces the parser of an installed Synapse, and rejects the worker named by ``refused``."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refused = "nobody"

    def __call__(self, homeserver: dict[str, Any], settings: Settings) -> str:
        """Return or raise as `ask_synapse` does."""
        assert homeserver["server_name"]
        self.asked.append(settings.name or "main")
        if settings.name == self.refused:
            raise ConfigError(["Synapse: no"])
        return "ok"


@pytest.fixture
def synapse(monkeypatch: pytest.MonkeyPatch) -> Synapse:
    """Return a stand-in for an installed Synapse."""
    found = Synapse()
    table = replace(load_table(), version="1.163.2")
    monkeypatch.setattr("worker.worker_types.load_table", lambda: table)
    monkeypatch.setattr("worker.synapse_check.ask_synapse", found)
    return found


def test_the_doctor_asks_synapse_once_for_each_kind(
    environ: dict[str, str], synapse: Synapse, capsys: pytest.CaptureFixture[str]
) -> None:
    """Processes that differ only in their names are accepted or rejected together."""
    plan = "a=pusher, b=pusher, c=typing"
    assert main(["doctor", plan], environ) == 0
    assert synapse.asked == ["main", "a", "c"]
    capsys.readouterr()
    synapse.refused = "a"
    assert main(["doctor", plan], environ) == 2
    assert capsys.readouterr() == ("", "error: Synapse: no (a, b)\n")


def test_the_doctor_asks_for_workers_that_homeserver_yaml_lets_others_call(
    environ: dict[str, str], synapse: Synapse
) -> None:
    """Such a worker has an additional listener."""
    path = Path(environ["SYNAPSE_DATA_DIR"], "homeserver.yaml")
    instances = {"instance_map": {"b": {"host": "b", "port": 9093}}}
    path.write_text(path.read_text() + yaml.safe_dump(instances))
    main(["doctor", "a=pusher, b=pusher"], environ)
    assert synapse.asked == ["main", "a", "b"]


def test_the_doctor_asks_no_synapse_that_is_not_there_or_about_what_is_wrong(
    environ: dict[str, str], synapse: Synapse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Synapse's answer would only repeat problems that were already found."""
    assert main(["doctor", "pusher"], environ | {"SYNAPSE_LOG_LEVEL": "loud"}) == 2
    monkeypatch.setattr("worker.worker_types.load_table", load_table)
    assert main(["doctor", "pusher"], environ) == 0
    assert synapse.asked == []


def test_the_doctor_looks_for_the_cpus_of_this_machine(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The doctor checks the CPUs as the main process would."""
    may = sorted(os.sched_getaffinity(0))
    assert main(["doctor", "pusher"], environ | {"SYNAPSE_CPU_AFFINITY": hex(1 << 3000)}) == 2
    assert capsys.readouterr().err == (
        f"error: SYNAPSE_CPU_AFFINITY names CPUs [3000], but only {may} are available here; choose "
        "from them\n"
    )


@pytest.mark.parametrize(
    ("count", "behind"),
    [
        (1, "w0"),
        (8, "w0, w1, w2, w3, w4, w5, w6, w7"),
        (9, "w0, w1, w2, w3, w4, w5, w6, w7 and 1 more"),
        (20, "every process"),
    ],
)
def test_a_line_names_eight_processes_at_most(count: int, behind: str) -> None:
    """After eight names, the line has the number of further processes."""
    found = Findings()
    found.add(["line"], [f"w{number}" for number in range(count)])
    assert found.attributed(20) == [f"line ({behind})"]


def test_what_is_the_same_for_all_processes_is_found_out_once() -> None:
    """A plan may have 500 workers, and a key file may be on a slow disk."""
    asked: list[str] = []

    def ask(what: str) -> list[str]:
        asked.append(what)
        return [f"{what} is wrong"]

    answers = SharedResults()
    assert answers.once(ask, "a") == answers.once(ask, "a") == ["a is wrong"]
    assert asked == ["a"]


def test_a_line_has_its_letters_and_no_line_end() -> None:
    """Names are often not ASCII, so letters are kept; control characters would move the cursor."""
    assert one_line("Grüße\n\x1b[31m🙂") == "Grüße\\n\\x1b[31m🙂"
    assert str(ConfigError(["a\nb", "c"])) == "a\\nb\nc"
