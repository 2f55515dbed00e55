"""Reports the state of the container to systemd (sd_notify(3)), in place of its processes.

Synapse would report that it is ready, and that it is the main process of the unit.
"""

import os
import socket

_VARIABLE = "NOTIFY_SOCKET"
_address = ""


def take_over() -> None:
    """Keep the address for this process; Synapse reads the variable when it is imported."""
    global _address
    _address = os.environ.pop(_VARIABLE, "")


def notify(state: str) -> None:
    """Send ``state`` to systemd, if it asked for that."""
    if not _address:
        return
    path = "\0" + _address[1:] if _address.startswith("@") else _address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.setblocking(False)
            sending.sendto(state.encode(), path)
    except OSError:
        return
