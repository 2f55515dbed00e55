"""The containers of a plan: what each process of a homeserver needs from a container engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploy.monitored import Monitored
from deploy.routing import MAIN, Routing
from deploy.synapse import START_SECONDS, THREADS

_PODMAN_PIDS_LIMIT = 2048
SERVICES = ("postgres", "redis", "proxy")  # Containers besides those of the plan.


def most_replicas(replicas: int) -> int:
    """Return the most containers that an engine may start instead of ``replicas``."""
    return max(10, 2 * replicas)


@dataclass(frozen=True)
class Member:
    """One of several processes that run in one container.

    Attributes:
        name: its ``worker_name``, or ``main``.
        metrics_port: the port of its metrics.
        labels: the labels that distinguish it for Prometheus.
    """

    name: str
    metrics_port: int
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Container:
    """One process of Synapse as a container, or all processes at one host.

    Attributes:
        name: the ``worker_name`` of its process, or ``main``; with several processes, ``main`` if
            that is one of them, and otherwise ``workers``.
        runs: its worker types, joined by ``+``; "the main process" for main; or how many processes.
        host: the host at which the other processes reach it.
        environ: the variables that only this process gets.
        ports: the ports at which others reach it: for clients and federation, and for replication.
        media: whether it needs the folder of the media.
        entry: the name that it has in common with the other workers of its entry in the plan.
        replicas: how many containers the engine is to start, each of which is named after its own
            host name; 0 for a single container with the name of the worker.
        members: the processes of a container that forks them from one parent; otherwise empty.
    """

    name: str
    runs: str
    host: str
    environ: Mapping[str, str]
    ports: tuple[int, ...]
    media: bool
    entry: str = ""
    replicas: int = 0
    members: tuple[Member, ...] = ()

    @property
    def is_main(self) -> bool:
        """Whether it is the main process, or runs it among others."""
        return MAIN in self.processes

    @property
    def processes(self) -> tuple[str, ...]:
        """The names of its processes."""
        return tuple(one.name for one in self.members) or (self.name,)

    @property
    def pids_limit(self) -> int:
        """How many process IDs it needs, or 0 if podman's default is enough.

        Each thread needs one; the default is 2,048 (podman-run(1), --pids-limit).
        """
        needed = THREADS * len(self.processes)
        return needed if needed > _PODMAN_PIDS_LIMIT else 0

    @property
    def own_host(self) -> bool:
        """Whether its host is the name of its process rather than a machine."""
        return self.host == self.processes[0]


@dataclass(frozen=True)
class Deployment:
    """All containers of a plan.

    Attributes:
        containers: the containers of Synapse, main first.
        environ: the variables that all of them get.
        wait_seconds: how long each of them waits for the services that it needs.
        ports: the ports of Synapse's containers, by what they serve.
        routing: the routes, for the proxy.
        monitored: what the alert rules need to know.
    """

    containers: Sequence[Container]
    environ: Mapping[str, str]
    wait_seconds: int
    ports: Mapping[str, int]
    routing: Routing
    monitored: Monitored

    @property
    def start_seconds(self) -> int:
        """How long each container may take to start, in seconds."""
        return self.wait_seconds + START_SECONDS

    @property
    def hosts(self) -> tuple[str, ...]:
        """The machines that the plan names, each once."""
        return tuple(dict.fromkeys(one.host for one in self.containers if not one.own_host))

    def at(self, host: str) -> tuple[Container, ...]:
        """Return the containers at one host; for "", those whose host is their own name."""
        return tuple(one for one in self.containers if (one.host == host if host else one.own_host))

    def has_main(self, host: str) -> bool:
        """Return whether the main process is at a host."""
        return any(one.is_main for one in self.at(host))
