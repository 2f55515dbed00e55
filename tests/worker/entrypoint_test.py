"""The entrypoint's messages about homeserver.yaml, and the files that each worker type renders."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.site import WORKERS
from tools.golden import golden_files
from worker import boot
from worker.__main__ import main
from worker.documents import documents, dropped_warnings
from worker.errors import ConfigError
from worker.files import write_documents
from worker.launch import synapse_command, synapse_environ
from worker.settings import Settings, parse
from worker.worker_types import load_table

TYPES = load_table().apps
GOLDEN = Path(__file__).parent / "golden"
KEY = "ed25519 a_test " + "B" * 42 + "A\n"


def settings(**variables: str) -> Settings:
    """Parse ``variables`` on top of the complete variables of a pusher."""
    base = {
        "SYNAPSE_WORKER": "synapse.app.pusher",
        "SYNAPSE_REPLICATION_HOST": "main",
        "SYNAPSE_HOSTNAME": "host-1",
    }
    return parse(base | variables)


def run(tmp_path: Path, homeserver: dict[str, Any], **variables: str) -> tuple[int, list[Path]]:
    """Run `print-config` as an ordinary user would; return the exit code and the written files."""
    data, runtime = tmp_path / "data", tmp_path / "runtime"
    for folder in (data, runtime):
        folder.mkdir(exist_ok=True)
    (data / "homeserver.yaml").write_text(yaml.safe_dump(homeserver))
    if not (data / "signing.key").exists():
        (data / "signing.key").write_text(KEY)
    environ = {
        "SYNAPSE_WORKER": "synapse.app.pusher",
        "SYNAPSE_REPLICATION_HOST": "main",
        "SYNAPSE_DATA_DIR": str(data),
        "SYNAPSE_RUNTIME_DIR": str(runtime),
        "SYNAPSE_MEDIA_DIR": str(tmp_path / "media"),
    }
    return main(["print-config"], environ | variables), list(runtime.iterdir())


@pytest.fixture(autouse=True)
def keep_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the privileges of a test that runs as root, so that it can clean up."""
    for module in ("__main__", "examination"):
        monkeypatch.setattr(f"worker.{module}.drop_rights", lambda _: [])


GOOD: dict[str, Any] = yaml.safe_load(WORKERS)


@pytest.mark.parametrize(
    ("change", "variables", "line"),
    [
        ({"server_name": None}, {}, "error: homeserver.yaml: server_name is missing; set it"),
        ({"report_stats": None}, {}, "error: homeserver.yaml: report_stats is missing; set it"),
        ({"redis": None}, {}, "error: homeserver.yaml: redis is not enabled, but workers receive"),
        ({"redis": {"enabled": False}}, {}, "error: homeserver.yaml: redis is not enabled, but"),
        (
            {"database": {"name": "sqlite3"}},
            {},
            "error: homeserver.yaml: database.name is 'sqlite3'",
        ),
        ({"database": None}, {}, "error: homeserver.yaml: database.name is not set, but workers"),
        ({"instance_map": []}, {}, "error: homeserver.yaml: instance_map is a list; make it a"),
        (
            {"start_pushers": True},
            {},
            "error: homeserver.yaml: start_pushers is not false, so the main process would",
        ),
        (
            {"start_pushers": None, "pusher_instances": ["x"]},
            {},
            "error: homeserver.yaml: start_pushers is not false, so the main process would",
        ),
        (
            {"send_federation": True},
            {"SYNAPSE_WORKER": "synapse.app.federation_sender"},
            "error: homeserver.yaml: send_federation is not false, so the main process would",
        ),
        (
            {"notify_appservices": True},
            {"SYNAPSE_WORKER": "synapse.app.appservice"},
            "error: homeserver.yaml: notify_appservices is not false, so the main process would",
        ),
        (
            {"update_user_directory": None},
            {"SYNAPSE_WORKER": "synapse.app.user_dir"},
            "error: homeserver.yaml: update_user_directory is not false, so the main process would",
        ),
        ({}, {"SYNAPSE_WORKER": "federation_reader"}, "tls.crt: the TLS certificate is missing;"),
        ({}, {"SYNAPSE_WORKER": "federation_reader"}, "tls.key: the TLS key is missing; mount it"),
        ({}, {"SYNAPSE_WORKER": "media_repository"}, "cannot write media here; mount"),
    ],
)
def test_a_contradiction_is_refused_before_synapse_starts(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    variables: dict[str, str],
    line: str,
) -> None:
    """With each of these, Synapse itself would start healthy or stop with a traceback."""
    homeserver = {key: value for key, value in (GOOD | change).items() if value is not None}
    status, written = run(tmp_path, homeserver, **variables)
    errors = capsys.readouterr().err
    assert (status, written) == (2, [])
    assert line in errors
    assert "Traceback" not in errors


def test_settings_of_the_predecessors_time_are_left_out_with_a_warning() -> None:
    """Options that worked with the predecessor are accepted, and warnings say what to remove."""
    old = {"worker_replication_host": "a", "log_file": "/dev/null", "tls_dh_params_path": "x"}
    assert [line.split(": ")[1].split(" is dropped")[0] for line in dropped_warnings(old)] == [
        "log_file",
        "tls_dh_params_path",
        "worker_replication_host",
    ]
    shared = documents(GOOD | old, settings())["homeserver.yaml"]
    assert not old.keys() & shared.keys()


@pytest.mark.parametrize(("name", "text"), list(golden_files()), ids=lambda value: value[:24])
def test_what_each_type_renders(name: str, text: str) -> None:
    """The golden files show every change to a rendered file, for each era of Synapse."""
    assert (GOLDEN / name).read_text() == text, "update it: ./bazelw run //tools:update_golden"


def test_files_are_private_and_whole(tmp_path: Path) -> None:
    """The rendered files contain the operator's secrets."""
    paths = write_documents(tmp_path, {"a.yaml": {"b": 1}})
    assert paths[0].stat().st_mode & 0o777 == 0o600
    assert paths[0].read_text() == "b: 1\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """One cause is a read-only root file system without a tmpfs at that path."""
    with pytest.raises(ConfigError, match="cannot be written to: No such file or directory; mount"):
        write_documents(tmp_path / "absent", {"a.yaml": {}})


def test_synapse_gets_a_clean_environment() -> None:
    """Otherwise the variables of Bazel's launcher would decide what Synapse imports."""
    dirty = {"PYTHONPATH": "/x", "PYTHONSAFEPATH": "1", "RUNFILES_DIR": "/y", "TZ": "UTC"}
    assert synapse_environ(dirty, settings(SYNAPSE_JEMALLOC="off")) == {
        "HOME": "/synapse_runtime/home",
        "TZ": "UTC",
    }


def test_a_worker_gets_both_files_and_the_log_only_through_them() -> None:
    """Synapse reads the log configuration from the path in the rendered documents."""
    files = [Path("homeserver.yaml"), Path("worker.yaml"), Path("log.yaml")]
    assert synapse_command(settings(), files)[1:] == [
        "-I",
        "-u",
        str(Path(boot.__file__)),
        "synapse.app.pusher",
        "-c",
        "homeserver.yaml",
        "-c",
        "worker.yaml",
    ]


def test_secrets_are_masked_when_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output of `print-config` ends up in bug reports."""
    status, _ = run(tmp_path, GOOD, SYNAPSE_WORKER="synapse.app.pusher")
    printed = capsys.readouterr()
    assert status == 0, printed.err
    assert "for tests only" not in printed.out
    assert "registration_shared_secret: (masked)" in printed.out
