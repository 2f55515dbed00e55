"""Tests for the probes of PostgreSQL and Redis: their requests and the responses."""

import contextlib
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from testbed.site import WORKERS, make_authority, make_data
from tests.worker.servers import (
    closed_port,
    hearing,
    lines_of,
    redis_at,
    saying,
    server,
    server_at,
)
from worker.probes import database_probes, redis_probes


@pytest.mark.parametrize(
    ("args", "name"),
    [
        (None, "PostgreSQL at its local socket port 5432"),
        ({"host": "db"}, "PostgreSQL at db port 5432"),
        ({"host": "db", "hostaddr": "10.0.0.5", "port": 6432}, "PostgreSQL at db port 6432"),
        ({"hostaddr": "10.0.0.5", "port": "6432"}, "PostgreSQL at 10.0.0.5 port 6432"),
        ({"host": "db", "service": "synapse"}, "PostgreSQL at db port 5432"),
        ({"service": "synapse"}, "PostgreSQL of database.args"),
        ({"dsn": "host=db"}, "PostgreSQL of database.args"),
    ],
)
def test_a_database_is_called_by_its_address(args: object, name: str) -> None:
    """The option is named instead if the address is in a connection string or service file."""
    (probe,) = database_probes({"database": {"name": "psycopg2", "args": args}})
    assert probe.name == name


def test_each_postgresql_database_is_asked() -> None:
    """SQLite databases have no probe, and `database_probes` replaces `database`."""
    args = {"dsn": "host=db"}
    several = {"a": {"name": "psycopg2", "args": args}, "b": {"name": "sqlite3"}, "c": None}
    document = {"database": {"name": "psycopg2"}, "databases": several}
    assert [probe.name for probe in database_probes(document)] == ["PostgreSQL of databases.a.args"]
    assert list(database_probes({"database": {"name": "sqlite3"}, "databases": {}})) == []
    assert list(database_probes({"database": None})) == []
    assert list(database_probes({})) == []


class _LibpqError(Exception):
    """The error that the stand-in for psycopg2 raises."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Replace psycopg2 with a stand-in, and return the list of its calls."""
    calls: list[Any] = []

    @contextlib.contextmanager
    def cursor() -> Iterator[Any]:
        yield SimpleNamespace(execute=calls.append)

    def connect(**args: Any) -> Any:
        calls.append(args)
        if args.get("host") == "wrong":
            raise _LibpqError('connection to server at "wrong" failed\nsecond line')
        return SimpleNamespace(cursor=cursor, close=lambda: calls.append("close"))

    module = SimpleNamespace(connect=connect, Error=_LibpqError)
    monkeypatch.setitem(sys.modules, "psycopg2", module)
    return calls


@pytest.mark.parametrize(
    ("args", "passed"),
    [
        ({"host": "db", "cp_min": 5}, {"host": "db"}),
        ({"host": "a,b"}, {"host": "a,b", "connect_timeout": 3}),
        ({"hostaddr": "::1,::2"}, {"hostaddr": "::1,::2", "connect_timeout": 3}),
        ({"host": "a,b", "connect_timeout": 9}, {"host": "a,b", "connect_timeout": 9}),
    ],
)
def test_libpq_gets_the_parameters_of_synapse(
    asked: list[Any], args: dict[str, Any], passed: dict[str, Any]
) -> None:
    """Pool parameters are left out, and one dead host of several does not use up the deadline."""
    assert lines_of(database_probes({"database": {"name": "psycopg2", "args": args}})) == [""]
    assert asked == [passed, "SELECT 1", "close"]


def test_the_first_line_of_libpq_says_why_a_database_does_not_answer(asked: list[Any]) -> None:
    """The other lines repeat the first."""
    document = {"database": {"name": "psycopg2", "args": {"host": "wrong"}}}
    assert lines_of(database_probes(document)) == [
        'PostgreSQL at wrong port 5432 does not answer: connection to server at "wrong" failed'
    ]
    assert asked == [{"host": "wrong"}]


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ({"databases": ["x"]}, "databases is a list; make it a mapping from name to database"),
        ({"database": "x"}, "database is text; make it a mapping with name and args"),
        (
            {"database": {"name": "psycopg2", "args": {"host": "db", 5: "x"}}},
            "database.args is a mapping of another shape; make it a mapping from libpq's "
            "parameters to their values",
        ),
        ({"redis": 7}, "redis is 7; make it a mapping with enabled and host"),
        ({"redis": {"enabled": 1, "path": 5}}, "redis.path is 5; make it the path of a socket"),
        (
            {"redis": {"enabled": 1, "host": None}},
            "redis.host is empty; make it text: a host name, or an address in quotes",
        ),
        *(
            (
                {"redis": {"enabled": 1, "port": port}},
                f"redis.port is {port}; make it a number from 1 to 65535, without quotes",
            )
            for port in (0, 65536, True)
        ),
    ],
    ids=str,
)
def test_what_is_said_of_an_option_that_names_no_service(
    document: dict[str, Any], line: str
) -> None:
    """The message leaves out a value that may be a secret."""
    (found,) = lines_of([*database_probes(document), *redis_probes(document)])
    assert found == f"homeserver.yaml: {line}"


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({}, []),
        ({"enabled": False, "host": 5}, []),
        ({"enabled": True}, ["Redis at localhost port 6379"]),
        ({"enabled": True, "host": "r", "port": 1}, ["Redis at r port 1"]),
        ({"enabled": True, "host": "r", "port": 65535}, ["Redis at r port 65535"]),
        ({"enabled": True, "path": "/r", "port": 1}, ["Redis at /r"]),
    ],
)
def test_redis_is_called_by_its_address(config: dict[str, Any], names: list[str]) -> None:
    """The defaults are the same as in Synapse."""
    assert [probe.name for probe in redis_probes({"redis": config})] == names


