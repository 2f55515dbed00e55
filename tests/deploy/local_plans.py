"""Plans of workers at addresses of this machine, for real proxies."""

from collections.abc import Iterator
from itertools import count

from deploy.routing import Routing
from worker.routes import plan_routing
from worker.worker_types import WorkerType, load_table

_MAIN = "127.0.101.1"
_SHARDS = 3


def _serving() -> list[WorkerType]:
    return [worker_type for worker_type in load_table().types.values() if worker_type.resources]


def _addresses() -> Iterator[str]:
    return (f"127.0.{102 + number // 200}.{1 + number % 200}" for number in count())


def one_of_each() -> str:
    """Return a plan with one worker of each type that serves requests."""
    workers = zip(_serving(), _addresses(), strict=False)
    return ",".join(f"{worker_type.name}@{address}" for worker_type, address in workers)


def shards() -> str:
    """Return a plan with several workers of each type that may have several, or with one."""
    numbered = [
        (worker_type.name, number)
        for worker_type in _serving()
        for number in range(1, 1 + (_SHARDS if worker_type.many else 1))
    ]
    workers = zip(numbered, _addresses(), strict=False)
    return ",".join(f"{name}.{number}={name}@{address}" for (name, number), address in workers)


# The plans by name; in one, the processes that serve clients listen on Unix sockets.
SOCKETS = "a generic worker with sockets"
PLANS = {
    "one of each type": one_of_each(),
    "shards": shards(),
    "a generic worker": "generic_worker@127.0.102.1",
    SOCKETS: "generic_worker@127.0.102.1",
    "main alone": "",
}


def plan(name: str) -> Routing:
    """Return the routes of one of ``PLANS``; sockets are in /sockets."""
    variable = "SYNAPSE_UNIX_SOCKETS" if name == SOCKETS else "SYNAPSE_REPLICATION_HOST"
    return plan_routing({variable: "/sockets" if name == SOCKETS else _MAIN}, PLANS[name])


def worker_type(server: str) -> str:
    """Return the type of a worker of ``PLANS``; "" for main."""
    return "" if server == "main" else server.split(".")[0]
