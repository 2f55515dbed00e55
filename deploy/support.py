"""PostgreSQL and Redis beside Synapse: what their containers have in common in every engine.

Their images must start like the official ones (https://hub.docker.com/_/postgres and
https://hub.docker.com/_/redis).
"""

from deploy.containers import PASSWORD_PATH

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
REDIS_UID = 999
REDIS_DATA = "/data"
# Nothing is kept: Synapse uses Redis only to pass messages on. In its protected mode, a Redis
# without a password answers only its own host. An empty word after --save would say the same, but
# podman's generator of services drops it and all words after it.
REDIS_COMMAND = ("redis-server", "--appendonly", "no", "--protected-mode", "no", "--save")
REDIS_HEALTH = ("redis-cli", "ping")
