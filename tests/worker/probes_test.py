"""Tests that probes report at most one line for any configuration, and never a secret."""

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from tests.worker.cases import values
from tests.worker.servers import closed_port, main_at, redis_at, saying, server, settings
from worker.asking import ask
from worker.probes import secret_mask, service_probes

SECRET = "Correct-Horse-Battery-Staple"


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (b"+PONG\r\n", ""),
        (b"", "does not answer: the connection was closed"),
        (
            b"-NOAUTH Authentication required.\r\n",
            "answers with an error: NOAUTH Authentication required.",
        ),
        (b"HTTP/1.1 400\r\n", "is not a Redis server: it answers PING with 'HTTP/1.1 400'"),
        (b"\xff\x00\n", "is not a Redis server: it answers PING with '\ufffd\\x00'"),
    ],
)
def test_what_redis_answers(answer: bytes, line: str) -> None:
    """Each response other than PONG is reported in one line."""
    with server(saying(answer)) as port:
        lines = ask(redis_at(port), 5)
    assert lines == ([f"Redis at 127.0.0.1 port {port} {line}"] if line else [])


def test_redis_gets_user_and_password() -> None:
    """The protocol prefixes each argument with its length in bytes."""
    heard = []

    def listen(connection: socket.socket) -> None:
        for answer in (b"+OK\r\n", b"+PONG\r\n"):
            heard.append(connection.recv(4096))
            connection.sendall(answer)

    with server(listen) as port:
        assert ask(redis_at(port, username="u", password="p\u00e4ss"), 5) == []
    assert heard == [
        b"*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$5\r\np\xc3\xa4ss\r\n",
        b"*1\r\n$4\r\nPING\r\n",
    ]


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (400, ""),
        (500, "refuses the replication secret; give every process the same signing.key, or the"),
        (404, "is not a replication listener of Synapse: it answers with status 404"),
    ],
)
def test_what_the_main_process_answers(status: int, line: str) -> None:
    """Synapse responds to an unknown stream with 400 if the secret is right, otherwise with 500."""
    with server(saying(b"HTTP/1.1 %d x\r\n\r\n" % status)) as port:
        lines = ask(main_at(port, worker_replication_secret=SECRET), 5)
    name = f"the main process at 127.0.0.1 port {port} "
    assert len(lines) == (1 if line else 0)
    assert all(found.startswith(name + line) for found in lines)


ODD: dict[str, dict[str, Any]] = {
    "database.args is a list; make it": {"database": {"name": "psycopg2", "args": [SECRET]}},
    "database.args is text; make it": {"database": {"name": "psycopg2", "args": SECRET}},
    "database is text; make it a mapping": {"database": SECRET},
    "databases is a list; make it a map": {"databases": [SECRET]},
    "databases.a is a list; make it a": {"databases": {"a": [SECRET]}},
    "database.args is a mapping of another": {"database": {"name": "psycopg2", "args": {5: "x"}}},
    "redis is text; make it a mapping": {"redis": SECRET},
    "redis.host is 10; make it text": {"redis": {"enabled": True, "host": 10}},
    "redis.host is a list; make it text": {"redis": {"enabled": True, "host": [SECRET]}},
    "redis.host is empty; make it text": {"redis": {"enabled": True, "host": None}},
    "redis.port is text; make it a number": {"redis": {"enabled": True, "port": "6379"}},
    "redis.port is 0; make it a number": {"redis": {"enabled": True, "port": 0}},
    "redis.port is True; make it a": {"redis": {"enabled": True, "port": True}},
    "redis.path is 5; make it the path": {"redis": {"enabled": True, "path": 5}},
    "redis.password_path=/proc/none: ": {"redis": {"enabled": True, "password_path": "/proc/none"}},
    "instance_map.main is text; make it": {"instance_map": {"main": SECRET}},
    "instance_map.main is a mapping of": {"instance_map": {"main": {"host": 5, "port": 9093}}},
}


@pytest.mark.parametrize("line", ODD)
def test_an_odd_configuration_is_one_line_that_names_the_option(line: str) -> None:
    """A traceback would name the entrypoint's code and might quote a secret."""
    document = {"instance_map": {"main": {"path": "/nowhere"}}} | ODD[line]
    found = ask(service_probes(document, settings()), 5, secret_mask(document))
    assert [problem for problem in found if problem.startswith(f"homeserver.yaml: {line}")], found
    assert SECRET not in "".join(found)


@pytest.mark.parametrize("secret", [SECRET + "\n", SECRET + "\u20ac", f"{SECRET} {SECRET}", "\x00"])
def test_a_secret_that_no_header_can_carry_is_not_quoted(secret: str) -> None:
    """Synapse rejects such a secret in any request, and HTTP libraries quote it in their errors."""
    lines = ask(main_at(closed_port(), worker_replication_secret=secret), 5)
    assert len(lines) == 1
    assert "cannot be checked: the replication secret has white space or characters" in lines[0]
    assert SECRET not in lines[0]


def test_no_line_has_the_secret_of_a_malformed_dsn() -> None:
    """libpq quotes the part that it cannot parse in its error."""
    document = {
        "database": {"name": "psycopg2", "args": {"dsn": f"password={SECRET} {SECRET} x"}},
        "instance_map": {"main": {"path": "/nowhere"}},
    }
    lines = ask(service_probes(document, settings()), 5, secret_mask(document))
    assert [line for line in lines if line.startswith("PostgreSQL of database.args ")], lines
    assert SECRET not in "".join(lines)


_ARGS = st.dictionaries(
    st.sampled_from(["host", "hostaddr", "port", "dsn", "service", "passfile", "cp_min", "user"]),
    values(),
    max_size=4,
)
_DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "database": st.one_of(
            values(), st.fixed_dictionaries({"name": st.just("psycopg2"), "args": _ARGS | values()})
        ),
        "databases": values(),
        "redis": st.one_of(
            values(),
            st.fixed_dictionaries(
                {"enabled": st.just(True)},
                optional={
                    name: values()
                    for name in (
                        "host port path password username password_path use_tls ca_file ca_path "
                        "certificate_file private_key_file"
                    ).split()
                },
            ),
        ),
        "instance_map": st.one_of(
            values(),
            st.fixed_dictionaries(
                {"main": values() | st.dictionaries(st.sampled_from(["host", "port"]), values())}
            ),
        ),
        "worker_replication_secret": values(),
        "worker_replication_secret_path": values(),
    },
)


@limits(max_examples=300, deadline=None)
@given(_DOCUMENTS)
def test_no_shape_of_configuration_is_a_traceback(document: dict[str, Any]) -> None:
    """For anything that YAML can hold, every probe has a name and reports one line at most."""
    for probe in service_probes(document, settings()):
        assert probe.name
    for line in ask(service_probes(document, settings()), 0.2, secret_mask(document)):
        assert line.isprintable()
        assert len(line) <= 500
