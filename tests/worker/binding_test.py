"""Bind addresses: every accepted set can be opened the way Synapse opens its sockets."""

import errno
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.binding import (
    bind_problem,
    is_dual_stack,
    listening_problems,
    local_address,
    sockets_for,
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "a",
            "contains 'a', which is not an IP address; use addresses separated by commas, for "
            "example "
            "0.0.0.0,::",
        ),
        ("", "contains '', which is not an IP address"),
        ("127.0.0.1:8008", "contains '127.0.0.1:8008', which is not an IP address"),
        ("[::1]", "contains '[::1]', which is not an IP address"),
        (
            "fe80::1%eth0",
            "contains 'fe80::1%eth0', which has a zone, so it is only valid on one link",
        ),
        (
            "::ffff:10.0.0.5",
            "contains '::ffff:10.0.0.5', which is an IPv4-mapped address; write it as 10.0.0.5",
        ),
        (
            "::ffff:0.0.0.0",
            "contains '::ffff:0.0.0.0', which is an IPv4-mapped address; write it as 0.0.0.0",
        ),
        ("224.0.0.1", "contains '224.0.0.1', which is not the address of a single host"),
        ("ff02::1", "contains 'ff02::1', which is not the address of a single host"),
        (
            "255.255.255.255",
            "contains '255.255.255.255', which is not the address of a single host",
        ),
        ("::1,::1", "contains '::1' twice; remove one"),
        ("::,0::0", "contains '0::0' twice, also written as '::'; remove one"),
        ("fd00::A,fd00:0::a", "contains 'fd00:0::a' twice, also written as 'fd00::A'; remove one"),
    ],
)
def test_an_address_that_cannot_be_bound_is_named(text: str, problem: str) -> None:
    """Synapse would stop with a traceback from its listener."""
    assert bind_problem(text.split(",")).startswith(problem)


@pytest.mark.parametrize(
    ("given_addresses", "dual", "single"),
    [
        ("0.0.0.0", "0.0.0.0", "0.0.0.0"),
        ("0::0", "::", "::"),
        ("0.0.0.0,::", "::", "0.0.0.0,::"),
        ("::,0.0.0.0", "::", "::,0.0.0.0"),
        ("127.0.0.1,::", "::", "127.0.0.1,::"),
        ("::1,::", "::", "::"),
        ("0.0.0.0,127.0.0.1", "0.0.0.0", "0.0.0.0"),
        ("127.0.0.1,::1", "127.0.0.1,::1", "127.0.0.1,::1"),
        ("::1,0.0.0.0", "::1,0.0.0.0", "::1,0.0.0.0"),
    ],
)
def test_what_a_wildcard_covers_is_not_bound_beside_it(
    given_addresses: str, dual: str, single: str
) -> None:
    """Whether ``::`` also covers IPv4 depends on a kernel setting."""
    texts = given_addresses.split(",")
    assert bind_problem(texts) == ""
    assert ",".join(sockets_for(texts, dual_stack=True)) == dual
    assert ",".join(sockets_for(texts, dual_stack=False)) == single


def test_a_health_check_asks_where_something_listens() -> None:
    """Containers often have no IPv6 address, not even the loopback address."""
    assert local_address(("0.0.0.0",), dual_stack=True) == "127.0.0.1"
    assert local_address(("::",), dual_stack=True) == "127.0.0.1"
    assert local_address(("::",), dual_stack=False) == "::1"
    assert local_address(("10.0.0.5", "::1"), dual_stack=True) == "10.0.0.5"


def bind_all(addresses: tuple[str, ...]) -> None:
    """Listen on one port of all ``addresses``, as Twisted and socketserver do; raise OSError."""
    sockets: list[socket.socket] = []
    port = 0
    try:
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            opened = socket.socket(family)
            sockets.append(opened)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind((address, port))
            opened.listen()
            port = opened.getsockname()[1]
    finally:
        for opened in sockets:
            opened.close()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["0.0.0.0", "::", "0::0", "127.0.0.1", "127.0.0.2", "::1", "0:0::1"]),
        min_size=1,
        max_size=4,
    )
)
def test_every_accepted_set_can_be_opened_in_any_order(texts: list[str]) -> None:
    """This test uses the kernel's current setting; the next test tries both settings."""
    if bind_problem(texts):
        assert len({text.replace("0::0", "::").replace("0:0::1", "::1") for text in texts}) < len(
            texts
        )
        return
    needed = sockets_for(texts, dual_stack=is_dual_stack())
    for attempt in range(3):
        try:
            bind_all(needed)
            return
        except OSError as error:
            # The port was free on the first address, but another process may use it on the next.
            if error.errno != errno.EADDRINUSE or attempt == 2:
                raise


