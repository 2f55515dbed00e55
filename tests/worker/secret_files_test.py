"""Secrets by file: what is read, what is refused, and what is never shown."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.site import WORKERS
from worker.databases import database_problems, with_password
from worker.documents import shared_document
from worker.errors import ConfigError
from worker.secret_files import read_secret_file
from worker.settings import Settings, parse

GOOD: dict[str, Any] = yaml.safe_load(WORKERS)
PASSWORD = "SYNAPSE_DATABASE_PASSWORD_FILE"
FILES = (PASSWORD, "SYNAPSE_REPLICATION_SECRET_FILE")


def settings(**variables: str) -> Settings:
    """Parse a request for the main process."""
    return parse({"SYNAPSE_WORKER": "homeserver"} | variables)


@pytest.fixture
def password(tmp_path: Path) -> Path:
    """A file as engines mount secrets: readable for all."""
    path = tmp_path / "password"
    path.write_text("hunter2 pw\n")
    path.chmod(0o444)
    return path


@pytest.mark.parametrize("name", FILES)
def test_a_secret_in_place_of_a_relative_path_is_not_shown(name: str) -> None:
    """It is the obvious mistake."""
    with pytest.raises(ConfigError) as caught:
        settings(**{name: "hunter2secret"})
    assert caught.value.problems == (
        f"{name} is not an absolute path; write the secret into a file",
    )


@pytest.mark.parametrize("secret", ["/hunter2secret", "/hunter2/secret+base64=", "/" + "h" * 5000])
def test_a_secret_that_looks_like_a_path_is_not_shown(secret: str) -> None:
    """One in 64 secrets in base64 begins with a slash."""
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
    """The file is named, and nothing of what is in it."""
    path = tmp_path / "secret"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        read_secret_file("NAME", path, "the secret")
    assert caught.value.problems == (f"NAME={path}: the secret {reason}",)


def test_the_password_reaches_every_postgres_database(password: Path) -> None:
    """Beside a database of another kind, and without touching what the operator wrote."""
    args = {"user": "synapse", "host": "db"}
    several = {
        "main": {"name": "psycopg2", "args": args},
        "state": {"name": "psycopg2"},
        "other": {"name": "sqlite3", "args": {"database": "/data/x"}},
    }
    chosen = settings(**{PASSWORD: str(password)})
    homeserver = {key: value for key, value in GOOD.items() if key != "database"}
    rendered = shared_document(homeserver | {"databases": several}, chosen)["databases"]
    assert rendered["main"]["args"] == args | {"password": "hunter2 pw"}
    assert rendered["state"]["args"] == {"password": "hunter2 pw"}
    assert rendered["other"] == several["other"]
    assert "password" not in args
    rendered = shared_document(GOOD, chosen)["database"]
    assert rendered["args"]["password"] == "hunter2 pw"


def test_nothing_changes_without_the_variable() -> None:
    """The operator's own database settings are left alone."""
    assert with_password(GOOD, settings()) == {}
    assert shared_document(GOOD, settings())["database"] is GOOD["database"]


def test_a_password_is_given_once(password: Path) -> None:
    """Whichever won, the other would be a surprise."""
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
    """It warns on stderr at most, and goes on without a password."""
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
    """libpq reads it."""
    path = tmp_path / "pgpass"
    path.write_text("*:*:*:*:x")
    path.chmod(0o600)
    database = {"name": "psycopg2", "args": {"passfile": str(path)}}
    assert database_problems({"database": database}, settings()) == []
