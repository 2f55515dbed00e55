"""What the parent is to run, as the entrypoint hands it over in a file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MAIN = "main"  # The name of the main process here; no worker may have this name.
CONTROL_SOCKET = "control.sock"  # In the runtime folder of the container.


@dataclass(frozen=True)
class Address:
    """Where a process listens.

    Attributes:
        path: the path of its Unix socket; "" if it listens on a port.
        host: the IP address; "" with a socket.
        port: the port; 0 with a socket.
    """

    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        """Return the address for messages."""
        return self.path or f"{self.host} port {self.port}"


@dataclass(frozen=True)
class ProcessSpec:
    """One Synapse process.

    Attributes:
        name: its name in the plan; ``main`` for the main process.
        app: the module whose function ``main`` runs it.
        arguments: its command line, without the name of the program.
        folder: the folder for its rendered files, in which the file ``draining`` marks a drain.
        health: where it answers ``/health``.
        metrics: where it serves its metrics.
        sockets: the paths of the Unix sockets that it makes.
        cpus: the CPUs that it may use; empty for those of the container.
        oom_score: what is added to the ``oom_score_adj`` of the container.
        labels: its labels for Prometheus.
    """

    name: str
    app: str
    arguments: tuple[str, ...]
    folder: str
    health: Address
    metrics: Address
    sockets: tuple[str, ...]
    cpus: tuple[int, ...]
    oom_score: int
    labels: Mapping[str, str]


@dataclass(frozen=True)
class ContainerSpec:
    """All Synapse processes of one container.

    Attributes:
        processes: the processes; the main process, if it is among them, is the first.
        folder: the runtime folder of the container, with the control socket.
        bind_addresses: the addresses at which the parent answers questions about health.
        port: the port for that.
        log_json: whether log lines are JSON.
        modules_dir: a folder with Synapse modules, or "".
    """

    processes: tuple[ProcessSpec, ...]
    folder: str
    bind_addresses: tuple[str, ...]
    port: int
    log_json: bool
    modules_dir: str

    @property
    def control_path(self) -> Path:
        """The path of the control socket."""
        return Path(self.folder) / CONTROL_SOCKET


def dumps(spec: ContainerSpec) -> str:
    """Return ``spec`` as JSON."""
    return json.dumps(asdict(spec), indent=1)


def loads(text: str) -> ContainerSpec:
    """Return the spec that ``dumps`` wrote."""
    document: dict[str, Any] = json.loads(text)
    processes = tuple(_process(entry) for entry in document.pop("processes"))
    addresses = tuple(document.pop("bind_addresses"))
    return ContainerSpec(processes=processes, bind_addresses=addresses, **document)


def _process(document: dict[str, Any]) -> ProcessSpec:
    values = dict(document)
    for name in ("arguments", "sockets", "cpus"):
        values[name] = tuple(values[name])
    for name in ("health", "metrics"):
        values[name] = Address(**values[name])
    return ProcessSpec(**values)
