"""The entrypoint's message for each wrong setting, and the files that each worker type renders."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.site import WORKERS
from tools.golden import golden_files
from worker import boot
from worker.__main__ import main
from worker.documents import documents, dropped
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


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        (
            {"SYNAPSE_WORKER": "bogus"},
            "SYNAPSE_WORKER='bogus' is not a worker_app or worker type; choose",
        ),
        ({"SYNAPSE_WORKER": ""}, "SYNAPSE_WORKER is not set; choose one of synapse.app.appservice"),
        ({"SYNAPSE_WORKER": "synapse.app.Pusher"}, "SYNAPSE_WORKER='synapse.app.Pusher' is not"),
        ({"SYNAPSE_REPLICATION_HOST": ""}, "SYNAPSE_REPLICATION_HOST is not set; give the host"),
        ({"SYNAPSE_REPLICATION_HOST": "http://a"}, "SYNAPSE_REPLICATION_HOST='http://a' is a URL"),
        ({"SYNAPSE_REPLICATION_HOST": "a b"}, "SYNAPSE_REPLICATION_HOST='a b' is not a host name"),
        ({"SYNAPSE_LOG_LEVEL": "banana"}, "SYNAPSE_LOG_LEVEL='banana' is not a log level; choose"),
        ({"SYNAPSE_LOG_LEVEL": "10"}, "SYNAPSE_LOG_LEVEL='10' is not a log level; choose one of"),
        ({"SYNAPSE_CPU_AFFINITY": "abc"}, "SYNAPSE_CPU_AFFINITY='abc' is not a CPU mask; give a"),
        ({"SYNAPSE_CPU_AFFINITY": "0"}, "SYNAPSE_CPU_AFFINITY='0' is not a CPU mask; give a"),
        ({"SYNAPSE_CPU_AFFINITY": "-1"}, "SYNAPSE_CPU_AFFINITY='-1' is not a CPU mask; give a"),
        ({"UID": "root"}, "UID='root' is not a numeric id above 0; give one, such as 991"),
        ({"UID": "0"}, "UID='0' is not a numeric id above 0; give one, such as 991"),
        ({"GID": "-5"}, "GID='-5' is not a numeric id above 0; give one, such as 991"),
        ({"SYNAPSE_JEMALLOC": "maybe"}, "SYNAPSE_JEMALLOC='maybe' is neither on nor off; use one"),
        ({"SYNAPSE_LOG_FORMAT": "xml"}, "SYNAPSE_LOG_FORMAT='xml' is neither text nor json; use"),
        ({"SYNAPSE_FEDERATION_TLS": "1"}, "SYNAPSE_FEDERATION_TLS='1' is neither on nor off; use"),
        ({"SYNAPSE_X_FORWARDED": "on"}, "SYNAPSE_X_FORWARDED='on' is not a choice of"),
        ({"SYNAPSE_BIND_ADDRESSES": "a"}, "SYNAPSE_BIND_ADDRESSES='a' has 'a', which is not an IP"),
        (
            {"SYNAPSE_BIND_ADDRESSES": "::,"},
            "SYNAPSE_BIND_ADDRESSES='::,' has '', which is not an IP",
        ),
        ({"SYNAPSE_WAIT_SECONDS": "-1"}, "SYNAPSE_WAIT_SECONDS='-1' is not a number of seconds"),
        ({"SYNAPSE_WAIT_SECONDS": "1e3"}, "SYNAPSE_WAIT_SECONDS='1e3' is not a number of seconds"),
        ({"SYNAPSE_HOSTNAME": "a\nb"}, "SYNAPSE_HOSTNAME='a\\nb' is not one printable line of up"),
        ({"SYNAPSE_DATA_DIR": "data"}, "SYNAPSE_DATA_DIR='data' is not an absolute path; begin it"),
        (
            {"SYNAPSE_REPLICATION_SECRET": "hunter2"},
            "SYNAPSE_REPLICATION_SECRET is neither on nor off; put a secret of your own into a "
            "file and name that in SYNAPSE_REPLICATION_SECRET_FILE",
        ),
        (
            {
                "SYNAPSE_REPLICATION_SECRET": "off",
                "SYNAPSE_REPLICATION_SECRET_FILE": "/run/secret",
            },
            "SYNAPSE_REPLICATION_SECRET_FILE contradicts SYNAPSE_REPLICATION_SECRET=off; unset",
        ),
        (
            {"SYNAPSE_WORKER": "pusher+"},
            "SYNAPSE_WORKER='pusher+' is not a worker_app or worker type;",
        ),
        ({"SYNAPSE_WORKER": "pusher+pusher"}, "SYNAPSE_WORKER='pusher+pusher' is not a worker"),
        (
            {"SYNAPSE_WORKERS": "typing, a=typing"},
            "SYNAPSE_WORKERS: typing, a all have the worker type typing, which only one worker may",
        ),
        (
            {"SYNAPSE_WORKERS": "a=pusher, a=typing"},
            "SYNAPSE_WORKERS: the name a is given 2 times; two workers of one name keep each",
        ),
        (
            {"SYNAPSE_WORKERS": "bogus"},
            "SYNAPSE_WORKERS: 'bogus' is not a worker_app or worker type; choose one of synapse.",
        ),
        (
            {"SYNAPSE_WORKERS": "synapse.app.homeserver"},
            "SYNAPSE_WORKERS: 'synapse.app.homeserver' is the main process, which is always there",
        ),
        (
            {"SYNAPSE_WORKERS": "pusher:many"},
            "SYNAPSE_WORKERS: 'pusher:many': 'many' is not a count from 1 to 500",
        ),
        (
            {"SYNAPSE_WORKERS": "pusher:0"},
            "SYNAPSE_WORKERS: 'pusher:0': '0' is not a count from 1 to 500",
        ),
        (
            {"SYNAPSE_WORKERS": "main=pusher"},
            "SYNAPSE_WORKERS: 'main' cannot be a worker's name; use up to 64 of A-Z a-z 0-9",
        ),
        (
            {"SYNAPSE_WORKERS": "pusher:2@host"},
            "SYNAPSE_WORKERS: 'pusher:2@host': 'host' is one host for several workers; give one",
        ),
        (
            {"SYNAPSE_WORKERS": "pusher@a b"},
            "SYNAPSE_WORKERS: 'pusher@a b': 'a b' is not a host name; give labels of up to 63",
        ),
        (
            {"SYNAPSE_WORKERS": "a=b=c"},
            "SYNAPSE_WORKERS: 'a=b=c' is not an entry; write [NAME=]TYPE[+TYPE...][:COUNT][@HOST]",
        ),
        (
            {"SYNAPSE_WORKERS": "synchrotron"},
            "SYNAPSE_WORKER_NAME is not set, and SYNAPSE_WORKERS has no such worker; give one of",
        ),
        (
            {"SYNAPSE_WORKERS": "pusher:2"},
            "SYNAPSE_WORKER_NAME is not set, and SYNAPSE_WORKERS has 2 such workers; give one of",
        ),
        (
            {"SYNAPSE_WORKERS": "pusher", "SYNAPSE_WORKER_NAME": "x"},
            "SYNAPSE_WORKER_NAME='x' is not in SYNAPSE_WORKERS, which has pusher",
        ),
        (
            {"SYNAPSE_WORKERS": "a=typing", "SYNAPSE_WORKER_NAME": "a"},
            "SYNAPSE_WORKER='synapse.app.pusher' is not what a is in SYNAPSE_WORKERS: typing",
        ),
        ({"SYNAPSE_WORKER_NAME": "main"}, "SYNAPSE_WORKER_NAME='main' is reserved for the main"),
        ({"SYNAPSE_WORKER_NAME": "master"}, "SYNAPSE_WORKER_NAME='master' is reserved for the"),
        ({"SYNAPSE_WORKER_NAME": "a/b"}, "SYNAPSE_WORKER_NAME='a/b' has characters that no worker"),
        (
            {"SYNAPSE_WORKER": "homeserver", "SYNAPSE_WORKER_NAME": "one"},
            "SYNAPSE_WORKER_NAME='one' is set for the main process, which would then call itself",
        ),
    ],
)
def test_a_wrong_variable_is_named_with_its_value(variables: dict[str, str], problem: str) -> None:
    """The message alone must tell the operator what to change."""
    with pytest.raises(ConfigError) as caught:
        settings(**variables)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(problem)


def test_all_wrong_variables_are_reported_at_once() -> None:
    """Otherwise the operator would have to restart the container once per mistake."""
    with pytest.raises(ConfigError) as caught:
        settings(SYNAPSE_WORKER="x", UID="x", GID="x", SYNAPSE_LOG_LEVEL="x")
    assert len(caught.value.problems) == 4


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
        ({"redis": None}, {}, "error: homeserver.yaml: redis is not enabled, and workers hear"),
        ({"redis": {"enabled": False}}, {}, "error: homeserver.yaml: redis is not enabled, and"),
        (
            {"database": {"name": "sqlite3"}},
            {},
            "error: homeserver.yaml: database.name is 'sqlite3'",
        ),
        ({"database": None}, {}, "error: homeserver.yaml: database.name is None, and workers"),
        ({"instance_map": []}, {}, "error: homeserver.yaml: instance_map is a list; make it a"),
        ({"start_pushers": True}, {}, "error: homeserver.yaml: start_pushers leaves the duty of"),
        (
            {"start_pushers": None, "pusher_instances": ["x"]},
            {},
            "error: homeserver.yaml: start_pushers leaves the duty of synapse.app.pusher on",
        ),
        (
            {"send_federation": True},
            {"SYNAPSE_WORKER": "synapse.app.federation_sender"},
            "error: homeserver.yaml: send_federation leaves the duty of synapse.app.",
        ),
        (
            {"notify_appservices": True},
            {"SYNAPSE_WORKER": "synapse.app.appservice"},
            "error: homeserver.yaml: notify_appservices leaves the duty of synapse.app.app",
        ),
        (
            {"update_user_directory": None},
            {"SYNAPSE_WORKER": "synapse.app.user_dir"},
            "error: homeserver.yaml: update_user_directory leaves the duty of synapse.app.u",
        ),
        ({}, {"SYNAPSE_WORKER": "federation_reader"}, "tls.crt: the TLS certificate is missing;"),
        ({}, {"SYNAPSE_WORKER": "federation_reader"}, "tls.key: the TLS key is missing; mount it"),
        ({}, {"SYNAPSE_WORKER": "media_repository"}, "media cannot be written by uid"),
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
    assert [line.split(": ")[1].split(" is left out")[0] for line in dropped(old)] == [
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
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory; mount"):
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
