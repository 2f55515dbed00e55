"""Users of a `Machine`, and logins over SSH, with which systemd starts the services of a user."""

import shlex

from testbed.machine import Machine

USER = "matrix"  # A user without privileges.
_UID = 1000
# Debian's own scripts do this when the packages are installed.
_SETUP = """\
echo sshd:x:103:65534::/run/sshd:/usr/sbin/nologin >> /etc/passwd
printf 'UsePAM yes\\nPasswordAuthentication no\\n' > /etc/ssh/sshd_config
ssh-keygen -A > /dev/null
ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519
printf 'StrictHostKeyChecking accept-new\\nLogLevel ERROR\\n' > ~/.ssh/config
systemctl enable --now --quiet ssh
"""
_ADD_USER = """\
echo {user}:x:{uid}:{uid}::/home/{user}:/usr/bin/bash >> /etc/passwd
echo {user}:x:{uid}: >> /etc/group
echo {user}:100000:65536 | tee /etc/subuid > /etc/subgid
install -d -m 700 -o {uid} -g {uid} /home/{user}
"""
_ALLOW = """\
install -d -m 700 -o {user} {home}/.ssh
echo {key} >> {home}/.ssh/authorized_keys
"""


def start_sshd(machine: Machine) -> None:
    """Start the SSH server, and make a key for root."""
    machine.run(_SETUP)


def allow(client: Machine, server: Machine, user: str = "root") -> None:
    """Let root of one machine log in as a user of another one."""
    key = client.run("cat ~/.ssh/id_ed25519.pub").stdout.strip()
    home = "/root" if user == "root" else f"/home/{user}"
    server.run(_ALLOW.format(user=user, home=home, key=shlex.quote(key)))


def add_user(machine: Machine) -> None:
    """Make the user `USER`, who can use 65,536 more user IDs, and let root log in as it."""
    machine.run(_ADD_USER.format(user=USER, uid=_UID))
    allow(machine, machine, USER)


def logged_in(script: str) -> str:
    """Return a script that logs in as `USER` and runs ``script`` there."""
    return f"ssh {USER}@localhost -- {shlex.quote(f'bash -euo pipefail -c {shlex.quote(script)}')}"
