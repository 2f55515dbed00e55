"""Tests for `check` and `ask_synapse`, without the real parser, which is tested in the image."""

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from testbed.site import WORKERS, make_data
from tests.worker.one_process import keep_rights, verb
from worker.errors import ConfigError
from worker.settings import Settings, parse
from worker.synapse_check import ask_synapse
from worker.worker_types import load_table

GOOD: dict[str, Any] = yaml.safe_load(WORKERS)


class SynapseError(Exception):
    """Replaces `synapse.config._base.ConfigError`: a message, and the setting's path if known."""

    def __init__(self, msg: str, path: list[str] | None = None) -> None:
        super().__init__(msg)
        self.msg, self.path = msg, path


class Parser:
    """Replaces `HomeServerConfig`: records its arguments and files, and returns a given answer."""

    def __init__(self) -> None:
        self.asked: tuple[str, list[str]] = ("", [])
        self.documents: list[dict[str, Any]] = []
        self.files: dict[str, str] = {}
        self.answer: object = SimpleNamespace(redis=SimpleNamespace(redis_enabled=True))

    def load_config(self, description: str, arguments: list[str]) -> object:
        """Read the files as Synapse does, and return or raise ``answer``."""
        self.asked = description, arguments
        self.documents = [yaml.safe_load(Path(path).read_text()) for path in arguments[1::2]]
        folder = Path(arguments[1]).parent
        self.files = {path.name: path.read_text() for path in folder.iterdir()}
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def parser(monkeypatch: pytest.MonkeyPatch) -> Parser:
    """Replace the modules of an installed Synapse, and return the parser."""
    found = Parser()
    modules: dict[str, dict[str, object]] = {
        "pydantic": {"ValidationError": type("ValidationError", (Exception,), {})},
        "synapse": {},
        "synapse.config": {},
        "synapse.config._base": {"ConfigError": SynapseError},
        "synapse.config.homeserver": {"HomeServerConfig": found},
        "synapse.util": {"SYNAPSE_VERSION": "1.163.2"},
    }
    for name, values in modules.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return found


def settings(worker: str, **variables: str) -> Settings:
    """Return the settings of ``worker``, with ``variables`` in its environment."""
    environ = {"SYNAPSE_WORKER": worker, "SYNAPSE_REPLICATION_HOST": "main"}
    return parse(environ | {"SYNAPSE_DATA_DIR": "/none"} | variables)


def test_the_parser_gets_the_documents_that_synapse_would_get(parser: Parser) -> None:
    """The documents are in a temporary folder that is removed afterward; log.yaml is not passed."""
    answer = ask_synapse(GOOD, settings("synapse.app.pusher"))
    assert answer == "ok: synapse.app.pusher: accepted by Synapse 1.163.2"
    description, arguments = parser.asked
    assert description == "Synapse"
    assert arguments[::2] == ["-c", "-c"]
    assert [Path(path).name for path in arguments[1::2]] == ["homeserver.yaml", "worker.yaml"]
    shared, worker = parser.documents
    assert shared["server_name"] == GOOD["server_name"]
    assert worker["worker_name"] == "pusher"
    assert sorted(parser.files) == [
        "homeserver.yaml", "log.yaml", "replication_secret", "worker.yaml",
    ]  # fmt: skip
    assert parser.files["replication_secret"].strip()
    secret = Path(shared["worker_replication_secret_path"])
    assert secret.name == "replication_secret"
    assert secret.parent == Path(arguments[1]).parent
    assert not secret.parent.exists()


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (
            SynapseError("wrong\n  word", ["redis", "host"]),
            "redis.host: Synapse rejects it: wrong word",
        ),
        (SynapseError("wrong"), "homeserver.yaml: Synapse rejects it: wrong"),
        (SynapseError("wrong", []), "homeserver.yaml: Synapse rejects it: wrong"),
        (ValueError("no\nnumber"), "homeserver.yaml: Synapse rejects it: ValueError: no number"),
        (SystemExit("usage"), "homeserver.yaml: Synapse rejects it: SystemExit: usage"),
        (
            None,
            "homeserver.yaml: Synapse does not regard redis as enabled, but workers receive events "
            "through Redis; set redis: {enabled: true, host: ...} for every process",
        ),
        (
            SimpleNamespace(redis=SimpleNamespace(redis_enabled=False)),
            "homeserver.yaml: Synapse does not regard redis as enabled, but workers receive events "
            "through Redis; set redis: {enabled: true, host: ...} for every process",
        ),
        (
            SynapseError("not a key: for tests only"),
            "homeserver.yaml: Synapse rejects it: not a key: (masked)",
        ),
    ],
)
def test_a_refusal_is_one_line_without_secrets(parser: Parser, answer: object, line: str) -> None:
    """The error is one line, whatever the parser raises."""
    parser.answer = answer
    homeserver = GOOD | {"registration_shared_secret": "for tests only"}
    with pytest.raises(ConfigError) as refused:
        ask_synapse(homeserver, settings("synapse.app.pusher"))
    assert refused.value.problems == (line,)


