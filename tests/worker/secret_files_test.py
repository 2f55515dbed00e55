"""Tests for secrets in files: what is read, what is rejected, and what is never shown."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.site import WORKERS
from worker.databases import database_problems, with_password
from worker.errors import ConfigError
from worker.rendering import rendered_shared
from worker.secret_files import read_secret_file
from worker.settings import Settings, parse

GOOD: dict[str, Any] = yaml.safe_load(WORKERS)
PASSWORD = "SYNAPSE_DATABASE_PASSWORD_FILE"
FILES = (PASSWORD, "SYNAPSE_REPLICATION_SECRET_FILE")


def settings(**variables: str) -> Settings:
    """Return the settings of the main process, with ``variables`` in its environment."""
    return parse({"SYNAPSE_WORKER": "homeserver"} | variables)


@pytest.fixture
def password(tmp_path: Path) -> Path:
    """Return a secret file as container engines mount it, readable by everyone."""
    path = tmp_path / "password"
    path.write_text("hunter2 pw\n")
    path.chmod(0o444)
    return path


@pytest.mark.parametrize("name", FILES)
def test_a_secret_in_place_of_a_relative_path_is_not_shown(name: str) -> None:
    """Setting the variable to the secret itself is an obvious mistake."""
    with pytest.raises(ConfigError) as caught:
        settings(**{name: "hunter2secret"})
    assert caught.value.problems == (
        f"{name} is not an absolute path; write the secret into a file",
    )


@pytest.mark.parametrize("secret", ["/hunter2secret", "/hunter2/secret+base64=", "/" + "h" * 5000])
def test_a_secret_that_looks_like_a_path_is_not_shown(secret: str) -> None:
    """One in 64 base64-encoded secrets begins with a slash."""
    with pytest.raises(ConfigError) as caught:
        read_secret_file("NAME", Path(secret), "the secret")
    (line,) = caught.value.problems
    assert line.startswith("NAME=(not shown, since it may be the secret itself): the secret ")
    assert secret not in line


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty; write one into it"),
        (b" \n", "is empty; write one into it"),
        (b"\xff", "is not UTF-8; write it as text"),
        (b"a\nb", "has more than one line of text; write one line"),
        (b"a\0b", "has more than one line of text; write one line"),
    ],
)
def test_a_file_without_one_secret_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    """The error names the file and shows none of its content."""
    path = tmp_path / "secret"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        read_secret_file("NAME", path, "the secret")
    assert caught.value.problems == (f"NAME={path}: the secret {reason}",)


def test_a_file_that_cannot_be_read_is_named_by_its_setting(tmp_path: Path) -> None:
    """The error begins with the setting that names the file, like every other error about it."""
    for path, reason in (
        (tmp_path, "is a folder; mount a file there"),
        (tmp_path / "x", "is missing; mount it"),
    ):
        with pytest.raises(ConfigError) as caught:
            read_secret_file("NAME", path, "the secret")
        assert caught.value.problems == (f"NAME={path}: the secret {reason}",)


def test_the_password_reaches_every_postgres_database(password: Path) -> None:
    """Databases of other kinds and the mapping in homeserver.yaml are left unchanged."""
    args = {"user": "synapse", "host": "db"}
    several = {
        "main": {"name": "psycopg2", "args": args},
        "state": {"name": "psycopg2"},
        "other": {"name": "sqlite3", "args": {"database": "/data/x"}},
    }
    chosen = settings(**{PASSWORD: str(password)})
    homeserver = {key: value for key, value in GOOD.items() if key != "database"}
    rendered = rendered_shared(homeserver | {"databases": several}, chosen)["databases"]
    assert rendered["main"]["args"] == args | {"password": "hunter2 pw"}
    assert rendered["state"]["args"] == {"password": "hunter2 pw"}
    assert rendered["other"] == several["other"]
    assert "password" not in args
    rendered = rendered_shared(GOOD, chosen)["database"]
    assert rendered["args"]["password"] == "hunter2 pw"


def test_nothing_changes_without_the_variable() -> None:
    """The operator's own database settings are left unchanged."""
    assert with_password(GOOD, settings()) == {}
    assert rendered_shared(GOOD, settings())["database"] is GOOD["database"]


def test_a_password_is_given_once(password: Path) -> None:
    """Setting both is an error, since either choice between them would be surprising."""
    database = {"name": "psycopg2", "args": {"password": "x", "host": "db"}}
    chosen = settings(**{PASSWORD: str(password)})
    assert database_problems(GOOD | {"database": database}, chosen) == [
        f"{PASSWORD} is set, and homeserver.yaml has database.args.password too; keep one"
    ]
    assert database_problems(GOOD | {"database": {"name": "sqlite3"}}, chosen) == [
        f"{PASSWORD} is set, and homeserver.yaml names no PostgreSQL database; unset it"
    ]


@pytest.mark.parametrize(
    ("mode", "reason"),
    [(0o444, "its mode lets others read it"), (0o640, "its mode lets others read it"), (None, "")],
)
def test_a_passfile_that_libpq_would_ignore_is_refused(
    tmp_path: Path, mode: int | None, reason: str
) -> None:
    """libpq at most prints a warning on standard error, and continues without a password."""
    path = tmp_path / "pgpass"
    if mode is not None:
        path.write_text("*:*:*:*:x")
        path.chmod(mode)
    database = {"name": "psycopg2", "args": {"passfile": str(path)}}
    (line,) = database_problems({"database": database}, settings())
    reason = reason or "No such file or directory"
    assert line.startswith(
        f"homeserver.yaml: database.args.passfile={path}: libpq ignores it: {reason}; give uid "
    )


def test_a_private_passfile_is_fine(tmp_path: Path) -> None:
    """libpq accepts a passfile with mode 0600."""
    path = tmp_path / "pgpass"
    path.write_text("*:*:*:*:x")
    path.chmod(0o600)
    database = {"name": "psycopg2", "args": {"passfile": str(path)}}
    assert database_problems({"database": database}, settings()) == []
