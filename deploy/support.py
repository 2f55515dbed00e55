"""PostgreSQL and Redis beside Synapse: what their containers have in common in every engine.

Their images must start like the official ones (https://hub.docker.com/_/postgres and
https://hub.docker.com/_/redis).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.containers import Deployment, most_replicas
from deploy.synapse import PASSWORD_PATH

# A process of Synapse opens up to cp_max connections: five, or what homeserver.yaml says. Its
# documentation suggests ten.
_PROCESS_CONNECTIONS = 10
_OTHER_CONNECTIONS = 20  # For backups and administrators, and those that PostgreSQL reserves.


@dataclass(frozen=True)
class Support:
    """A service that Synapse needs.

    Attributes:
        uid: the user to run it as; 0 if it starts as root and changes its user itself.
        data: the folder of its data.
        health: a command that succeeds once it answers.
        command: its command line; empty for that of the image.
        environ: its variables.
        runtime: a folder for sockets and the like, which may be lost; "" if it needs none.
        stop_seconds: how long it may take to stop.
    """

    uid: int
    data: str
    health: tuple[str, ...]
    command: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    runtime: str = ""
    stop_seconds: int = 10


POSTGRES = Support(
    uid=0,
    data="/var/lib/postgresql/data",
    # Over TCP, since PostgreSQL answers on its socket even while it prepares its folder.
    health=("pg_isready", "-U", "synapse", "-h", "127.0.0.1"),
    environ={
        "POSTGRES_USER": "synapse",
        "POSTGRES_PASSWORD_FILE": PASSWORD_PATH,
        # Synapse requires this encoding and locale.
        "POSTGRES_INITDB_ARGS": "--encoding=UTF8 --locale=C",
    },
    runtime="/run/postgresql",
    stop_seconds=60,
)
REDIS = Support(
    uid=999,
    data="/data",
    health=("redis-cli", "ping"),
    # Nothing is kept: Synapse uses Redis only to pass messages on. In its protected mode, a Redis
    # without a password answers only its own host. An empty word after --save would mean the same,
    # but podman's generator of services drops it and all words after it.
    command=("redis-server", "--appendonly", "no", "--protected-mode", "no", "--save"),
)


def postgres_command(deployment: Deployment) -> tuple[str, ...]:
    """Return the command of PostgreSQL, with connections for all processes and replicas.

    Its default of 100 is used up by about 20 processes.
    """
    processes = sum(
        most_replicas(one.replicas) if one.replicas else len(one.processes)
        for one in deployment.containers
    )
    connections = _PROCESS_CONNECTIONS * processes + _OTHER_CONNECTIONS
    return ("postgres", "-c", f"max_connections={max(100, connections)}")
