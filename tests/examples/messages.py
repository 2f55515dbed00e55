"""A message through a homeserver whose commands run on a `Machine`."""

from testbed.engine import run_commands
from testbed.machine import Machine

# The program that creates an account, for the container of main.
REGISTER = (
    "register_new_matrix_user --config /data/homeserver.yaml --user ann --password secret "
    "--no-admin http://localhost:8008"
)
_LOG_IN = r"""
value() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
api="$URL/_matrix/client/v3"
call() { curl -sS --fail-with-body "$api/$1" -H "Authorization: Bearer $token" "${@:2}"; }
user='{"type": "m.id.user", "user": "ann"}'
login='{"type": "m.login.password", "identifier": '$user', "password": "secret"}'
token=$(curl -sS --fail-with-body "$api/login" -d "$login" | value access_token)
"""
_SEND = """\
room=$(call createRoom -d '{}' | value room_id)
message='{"msgtype": "m.text", "body": "'$BODY'"}'
call "rooms/$room/send/m.room.message/1" -X PUT -d "$message"
"""
_READ = 'call sync | grep -o "$BODY"\n'


def send(machine: Machine, url: str, body: str) -> None:
    """Send a message to a new room as ann, and read it.

    Raises:
        AssertionError: if a request fails, or the answer of the sync lacks the message.
    """
    run_commands(machine, _LOG_IN + _SEND + _READ, environ={"URL": url, "BODY": body})


def read(machine: Machine, url: str, body: str) -> None:
    """Read a message that was sent earlier.

    Raises:
        AssertionError: if a request fails, or the answer of the sync lacks the message.
    """
    run_commands(machine, _LOG_IN + _READ, environ={"URL": url, "BODY": body})
