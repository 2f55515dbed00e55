"""What every engine must know about the image to run a container of Synapse."""

UID = 991  # The user and group of the image.
_PROGRAM = ("python3", "-I", "/usr/lib/synapse-worker")
HEALTH = (*_PROGRAM, "healthcheck", "--ready")
DRAIN = (*_PROGRAM, "drain")
RESTART = (*_PROGRAM, "restart", "NAME")  # For one of several processes of a container.
# Synapse starts within two minutes after it has waited, unless it migrates a large database.
START_SECONDS = 120
DRAIN_SECONDS = 15
STOP_SECONDS = 30  # How long Synapse may take to stop after it has drained.
# How many threads a process may have, each of which counts as a process ID: 9 to 15 were measured,
# and its pools for the database and for files each grow to ten, or to what database.args sets.
THREADS = 64
# Folders whose contents may be lost: with a read-only root, they are in memory.
SCRATCH = ("/tmp", "/synapse_runtime")
PASSWORD = "database_password"  # The name of the secret, and of its file.
PASSWORD_PATH = f"/run/secrets/{PASSWORD}"
