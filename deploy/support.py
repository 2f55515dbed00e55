"""PostgreSQL and Redis beside Synapse: what their containers have in common in every engine.

Their images must start like the official ones (https://hub.docker.com/_/postgres and
https://hub.docker.com/_/redis).
"""

from deploy.containers import PASSWORD_PATH, Deployment, most_replicas

POSTGRES_DATA = "/var/lib/postgresql/data"
POSTGRES_RUNTIME = "/run/postgresql"
POSTGRES_ENVIRON = {
    "POSTGRES_USER": "synapse",
    "POSTGRES_PASSWORD_FILE": PASSWORD_PATH,
    # Synapse requires this encoding and locale.
    "POSTGRES_INITDB_ARGS": "--encoding=UTF8 --locale=C",
}
# Over TCP, since PostgreSQL answers on its socket even while it prepares its folder.
POSTGRES_HEALTH = ("pg_isready", "-U", "synapse", "-h", "127.0.0.1")
POSTGRES_STOP_SECONDS = 60
# A process of Synapse opens up to cp_max connections: five, or what homeserver.yaml says. Its
# documentation suggests ten.
_PROCESS_CONNECTIONS = 10
_OTHER_CONNECTIONS = 20  # For backups and administrators, and those that PostgreSQL reserves.
REDIS_UID = 999
REDIS_DATA = "/data"
# Nothing is kept: Synapse uses Redis only to pass messages on. In its protected mode, a Redis
# without a password answers only its own host. An empty word after --save would say the same, but
# podman's generator of services drops it and all words after it.
REDIS_COMMAND = ("redis-server", "--appendonly", "no", "--protected-mode", "no", "--save")
REDIS_HEALTH = ("redis-cli", "ping")


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