def test_redis_is_asked_at_its_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket takes precedence over `host` and `port`."""
    monkeypatch.chdir(tmp_path)  # The path of a Unix socket must be short.
    config = {"enabled": True, "path": "here", "host": "127.0.0.1", "port": closed_port()}
    with server_at("here", saying(b"+PONG\r\n")):
        assert lines_of(redis_probes({"redis": config})) == [""]


@pytest.mark.parametrize(
    ("config", "answers", "line", "asked"),
    [
        ({}, [b"-ERR None x\r\n"], "answers with an error: ERR None x", 1),
        ({"username": "u"}, [b"+PONG\r\n"], "", 1),
        ({"password": "hunter22"}, [b"+OK\r\n", b"+PONG\r\n"], "", 2),
        (
            {"password": "hunter22"},
            [b"-WRONGPASS x\r\n", b"+PONG\r\n"],
            "answers with an error: WRONGPASS x",
            1,
        ),
        (
            {"password": "hunter22"},
            [b"-ERR unknown command 'AUTH' 'hunter22'\r\n"],
            "answers with an error: ERR unknown command 'AUTH' '(masked)'",
            1,
        ),
        ({}, [b"x" * 99 + b"\r\n"], f"is not a Redis server: it answers PING with '{'x' * 80}'", 1),
        ({}, [b"-" + b"x" * 5000], f"answers with an error: {'x' * 4095}", 1),
    ],
    ids=["refused", "user", "password", "wrong", "old", "other", "long"],
)
def test_what_redis_is_asked_and_how_its_answer_is_shown(
    config: dict[str, Any], answers: list[bytes], line: str, asked: int
) -> None:
    """AUTH is sent only with a password, PING only if AUTH succeeds; the password is masked."""
    with hearing(*answers) as (port, heard):
        (found,) = lines_of(redis_at(port, **config))
    assert found == (f"Redis at 127.0.0.1 port {port} {line}" if line else "")
    assert len(heard) == asked
    assert heard[-1] == b"*1\r\n$4\r\nPING\r\n" or b"AUTH" in heard[-1]


def test_the_password_of_redis_may_be_in_a_file(tmp_path: Path) -> None:
    """The trailing line ending is not part of the password, and a missing file is named."""
    path = tmp_path / "password"
    config = {"password": "other", "password_path": str(path)}
    with pytest.raises(
        Exception, match=r"^homeserver\.yaml: redis\.password_path=.*: the Redis pa"
    ):
        lines_of(redis_at(1, **config))
    path.write_text("hunter22\n")
    with hearing(b"+OK\r\n", b"+PONG\r\n") as (port, heard):
        assert lines_of(redis_at(port, **config)) == [""]
    assert heard[0] == b"*2\r\n$4\r\nAUTH\r\n$8\r\nhunter22\r\n"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with tls.crt, tls.key, other.crt of another CA, and two folders for CAs.

    ``right`` contains tls.crt, and ``empty`` contains no CA.
    """
    data = make_data(tmp_path_factory.mktemp("pair") / "data", WORKERS)
    command = ["openssl", "x509", "-noout", "-hash", "-in", str(data / "tls.crt")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (data / "right").mkdir()
    (data / "right" / f"{done.stdout.strip()}.0").write_bytes((data / "tls.crt").read_bytes())
    (data / "empty").mkdir()
    other = make_authority(data.parent / "other") / "ca.crt"
    (data / "other.crt").write_bytes(other.read_bytes())
    return data


@pytest.mark.parametrize(
    ("config", "asks", "fine"),
    [
        ({}, False, True),
        ({"ca_file": "tls.crt"}, False, True),
        ({"ca_file": "other.crt"}, False, False),
        ({"ca_path": "right"}, False, True),
        ({"ca_path": "empty"}, False, False),
        ({}, True, False),
        ({"certificate_file": "tls.crt", "private_key_file": "tls.key"}, True, True),
    ],
)
def test_redis_is_asked_over_tls(
    pair: Path, config: dict[str, str], asks: bool, fine: bool
) -> None:
    """The chain is checked if a CA is set, the name never; Redis may want a client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair / "tls.crt", pair / "tls.key")
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(pair / "tls.crt")

    def behaviour(connection: socket.socket) -> None:
        saying(b"+PONG\r\n")(context.wrap_socket(connection, server_side=True))

    files = {name: str(pair / file) for name, file in config.items()}
    with server(behaviour) as port:
        (line,) = lines_of(redis_at(port, use_tls=True, **files))
    assert (line == "") is fine, line
    assert fine or line.startswith(f"Redis at 127.0.0.1 port {port} does not answer: ")


def test_redis_is_asked_without_tls_when_that_is_off() -> None:
    """`use_tls: false` means the same as in Synapse."""
    with server(saying(b"+PONG\r\n")) as port:
        assert lines_of(redis_at(port, use_tls=False)) == [""]
