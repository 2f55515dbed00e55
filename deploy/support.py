"""PostgreSQL and Redis beside Synapse: what their containers have in common in every engine.

Their images must start like the official ones (https://hub.docker.com/_/postgres and
https://hub.docker.com/_/redis).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.synapse import PASSWORD_PATH


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
