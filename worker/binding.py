"""Validates the addresses that listeners bind, and determines which sockets they need.

Synapse opens one socket for each address of each listener and stops at the first that fails; only
``0.0.0.0`` may fail after ``::`` (``check_bind_error`` in its ``synapse/app/__init__.py``).
"""

import errno
import ipaddress
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_ANY4, _ANY6 = ipaddress.IPv4Address("0.0.0.0"), ipaddress.IPv6Address("::")
_LOCAL = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def is_dual_stack() -> bool:
    """Return whether a socket on ``::`` also serves IPv4 (``bindv6only`` of ip-sysctl is 0)."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            return not probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    except OSError:
        return False  # The kernel has no IPv6.


def _address_problem(address: str) -> str:
    """Return why nothing can listen on ``address``, or ""."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return (
            "which is not an IP address; use addresses separated by commas, for example 0.0.0.0,::"
        )
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id:
            return "which has a zone, so it is only valid on one link; use another address"
        if ip.ipv4_mapped:
            return f"which is an IPv4-mapped address; write it as {ip.ipv4_mapped}"
    if ip.is_multicast or ip == ipaddress.IPv4Address("255.255.255.255"):
        return "which is not the address of a single host; use an address of this container"
    return ""


def bind_problem(addresses: Sequence[str]) -> str:
    """Return what is wrong with ``addresses``, or "".

    Returns:
        The end of a sentence that starts with the setting.
    """
    spellings: dict[Address, str] = {}
    for address in addresses:
        if _address_problem(address):
            return f"contains {address!r}, {_address_problem(address)}"
        ip = ipaddress.ip_address(address)
        if ip in spellings:
            other_spelling = (
                "" if spellings[ip] == address else f", also written as {spellings[ip]!r}"
            )
            return f"contains {address!r} twice{other_spelling}; remove one"
        spellings[ip] = address
    return ""


def sockets_for(addresses: Iterable[str], *, dual_stack: bool) -> tuple[str, ...]:
    """Return the addresses to bind to serve all of ``addresses``, in their canonical notation.

    An address that a wildcard covers cannot be bound with it (EADDRINUSE), in either order.

    Args:
        addresses: valid addresses.
        dual_stack: the result of `is_dual_stack`.
    """
    ips = [ipaddress.ip_address(text) for text in addresses]
    needed = []
    for ip in ips:
        covered_by_any4 = ip.version == 4 and ip != _ANY4 and _ANY4 in ips
        covered_by_any6 = _ANY6 in ips and ip != _ANY6 and (ip.version == 6 or dual_stack)
        if not (covered_by_any4 or covered_by_any6):
            needed.append(str(ip))
    return tuple(needed)


def local_address(addresses: Sequence[str], *, dual_stack: bool) -> str:
    """Return the address at which a process that binds ``addresses`` can reach itself."""
    first_address = addresses[0]
    if first_address == "::" and dual_stack:
        return "127.0.0.1"  # Works even if the container has no IPv6 address, not even ::1.
    return _LOCAL.get(first_address, first_address)


def _listening_problem(address: str, port: int) -> str:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
            probe.bind((address, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"port {port} of {address} is in use; stop the process that listens on it"
        if error.errno == errno.EADDRNOTAVAIL:
            return (
                f"SYNAPSE_BIND_ADDRESSES contains {address}, which is not an address of this "
                "container; use one that is, for example 0.0.0.0"
            )
        if error.errno == errno.EAFNOSUPPORT:
            return (
                f"SYNAPSE_BIND_ADDRESSES contains {address}, but this container has no IPv6; "
                "remove it"
            )
        return f"port {port} of {address} cannot be opened: {error.strerror}"
    return ""


def listening_problems(documents: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return one line for each problem with binding the listeners' addresses in ``documents``.

    Only the process that is about to listen can check this: `check` may run in another container.
    """
    lines: dict[str, None] = {}
    for document in documents:
        for listener in document.get("listeners", []) + document.get("worker_listeners", []):
            for address in listener.get("bind_addresses", []):
                lines[_listening_problem(address, listener["port"])] = None
    return [line for line in lines if line]
