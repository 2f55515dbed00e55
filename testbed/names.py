"""Runs a DNS server whose names can change, as those of containers do."""

import signal
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from testbed import services
from testbed.processes import Process


@dataclass(frozen=True)
class Names:
    """A DNS server for the domain ``test``.

    Attributes:
        process: the server.
        file: its names, in the format of hosts(5).
    """

    process: Process
    file: Path

    def set(self, addresses: Mapping[str, Iterable[str]]) -> None:
        """Give each name its addresses; a name that is missing has none any more."""
        lines = [f"{address} {name}" for name, several in addresses.items() for address in several]
        new = self.file.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in lines))
        new.replace(self.file)
        self.process.signal(signal.SIGHUP)


def start(root: Path, folder: Path, address: str) -> Names:
    """Start a DNS server without names; return it once it listens.

    Args:
        root: the services' root.
        folder: the folder for its state and log.
        address: the address where it listens, on port 53, where the system's resolver expects it.
    """
    state = folder / "dns"
    state.mkdir()
    (state / "names").touch()
    inside = services.container(root, state)
    inside = replace(inside, user=None, capabilities=("CAP_NET_BIND_SERVICE",))
    command = ["dnsmasq", "--no-daemon", f"--listen-address={address}", "--bind-interfaces"]
    command += ["--no-resolv", "--no-hosts", "--addn-hosts=/state/names", "--user="]
    # As container engines do, it says that a name has no IPv6 address; otherwise it would refuse.
    command += ["--local=/test/"]
    process = Process("dnsmasq", inside.command(*command), folder / "dns.log")
    process.start()

    def ready() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((address, 53)) == 0

    process.wait_until(ready)
    return Names(process, state / "names")