def test_the_main_process_needs_no_redis(parser: Parser) -> None:
    """The main process may run without workers, and has no worker document."""
    parser.answer = SimpleNamespace(redis=SimpleNamespace(redis_enabled=False))
    answer = ask_synapse(GOOD, settings("homeserver"))
    assert answer == "ok: synapse.app.homeserver: accepted by Synapse 1.163.2"
    assert len(parser.documents) == 1


def test_a_worker_of_an_old_synapse_may_hear_of_events_without_redis(
    parser: Parser, tmp_path: Path
) -> None:
    """The worker gets events from the main process's TCP replication port."""
    data = make_data(tmp_path / "data", WORKERS)
    parser.answer = SimpleNamespace(redis=SimpleNamespace(redis_enabled=False))
    homeserver = {name: value for name, value in GOOD.items() if name != "redis"}
    chosen = settings("synapse.app.pusher", SYNAPSE_DATA_DIR=str(data))
    old = replace(chosen, table=replace(load_table(), version="1.66.0"))
    answer = ask_synapse(homeserver, old)
    assert answer == "ok: synapse.app.pusher: accepted by Synapse 1.163.2"


def test_the_main_process_needs_what_the_parser_makes(parser: Parser) -> None:
    """Synapse's parser returns None if it was asked for something else, such as its help."""
    parser.answer = None
    with pytest.raises(ConfigError):
        ask_synapse(GOOD, settings("homeserver"))


def test_modules_of_the_operator_are_found_behind_everything_else(
    parser: Parser, tmp_path: Path
) -> None:
    """The parser imports the modules, so their folder is added to the end of `sys.path`."""
    before = list(sys.path)
    ask_synapse(GOOD, settings("homeserver"))
    assert sys.path == before
    ask_synapse(GOOD, settings("homeserver", SYNAPSE_MODULES_DIR=str(tmp_path)))
    assert sys.path[-1] == str(tmp_path)


def test_a_container_without_temporary_folder_is_told_what_to_mount(
    parser: Parser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """This happens with a read-only root file system and no `--tmpfs /tmp`."""

    def none() -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.TemporaryDirectory", none)
    with pytest.raises(ConfigError) as refused:
        ask_synapse(GOOD, settings("homeserver"))
    (line,) = refused.value.problems
    assert line.startswith(
        "/tmp: Synapse's parser needs temporary files, but no temporary folder is writable by uid "
    )
    assert line.endswith("; mount a tmpfs there with mode 1777")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a valid /data folder."""
    return make_data(tmp_path / "data", WORKERS)


@pytest.fixture(autouse=True)
def requested(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keep the user and CPUs of the test; return a list of the changes that were requested."""
    return keep_rights(monkeypatch)


def test_check_asks_with_the_rights_and_cpus_of_synapse(
    parser: Parser, data: Path, capsys: pytest.CaptureFixture[str], requested: list[str]
) -> None:
    """A configuration that `check` accepts must also start."""
    assert verb(data, "check", SYNAPSE_REPLICATION_SECRET="off") == 0
    assert requested == ["rights", "cpus"]
    printed = capsys.readouterr()
    assert printed.out == "ok: synapse.app.homeserver: accepted by Synapse 1.163.2\n"
    assert printed.err == (
        "warning: SYNAPSE_REPLICATION_SECRET=off: anyone who can reach port 9093 controls the "
        "homeserver\n"
    )


def test_check_ends_with_2_when_synapse_refuses(
    parser: Parser, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`check` prints only the reason."""
    parser.answer = SynapseError("wrong")
    assert verb(data, "--check") == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (
        "", "error: homeserver.yaml: Synapse rejects it: wrong\n",
    )  # fmt: skip
