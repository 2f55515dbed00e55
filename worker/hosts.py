"""Validates hosts, which are names or addresses, and formats them with and without a port."""

import ipaddress
import re

_MAX_NAME_LENGTH = (
    253  # Characters of a full name (RFC 1035 section 2.3.4), without the trailing dot.
)
# RFC 1123 section 2.1, plus the underscore, which container engines allow in names.
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_PORT = re.compile(r"(?:[^:]+|\[.*\]):[0-9]*")
_EXAMPLE = "for example synapse-main, 10.0.0.5 or fd00::5"


def unbracketed(host: str) -> str:
    """Return ``host`` as sockets and Synapse expect it: an IPv6 address without brackets."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def address(host: str, port: int) -> str:
    """Return ``host:port`` as in URLs and for Prometheus, with brackets around IPv6 addresses."""
    bare_host = unbracketed(host)
    return f"[{bare_host}]:{port}" if ":" in bare_host else f"{bare_host}:{port}"


def host_problem(host: str) -> str:
    """Return why no process can be reached at ``host``, or "" if it is valid.

    A host is a name (RFC 1123, with underscores), an IPv4 address of four numbers, or an IPv6
    address with or without brackets.  Text that inet_aton(3) reads as a number, such as ``1`` or
    ``10.5``, is rejected, since it would reach a different address than intended.

    Returns:
        The end of a sentence that starts with the host, with the remedy after a semicolon.
    """
    if "://" in host:
        return f"is a URL; use only the host, {_EXAMPLE}"
    bare_host = unbracketed(host)
    if ":" in bare_host or bare_host != host:
        return _ipv6_problem(bare_host, host)
    name = bare_host.removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _ip_problem(bare_host)
    if len(name) > _MAX_NAME_LENGTH:
        return (
            f"is not a host name: it has {len(name)} characters, but at most {_MAX_NAME_LENGTH} "
            "are allowed"
        )
    for label in labels:
        if not _LABEL.fullmatch(label):
            return (
                "is not a host name; use labels of at most 63 characters of A-Z a-z 0-9 _ -, "
                "separated by dots, without a scheme, port or path"
            )
    return ""


def _ipv6_problem(bare_host: str, host: str) -> str:
    try:
        ip = ipaddress.IPv6Address(bare_host)
    except ValueError:
        if _PORT.fullmatch(host):
            return f"has a port, but the port is fixed; use only the host, {_EXAMPLE}"
        return f"is not an IPv6 address; use one, or a name, {_EXAMPLE}"
    if ip.scope_id:
        return "has a zone, which is only valid on one machine; use a routable address or a name"
    return _reach_problem(ip)


def _ip_problem(bare_host: str) -> str:
    try:
        return _reach_problem(ipaddress.IPv4Address(bare_host))
    except ValueError:
        return (
            "is not an IPv4 address of four numbers from 0 to 255, and the last part of a host "
            "name cannot be a number; use one or the other, "
            f"{_EXAMPLE}"
        )


def _reach_problem(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if ip.is_unspecified or ip.is_multicast:
        return (
            "is not the address of a single host; use one at which other processes can reach it, "
            f"{_EXAMPLE}"
        )
    return ""
