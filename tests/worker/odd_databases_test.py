"""Tests for malformed database settings, secret files, and responses of the health port."""

import os
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.site import WORKERS
from worker.databases import database_problems, with_password
from worker.health import health_probe
from worker.replication_secret import derived_secret
from worker.secret_files import replication_secret
from worker.settings import Settings, parse
from worker.worker_types import load_table

GOOD: dict[str, Any] = yaml.safe_load(WORKERS)
PASSWORD = "SYNAPSE_DATABASE_PASSWORD_FILE"


def settings(**variables: str) -> Settings:
    """Return the settings of the main process, with ``variables`` in its environment."""
    return parse({"SYNAPSE_WORKER": "homeserver"} | variables)


@pytest.mark.parametrize(
    "database",
    [None, [], "psycopg2", {}, {"name": "psycopg2", "args": ["x"]}, {"name": "psycopg2"}],
)
@pytest.mark.parametrize("several", [None, [], "x", {"main": None}, {"main": {"name": "psycopg2"}}])
def test_no_shape_of_databases_is_changed_into_another(
    tmp_path: Path, database: object, several: object
) -> None:
    """Malformed settings are left to Synapse's parser, and the password is added where it fits."""
    path = tmp_path / "password"
    path.write_text("hunter2")
    homeserver = {"database": database, "databases": several}
    found = with_password(homeserver, settings(**{PASSWORD: str(path)}))
    if database == {"name": "psycopg2"}:
        assert found["database"] == {"name": "psycopg2", "args": {"password": "hunter2"}}
    else:
        assert found["database"] == database
    if isinstance(several, dict) and several["main"]:
        expected = {"main": {"name": "psycopg2", "args": {"password": "hunter2"}}}
        assert found["databases"] == expected
    else:
        assert found.get("databases", several) == several


def test_each_of_several_databases_is_named_by_its_option(tmp_path: Path) -> None:
    """`database` is ignored if `databases` is set."""
    path = tmp_path / "password"
    path.write_text("hunter2")
    several = {
        "main": {"name": "psycopg2", "args": {"password": "x"}},
        "state": {"name": "psycopg2", "args": {"passfile": str(tmp_path / "none")}},
    }
    homeserver = {"database": {"name": "sqlite3"}, "databases": several}
    assert database_problems(homeserver, settings(**{PASSWORD: str(path)})) == [
        f"homeserver.yaml: databases.state.args.passfile={tmp_path}/none: libpq ignores it: No "
        f"such file or directory; give uid {os.geteuid()} a copy with mode 0600, or set {PASSWORD}",
        f"{PASSWORD} is set, and homeserver.yaml has databases.main.args.password too; remove one "
        "of them",
    ]


@pytest.mark.parametrize("args", [None, [], "x", {}])
def test_databases_without_usable_arguments_need_no_passfile(args: object) -> None:
    """Unusable arguments cause neither a problem nor a traceback."""
    database = {"name": "psycopg2", "args": args}
    assert database_problems({"database": database, "databases": []}, settings()) == []
    assert database_problems({"database": None}, settings()) == []


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (0o604, "its mode lets other users access it"),
        (0o660, "its mode lets other users access it"),
        (0o600, ""),
    ],
)
def test_a_passfile_must_be_private(tmp_path: Path, mode: int, reason: str) -> None:
    """libpq ignores a passfile that the group or others have any permission for."""
    path = tmp_path / "pgpass"
    path.touch()
    path.chmod(mode)
    database = {"name": "psycopg2", "args": {"passfile": str(path)}}
    lines = database_problems({"database": database}, settings())
    assert len(lines) == bool(reason)
    assert all(f": libpq ignores it: {reason}; " in line for line in lines)


@pytest.mark.parametrize(
    ("passfile", "reason"),
    [("/dev/null", "it is not a regular file"), ("a\0b", "no file can have that name")],
)
def test_a_passfile_that_is_no_file_is_named(passfile: str, reason: str) -> None:
    """The problem is one line, whatever the value of the option."""
    database = {"name": "psycopg2", "args": {"passfile": passfile}}
    (line,) = database_problems({"database": database}, settings())
    assert f": libpq ignores it: {reason}; give uid " in line


def test_a_password_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """A missing password file is reported before Synapse starts."""
    chosen = settings(**{PASSWORD: str(tmp_path / "none")})
    assert database_problems(GOOD, chosen) == [
        f"{PASSWORD}={tmp_path}/none: the database password is missing; mount it"
    ]
    with pytest.raises(Exception, match=r"none: the database password is missing; mount it"):
        with_password(GOOD, chosen)


def test_a_replication_secret_is_named_by_what_names_its_file(tmp_path: Path) -> None:
    """The error names the environment variable or the option in homeserver.yaml."""
    path = tmp_path / "none"
    with pytest.raises(Exception, match=r"^homeserver\.yaml: worker_replication_secret_path=/"):
        replication_secret(path, settings())
    chosen = settings(SYNAPSE_REPLICATION_SECRET_FILE=str(path))
    with pytest.raises(Exception, match=r"^SYNAPSE_REPLICATION_SECRET_FILE=/"):
        replication_secret(path, chosen)


def test_the_first_key_alone_makes_the_secret(tmp_path: Path) -> None:
    """The secret is what `openssl kdf` computes; a change would separate old and new processes."""
    (tmp_path / "signing.key").write_text("ed25519 a_test " + "B" * 42 + "A\n")
    assert derived_secret(tmp_path / "signing.key") == (
        "8724c2d03c62ed661e8bccef9a8d405f5109d1e21285bc0204bacffbe3dcfc0f"
    )


@pytest.fixture(params=[200, 404, 500, 0])
def answering(request: pytest.FixtureRequest) -> Iterator[tuple[int, int, list[str]]]:
    """Yield the port, status and requested paths of a server that answers all requests alike."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if request.param:
                self.send_response(request.param)
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server.server_address[1], request.param, asked
        server.shutdown()
        thread.join()


def test_health_is_what_its_port_answers(answering: tuple[int, int, list[str]]) -> None:
    """Only status 200 is healthy; any other status, or a missing response, is reported."""
    port, status, asked = answering
    table = load_table()
    chosen = parse({"SYNAPSE_WORKER": "homeserver", "SYNAPSE_BIND_ADDRESSES": "127.0.0.1"}, table)
    ports = dict(table.ports) | {"health": port}
    probe = health_probe(Settings(**{**vars(chosen), "ports": ports}))
    name = f"synapse.app.homeserver at 127.0.0.1 port {port}"
    assert probe.name == name
    answer = probe.ask()
    assert asked == ["/health"]
    if status == 200:
        assert answer == ""
    elif status:
        assert answer == f"{name} answers /health with {status}"
    else:
        assert answer.startswith(f"{name} does not answer: ")
