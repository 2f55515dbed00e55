"""What an administrator can choose about the proxy; everything else follows from the plan."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

_PATH = re.compile(r"/[A-Za-z0-9_.@+/-]{0,4000}")
_MAX_SHOWN = 100  # The characters of a value that a message repeats.
_OWN_PORT = 8097  # Of the requests that a proxy sends to itself.
_NUMBER = re.compile("[0-9]{1,6}")


@dataclass(frozen=True)
class Options:
    """The choices for a proxy's configuration.

    Attributes:
        address: the IP address to listen on, without brackets; "" for all.
        client_port: the port for clients, with TLS.
        federation_port: the port for other homeservers, with TLS.
        plain_port: a port without TLS for both, behind a load balancer that terminates TLS; 0 for
            none.
        certificate: the path of the certificate chain, as the proxy sees it.
        key: the path of its key.
        max_body_mib: the largest request body, in MiB; Synapse's ``max_upload_size`` is 50M.
        resolver: the address of the DNS server for nginx, which does not read /etc/resolv.conf.
        hold_seconds: how long a request waits for a process that is restarted, in seconds.
        script: the path, as the proxy sees it, of the script that finds the users of access tokens
            that do not contain them; "" for none.
        include: the part of the configuration to print for inclusion in another one; "" for all.
        trusts_peer: whether another proxy passes all requests on, and says for whom in
            X-Forwarded-For and X-Forwarded-Proto; only for HAProxy.
    """

    address: str = ""
    client_port: int = 443
    federation_port: int = 8448
    plain_port: int = 0
    certificate: str = "/etc/synapse/tls.crt"
    key: str = "/etc/synapse/tls.key"
    max_body_mib: int = 50
    resolver: str = "127.0.0.11"
    hold_seconds: int = 30
    script: str = ""
    include: str = ""
    trusts_peer: bool = False

    @property
    def own_address(self) -> str:
        """The loopback address and port at which a proxy listens for its own requests."""
        import ipaddress  # Only here, since it takes longer to import than `healthcheck` may last.

        is_loopback = self.address and ipaddress.ip_address(self.address).is_loopback
        return f"{bracketed(self.address) if is_loopback else '127.0.0.1'}:{_OWN_PORT}"


def bracketed(address: str) -> str:
    """Return an IP address as it is written before a port."""
    return f"[{address}]" if ":" in address else address


# Maps each option to its description for the help.
HELP = {
    "address": "the IP address to listen on; the default is all addresses",
    "client_port": "the port for clients, with TLS; the default is 443",
    "federation_port": "the port for other homeservers, with TLS; the default is 8448",
    "plain_port": "a port without TLS, for a load balancer that terminates it; the default is none",
    "certificate": "the path of the certificate chain; the default is /etc/synapse/tls.crt",
    "key": "the path of its key; the default is /etc/synapse/tls.key",
    "max_body_mib": "the largest request body, in MiB; the default is 50",
    "resolver": "the DNS server for nginx; the default is Docker's, 127.0.0.11",
    "hold_seconds": "how many seconds a request waits for a process; the default is 30",
    "script": "the path of the script that looks up the users of access tokens that do not contain "
    "them, such as those of Matrix Authentication Service; the default is none",
    "include": "print only this part, for inclusion in a configuration of your own",
}
# The smallest and the largest value of each number.
_RANGES = {
    "client_port": (1, 65535),
    "federation_port": (1, 65535),
    "plain_port": (0, 65535),
    "max_body_mib": (1, 100_000),
    "hold_seconds": (5, 300),
}


def flag(name: str) -> str:
    """Return the name of an option on the command line."""
    return f"--{name.replace('_', '-')}"


def checked(
    options: type, values: Mapping[str, str], problem: Callable[[str, str], str]
) -> tuple[dict[str, str], list[str]]:
    """Return the valid values by name, and a line for each one that is not.

    Args:
        options: the dataclass whose fields are the options, in the order of the lines.
        values: the values by name, as on the command line; other names are ignored.
        problem: returns what is wrong with the value of an option, and what would be right, or "".
    """
    problems = []
    valid = {}
    for field in fields(options):
        if field.name not in values:
            continue
        text = values[field.name]
        wrong = problem(field.name, text)
        if wrong:
            cut = "..." if len(text) > _MAX_SHOWN else ""
            problems.append(f"{flag(field.name)}={text[:_MAX_SHOWN]!r}{cut} {wrong}")
        else:
            valid[field.name] = text
    return valid, problems


def _problem(name: str, text: str) -> str:
    """Return what is wrong with the value of an option, and what would be right, or ""."""
    if name in _RANGES:
        low, high = _RANGES[name]
        if not _NUMBER.fullmatch(text) or not low <= int(text) <= high:
            return f"is not a number from {low} to {high}; use one"
    elif name in ("address", "resolver"):
        import ipaddress  # Only here, since it takes longer to import than `healthcheck` may last.

        try:
            ipaddress.ip_address(text)
        except ValueError:
            return "is not an IP address; use one, such as 192.0.2.1"
        if "%" in text:
            return "has a zone; use an address without one"
    elif name in ("certificate", "key", "script") and not _PATH.fullmatch(text):
        return (
            "is not an absolute path of letters, digits and the characters . _ @ + - /; use one, "
            f"such as {getattr(Options, name) or '/etc/synapse/users'}"
        )
    return ""


def parse_options(values: Mapping[str, str]) -> tuple[Options, list[str]]:
    """Return the options, and a line for each value that is invalid.

    Args:
        values: the values by name, as on the command line; those that are missing keep their
            defaults. ``include`` is not checked, since its values depend on the format.
    """
    texts, problems = checked(Options, values, _problem)
    valid: dict[str, Any] = {
        name: int(text) if name in _RANGES else text for name, text in texts.items()
    }
    options = Options(**valid)
    ports = [
        port for port in (options.client_port, options.federation_port, options.plain_port) if port
    ]
    problems += [
        f"{flag(name)}={_OWN_PORT} is the port for the proxy's own requests; use another one"
        for name in ("client_port", "federation_port", "plain_port")
        if valid.get(name) == _OWN_PORT
    ]
    if not problems and len(set(ports)) < len(ports):
        problems.append(
            f"--client-port={options.client_port}, --federation-port={options.federation_port} and "
            f"--plain-port={options.plain_port} are not all different; use three different ports"
        )
    return options, problems
