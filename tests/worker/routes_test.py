"""The verb that prints routes: its formats, its addresses, and messages about wrong input."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.formats import FORMATS, PROXIES
from tests.worker.fuzzing import Tally, answer, many
from worker.__main__ import main

FORMATS_TEXT = "json, nginx, haproxy, caddy, traefik"


def run(
    capsys: pytest.CaptureFixture[str], *arguments: str, environ: Mapping[str, str] = {}
) -> tuple[int, str, list[str]]:
    """Run the verb; return its exit code, its output, and the messages."""
    code = main(["routes", *arguments], environ)
    printed = capsys.readouterr()
    return code, printed.out, printed.err.splitlines()


def servers(
    capsys: pytest.CaptureFixture[str], plan: str, environ: Mapping[str, str] = {}
) -> dict[str, Any]:
    """Return the servers of each route of a plan, and main's under ``main``."""
    code, text, _ = run(capsys, "json", plan, environ=environ)
    assert code == 0
    document = json.loads(text)
    return {"main": document["main"]} | {
        route["name"]: route["servers"] for route in document["routes"]
    }


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_prints_the_workers(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed depends on nothing but the plan and the variables."""
    plan = "synchrotron:2, typing@10.0.0.7"
    first = run(capsys, name, plan)
    assert first[0] == 0
    assert first[2] == []
    assert all(host in first[1] for host in ("synchrotron1", "synchrotron2", "10.0.0.7"))
    assert run(capsys, name, plan) == first


def test_a_plan_can_be_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As for `doctor`, an argument with a slash is the path of a file."""
    (tmp_path / "plan").write_text("typing # one\npusher")
    assert list(servers(capsys, str(tmp_path / "plan"))) == ["main", "typing"]


def test_addresses_follow_from_the_variables(capsys: pytest.CaptureFixture[str]) -> None:
    """TLS, Unix sockets and the host of main are those that the processes use themselves."""
    plan = "federation_reader, synchrotron@[fd00::5], both=client_reader+federation_reader"
    plain = {"host": "main", "name": "main", "port": 8008, "tls": False}
    assert servers(capsys, "")["main"] == plain
    hosted = servers(capsys, plan, {"SYNAPSE_REPLICATION_HOST": "10.0.0.1"})
    assert hosted["main"]["host"] == "10.0.0.1"
    assert hosted["sync"] == [
        {"host": "fd00::5", "name": "synchrotron", "port": 8008, "tls": False}
    ]
    assert [(one["port"], one["tls"]) for one in hosted["federation"]] == [
        (8448, True),
        (8008, False),
    ]
    off = servers(capsys, plan, {"SYNAPSE_FEDERATION_TLS": "off"})
    assert {(one["port"], one["tls"]) for one in off["federation"]} == {(8008, False)}
    sockets = servers(capsys, "typing", {"SYNAPSE_UNIX_SOCKETS": "/run/s"})
    assert sockets["main"] == {"name": "main", "socket": "/run/s/main.client.sock"}
    assert sockets["typing"] == [{"name": "typing", "socket": "/run/s/typing.client.sock"}]


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            ["apache", "typing"],
            [f"routes: 'apache' is not a format; use one of {FORMATS_TEXT}"],
        ),
        (
            ["nginx", "typing", "--include=all"],
            ["--include='all' is not a part of the nginx format; use http or server or script"],
        ),
        (
            ["json", "typing", "--include=http"],
            ["--include='http' is not a part of the json format; remove the option"],
        ),
        (
            ["nginx", "typing", "--client-port=0", "--federation-port=65536", "--plain-port=x"],
            [
                "--client-port='0' is not a number from 1 to 65535; use one",
                "--federation-port='65536' is not a number from 1 to 65535; use one",
                "--plain-port='x' is not a number from 0 to 65535; use one",
            ],
        ),
        (
            ["nginx", "typing", "--address=proxy", "--resolver=fe80::1%eth0"],
            [
                "--address='proxy' is not an IP address; use one, such as 192.0.2.1",
                "--resolver='fe80::1%eth0' has a zone; use an address without one",
            ],
        ),
        (
            ["nginx", "typing", "--key=tls.key", "--certificate=/a b"],
            [
                "--certificate='/a b' is not an absolute path of letters, digits and the "
                "characters . _ @ + - /; use one, such as /etc/synapse/tls.crt",
                "--key='tls.key' is not an absolute path of letters, digits and the characters "
                ". _ @ + - /; use one, such as /etc/synapse/tls.key",
            ],
        ),
        (
            ["caddy", "typing", "--script=/etc/caddy/users"],
            [
                "--script='/etc/caddy/users': the caddy format has no script; use nginx or "
                "haproxy, or remove the option"
            ],
        ),
        (
            ["haproxy", "typing", "--script=users.lua"],
            [
                "--script='users.lua' is not an absolute path of letters, digits and the "
                "characters . _ @ + - /; use one, such as /etc/synapse/users"
            ],
        ),
        (
            ["nginx", "typing", "--client-port=8097"],
            ["--client-port=8097 is the port for the proxy's own requests; use another one"],
        ),
        (
            ["nginx", "typing", "--client-port=8448"],
            [
                "--client-port=8448, --federation-port=8448 and --plain-port=0 are not all "
                "different; use three different ports"
            ],
        ),
        (
            ["nginx", "a=typing@h, b=presence@H, c=pusher@h, d=receipts@main"],
            [
                "SYNAPSE_WORKERS: main, d have the same address main:8008; give each process its "
                "own host",
                "SYNAPSE_WORKERS: a, b have the same address h:8008; give each process its own "
                "host",
            ],
        ),
        (
            ["caddy", "federation_reader, b=federation_reader+client_reader"],
            [
                "SYNAPSE_WORKERS: federation_reader, b share the route federation_transactions, "
                "but only some of them use TLS; set SYNAPSE_FEDERATION_TLS=off",
                "SYNAPSE_WORKERS: federation_reader, b share the route federation, but only some "
                "of them use TLS; set SYNAPSE_FEDERATION_TLS=off",
            ],
        ),
    ],
)
def test_a_mistake_is_named_and_nothing_is_printed(
    arguments: list[str], lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The messages are of one line each, and the exit code is that of wrong settings."""
    assert run(capsys, *arguments) == (2, "", [f"error: {line}" for line in lines])


def test_a_long_value_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """The remedy stays in the message."""
    code, _, (line,) = run(capsys, "nginx", "typing", f"--address={'9' * 5000}")
    assert code == 2
    assert line.endswith("'... is not an IP address; use one, such as 192.0.2.1")
    assert len(line) < 200


_TEXT = st.text(max_size=30)
_OPTIONS = st.lists(
    st.builds(
        "--{}={}".format,
        st.sampled_from(["address", "client-port", "key", "hold-seconds", "include", "script"]),
        st.one_of(_TEXT, st.integers(-5, 70000).map(str), st.sampled_from(["http", "::1", "/k"])),
    ),
    max_size=3,
)


@many(5)
@given(
    name=st.one_of(st.sampled_from(FORMATS), _TEXT),
    plan=st.one_of(_TEXT, st.sampled_from(["typing", "generic_worker:3, pusher@[::1]"])),
    options=_OPTIONS,
)
def test_any_arguments_end_with_a_line_or_a_configuration(
    name: str, plan: str, options: list[str]
) -> None:
    """No input gives a traceback."""
    answer(["routes", *options, "--", name, plan], {}, Tally("routes"))


def test_all_proxies_are_formats() -> None:
    """The message about an unknown format lists them all."""
    assert ", ".join(["json", *PROXIES]) == FORMATS_TEXT
