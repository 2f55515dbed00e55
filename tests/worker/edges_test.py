"""Edge cases: the last valid value and the first invalid one."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.site import WORKERS
from worker.documents import documents
from worker.errors import ConfigError
from worker.files import write_text
from worker.generate import generate
from worker.settings import Settings, parse

GOOD: dict[str, Any] = yaml.safe_load(WORKERS)


def settings(**variables: str) -> Settings:
    """Return the settings of a pusher with ``variables``."""
    environ = {"SYNAPSE_WORKER": "synapse.app.pusher", "SYNAPSE_REPLICATION_HOST": "main"}
    return parse(environ | variables)


OFF = {"SYNAPSE_REPLICATION_SECRET": "off"}
PART = "a" * 255
LONGEST = "/" + "/".join([PART] * 15 + ["b" * 254])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SYNAPSE_MEDIA_DIR", LONGEST),
        ("SYNAPSE_MEDIA_DIR", f"/{PART}"),
        ("SYNAPSE_CPU_AFFINITY", hex(1 << 4095)),
        ("SYNAPSE_CPU_AFFINITY", str((1 << 4096) - 1)),
        ("SYNAPSE_CPU_AFFINITY", "1"),
        ("SYNAPSE_HOSTNAME", "h" * 255),
        ("SYNAPSE_WAIT_SECONDS", "86400"),
        ("SYNAPSE_WAIT_SECONDS", "0"),
        ("SYNAPSE_WORKER_NAME", "w" * 64),
        ("UID", "1"),
        ("UID", "999999999"),
        ("SYNAPSE_LOG_LEVEL", "warn"),
        ("SYNAPSE_LOG_LEVEL", "Fatal"),
        ("SYNAPSE_LOG_LEVEL", "critical"),
    ],
)
def test_the_last_value_that_is_right(name: str, value: str) -> None:
    """The value is accepted; an empty set of CPUs means all."""
    assert settings(**{name: value}).cpus is not None


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("SYNAPSE_MEDIA_DIR", LONGEST + "b", "is not a path of at most 4095 bytes; use a shorter"),
        (
            "SYNAPSE_MEDIA_DIR",
            f"/c/{PART}a",
            "has a component of more than 255 bytes; use a shorter",
        ),
        ("SYNAPSE_MEDIA_DIR", "/\udcff", "is not valid UTF-8; use a path that is"),
        ("SYNAPSE_MEDIA_DIR", "/a\0b", "is not a path of at most 4095 bytes; use a shorter one"),
        ("SYNAPSE_CPU_AFFINITY", hex(1 << 4096), "is not a CPU mask; use a positive number"),
        ("SYNAPSE_CPU_AFFINITY", str(1 << 4096), "is not a CPU mask; use a positive number"),
        (
            "SYNAPSE_HOSTNAME",
            "h" * 256,
            "is not a printable line of at most 255 characters; use another host name",
        ),
        ("SYNAPSE_WAIT_SECONDS", "86401", "is not a number of seconds from 0 to 86400"),
        ("SYNAPSE_WORKER_NAME", "w" * 65, "is not a valid worker name; use at"),
        ("UID", "1000000000", "is not a number from 1 to 999999999; use one, for example 991"),
    ],
)
def test_the_first_value_that_is_wrong(name: str, value: str, reason: str) -> None:
    """The value is refused, and the message states the limit."""
    with pytest.raises(ConfigError) as refused:
        settings(**{name: value})
    (line,) = refused.value.problems
    assert line.startswith(f"{name}=")
    assert reason in line


@pytest.mark.parametrize(
    "name", ["SYNAPSE_REPLICATION_SECRET_FILE", "SYNAPSE_DATABASE_PASSWORD_FILE"]
)
def test_a_path_of_a_secret_that_no_file_can_have_is_not_shown(name: str) -> None:
    """The value may be the secret itself."""
    with pytest.raises(ConfigError) as refused:
        settings(**{name: f"/c/{PART}a"})
    assert refused.value.problems == (
        f"{name} has a component of more than 255 bytes; use a shorter one",
    )


@pytest.mark.parametrize(("level", "name"), [("warn", "WARNING"), ("FATAL", "CRITICAL")])
def test_a_log_level_has_the_name_that_python_gives_it(level: str, name: str) -> None:
    """Python's logging module defines both spellings."""
    assert settings(SYNAPSE_LOG_LEVEL=level).log_level == name


def test_generate_names_everything_that_is_missing_at_once(tmp_path: Path) -> None:
    """Nothing is written until all settings are valid."""
    (tmp_path / "homeserver.yaml").touch()
    with pytest.raises(ConfigError) as refused:
        generate({"SYNAPSE_DATA_DIR": str(tmp_path), "SYNAPSE_REPORT_STATS": "maybe"})
    assert refused.value.problems == (
        "SYNAPSE_SERVER_NAME is not set; set it to the part after the colon in user IDs",
        "SYNAPSE_REPORT_STATS='maybe' is neither yes nor no; use yes to send anonymous statistics "
        "to matrix.org, or no",
        f"{tmp_path}/homeserver.yaml already exists; it is not replaced",
    )


def test_a_file_that_cannot_be_written_whole_leaves_nothing(tmp_path: Path) -> None:
    """No partial or temporary file is left, and the old file is unchanged."""
    (tmp_path / "kept").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "kept", "\udcff")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_text() == "old"
    (tmp_path / "folder").mkdir()
    with pytest.raises(
        ConfigError, match="cannot be written to: Is a directory; mount a tmpfs that"
    ):
        write_text(tmp_path / "folder", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "kept"]


@pytest.mark.parametrize(
    ("change", "variables", "secret", "path"),
    [
        ({"worker_replication_secret": "s"}, OFF, None, None),
        ({"worker_replication_secret_path": "/s"}, OFF, None, None),
        ({"worker_replication_secret": "s"}, {"SYNAPSE_REPLICATION_SECRET_FILE": "/f"}, None, "/f"),
        ({"worker_replication_secret_path": "/s"}, {}, None, "/s"),
        ({"worker_replication_secret": "s"}, {}, "s", None),
        ({"signing_key": "k"}, {}, None, None),
        ({}, {}, None, "/synapse_runtime/replication_secret"),
    ],
)
def test_one_replication_secret_is_rendered_or_none(
    change: dict[str, str], variables: dict[str, str], secret: str | None, path: str | None
) -> None:
    """Synapse refuses two secrets, and a variable takes precedence over homeserver.yaml."""
    shared = documents(GOOD | change, settings(**variables))["homeserver.yaml"]
    assert shared.get("worker_replication_secret") == secret
    assert shared.get("worker_replication_secret_path") == path


def test_sockets_of_a_plan_are_where_each_process_looks() -> None:
    """The instance map has the sockets of main and of the workers that other processes call."""
    variables = {"SYNAPSE_WORKERS": "pusher, typing", "SYNAPSE_UNIX_SOCKETS": "/run/s"}
    shared = documents({}, settings(SYNAPSE_WORKER="pusher", **variables))["homeserver.yaml"]
    assert shared["instance_map"] == {
        "main": {"path": "/run/s/main.replication.sock"},
        "typing": {"path": "/run/s/typing.replication.sock"},
    }
