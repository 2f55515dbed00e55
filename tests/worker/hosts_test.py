"""Which strings are hosts, and how hosts are written; the standard library is the oracle."""

import ipaddress
import string
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.hosts import address, host_problem, unbracketed

LONGEST = ".".join(["a" * 63] * 3 + ["b" * 61])  # 253 characters.


@pytest.mark.parametrize(
    "host",
    [
        "main",
        "synapse_main-1",
        "_main",
        "a.b-c.example.com",
        "example.com.",
        "3com",
        "1.2.3.com",
        "xn--bcher-kva.example",
        "0a1b2c3d4e5f",
        "A" * 63,
        ".".join(["a" * 62] * 4),
        LONGEST,
        LONGEST + ".",
        "10.0.0.5",
        "255.255.255.254",
        "::1",
        "[::1]",
        "fd00::7",
        "[fd00::7]",
        "::ffff:10.0.0.5",
    ],
)
def test_a_host_is_accepted(host: str) -> None:
    """Names from container engines and DNS are accepted, and so are IPv4 and IPv6 addresses."""
    assert host_problem(host) == ""


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("", "is not a host name; use labels of at most 63"),
        ("10.0.0.5:9093", "has a port, but the port is fixed; use only the host, for example"),
        ("main:9093", "has a port"),
        ("main:", "has a port"),
        ("[::1]:9093", "has a port"),
        ("http://main", "is a URL; use only the host"),
        ("main/path", "is not a host name"),
        ("user@main", "is not a host name"),
        ("a b", "is not a host name"),
        ("main\n", "is not a host name"),
        ("a..b", "is not a host name"),
        (".", "is not a host name"),
        ("-a", "is not a host name"),
        ("a-", "is not a host name"),
        ("a.-b.c", "is not a host name"),
        ("bücher.example", "is not a host name"),
        ("A" * 64, "is not a host name"),
        (
            ".".join(["a" * 63] * 4),
            "is not a host name: it has 255 characters, but at most 253 are allowed",
        ),
        ("1.2.3.4.5", "is not an IPv4 address of four numbers from 0 to 255"),
        ("999.1.1.1", "is not an IPv4 address"),
        ("010.0.0.1", "is not an IPv4 address"),
        ("10.5", "is not an IPv4 address"),
        ("1", "is not an IPv4 address"),
        ("0x7f000001", "is not an IPv4 address"),
        ("10.0.0.5.", "is not an IPv4 address"),
        ("٣.0.0.1", "is not an IPv4 address"),
        ("[::1", "is not an IPv6 address"),
        ("[]", "is not an IPv6 address"),
        ("[main]", "is not an IPv6 address"),
        ("[10.0.0.5]", "is not an IPv6 address"),
        ("fd00:::7", "is not an IPv6 address"),
        ("fe80::1%eth0", "has a zone"),
        (
            "0.0.0.0",
            "is not the address of a single host; use one at which other processes can reach it, "
            "for example "
            "synapse-main, 10.0.0.5 or fd00::5",
        ),
        ("::", "is not the address of a single host"),
        ("224.0.0.1", "is not the address of a single host"),
        ("ff02::1", "is not the address of a single host"),
    ],
)
def test_what_is_no_host_is_refused_by_its_kind(host: str, problem: str) -> None:
    """The message tells the operator which part to change."""
    assert host_problem(host).startswith(problem)


@given(st.ip_addresses(), st.integers(1, 65535))
def test_an_address_survives_every_form(
    parsed: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int
) -> None:
    """The address is the same with brackets, without brackets, and in a URL."""
    text = str(parsed)
    bracketed = f"[{text}]" if parsed.version == 6 else text
    assert unbracketed(bracketed) == unbracketed(text) == text
    assert address(bracketed, port) == address(text, port)
    split = urlsplit(f"http://{address(text, port)}/")
    assert (split.hostname, split.port) == (text, port)
    assert host_problem(text) == host_problem(bracketed)
    assert bool(host_problem(text)) == (parsed.is_unspecified or parsed.is_multicast)


_ODD = string.ascii_letters + string.digits + ".-_:[]/%@ \n\x00ä٣"


@given(st.one_of(st.text(_ODD, max_size=80), st.text(max_size=300)))
def test_whatever_is_accepted_can_be_part_of_a_url(host: str) -> None:
    """A port, a path or a second line is never accepted as part of a host."""
    if host_problem(host):
        assert host_problem(host).isprintable()
        return
    split = urlsplit(f"http://{address(host, 9093)}/path")
    assert (split.hostname, split.port, split.path) == (unbracketed(host).lower(), 9093, "/path")
    assert host.isascii()
    assert len(host) <= 254


@pytest.mark.parametrize("host", [LONGEST + "b", LONGEST + "b."])
def test_a_name_of_254_characters_is_refused(host: str) -> None:
    """RFC 1035 allows 253 characters, not counting a trailing dot."""
    assert len(LONGEST) == 253
    assert host_problem(host) == (
        "is not a host name: it has 254 characters, but at most 253 are allowed"
    )


@pytest.mark.parametrize("host", ["[fd00::1", "fd00::1]", "]", "[", "main]"])
def test_half_a_pair_of_brackets_stays(host: str) -> None:
    """Brackets are removed only as a pair."""
    assert unbracketed(host) == host
    assert host_problem(host)