_ORDERS = """
import fcntl, socket, struct
with socket.socket() as any_socket:  # SIOCSIFFLAGS with IFF_UP: a new network has loopback down.
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))
from worker.binding import bind_problem, sockets_for, is_dual_stack
from tests.worker.binding_test import bind_all
for order in ("0.0.0.0,::", "::,0.0.0.0", "127.0.0.1,::", "::,127.0.0.1", "::1,0.0.0.0", "::"):
    needed = sockets_for(order.split(","), dual_stack=is_dual_stack())
    bind_all(needed)
print("bound", is_dual_stack())
"""


@pytest.mark.parametrize("setting", ["0", "1"])
def test_both_orders_can_be_opened_whatever_the_kernels_setting(setting: str) -> None:
    """The test runs in its own network namespace, where it can set ``net.ipv6.bindv6only``."""
    unshare = shutil.which("unshare")
    script = f'echo {setting} > /proc/sys/net/ipv6/bindv6only || exit 77; exec "$0" -c "$1"'
    command = [str(unshare), "--user", "--map-root-user", "--net", "sh", "-c", script]
    paths = ":".join(path for path in sys.path if path)
    done = subprocess.run(
        [*command, sys.executable, _ORDERS],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"no network namespace of its own here: {done.stderr.strip()}")
    assert done.stdout == f"bound {setting == '0'}\n", done.stderr


def test_a_port_that_is_in_use_is_named_before_synapse_starts() -> None:
    """Processes on the host's network share the same ports."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        document = {"listeners": [{"port": port, "bind_addresses": ["127.0.0.1", "127.0.0.2"]}]}
        assert listening_problems([document]) == [
            f"port {port} of 127.0.0.1 is in use; stop the process that listens on it"
        ]
    assert listening_problems([document, {"worker_listeners": [{"path": "/x"}]}, {}]) == []


def test_an_address_that_the_container_does_not_have_is_named(tmp_path: Path) -> None:
    """The host's address is not an address of the container."""
    document = {"worker_listeners": [{"port": 1024, "bind_addresses": ["192.0.2.1"]}] * 2}
    assert listening_problems([document]) == [
        "SYNAPSE_BIND_ADDRESSES contains 192.0.2.1, which is not an address of this container; use "
        "one "
        "that is, for example 0.0.0.0"
    ]


@pytest.mark.parametrize(
    ("address", "number", "line"),
    [
        (
            "0.0.0.0",
            errno.EACCES,
            "port 80 of 0.0.0.0 cannot be opened: Permission denied",
        ),
        (
            "::",
            errno.EAFNOSUPPORT,
            "SYNAPSE_BIND_ADDRESSES contains ::, but this container has no IPv6; remove it",
        ),
    ],
)
def test_what_keeps_a_socket_from_being_made_is_named(
    monkeypatch: pytest.MonkeyPatch, address: str, number: int, line: str
) -> None:
    """Causes are a port below 1024 without the privilege for it, and a kernel without IPv6."""

    def refuse(family: int, *_: object) -> socket.socket:
        assert family == (socket.AF_INET6 if ":" in address else socket.AF_INET)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("worker.binding.socket.socket", refuse)
    assert listening_problems([{"listeners": [{"port": 80, "bind_addresses": [address]}]}]) == [
        line
    ]
    if number == errno.EAFNOSUPPORT:
        assert is_dual_stack() is False


def test_a_port_of_connections_that_have_just_ended_can_be_had() -> None:
    """After a restart, connections may be in TIME_WAIT (tcp(7)); Twisted binds such a port too."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            listener.accept()[0].close()
            assert client.recv(1) == b""
    row = {"port": port, "bind_addresses": ["127.0.0.1"]}
    assert listening_problems([{"listeners": [row]}]) == []
