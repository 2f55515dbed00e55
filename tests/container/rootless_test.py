"""Ownership of /data in a rootless container, where user 991 is another user outside."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.bwrap import system_bwrap
from testbed.image import Image, as_root, container, entrypoint, read_image, unpack
from testbed.site import SQLITE, make_mounts

# A range as in /etc/subuid: user N inside is user _FIRST + N outside.
_FIRST, _COUNT = 200000, 65536
# Runs a command as a user in a user namespace with that range: _PROGRAM USER COMMAND...
_PROGRAM = f"""\
import ctypes, os, sys
user, command = int(sys.argv[1]), sys.argv[2:]
(ready, tell), (mapped, go) = os.pipe(), os.pipe()
child = os.fork()
if not child:
    if ctypes.CDLL(None, use_errno=True).unshare(0x10000000):  # CLONE_NEWUSER
        os._exit(99)
    os.write(tell, b".")
    os.read(mapped, 1)
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    os.execvp(command[0], command)
os.read(ready, 1)
for kind in ("gid", "uid"):
    with open(f"/proc/{{child}}/{{kind}}_map", "w") as file:
        file.write("0 {_FIRST} {_COUNT}")
os.write(go, b".")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may map a range of users")


@pytest.fixture(scope="module")
def image() -> Image:
    """Return the image."""
    return read_image(Path(os.environ["IMAGE"]))


@pytest.fixture(scope="module")
def folder(image: Image) -> Iterator[Path]:
    """Yield a folder, accessible to every user, with bwrap and a main process's root and data."""
    path = Path(tempfile.mkdtemp(dir="/tmp"))  # Every user can enter /tmp.
    try:
        path.chmod(0o755)
        unpack(image, path / "root")
        make_mounts(path, SQLITE)
        shutil.copy(system_bwrap(), path / "bwrap")
        yield path
    finally:
        subprocess.run(["rm", "-rf", path], check=True)


def own(folder: Path, user: int) -> None:
    """Make ``user`` the owner of what is mounted, and the only user who can read the files.

    Other users can still enter the folders: engines refuse to start a container whose working
    folder, /data, cannot be entered.
    """
    for mount in make_mounts(folder).values():
        for path in (mount, *mount.iterdir()):
            os.chown(path, user, user)
            path.chmod(0o755 if path.is_dir() else 0o400)


def check(image: Image, folder: Path, *, user: int | None) -> subprocess.CompletedProcess[str]:
    """Run ``check`` in a rootless container as ``user``, or as our own user mapped to 991."""
    mounts = make_mounts(folder)
    environ = {"SYNAPSE_WORKER": "synapse.app.homeserver"}
    inside = container(image, folder / "root", mounts, environ)
    inside = replace(inside, bwrap=(str(folder / "bwrap"),))
    if user == 0:
        inside = as_root(inside)
    command = inside.command(*entrypoint(image), "check")
    if user is not None:
        command = [sys.executable, "-c", _PROGRAM, str(user), *command]
    return subprocess.run(
        command,
        text=True,
        capture_output=True,
        check=False,
        timeout=120,
    )


def test_your_own_files_are_readable_when_you_are_991_inside(image: Image, folder: Path) -> None:
    """This is the mapping that podman makes for ``--userns=keep-id:uid=991,gid=991``."""
    own(folder, os.geteuid())
    done = check(image, folder, user=None)
    assert done.stdout.startswith("ok: synapse.app.homeserver"), done.stderr


@root_only
@pytest.mark.parametrize("user", [991, 0], ids=["user 991", "root"])
def test_files_of_the_ranges_user_are_readable(image: Image, folder: Path, user: int) -> None:
    """``podman unshare chown -R 991:991`` sets this owner; root inside becomes 991 too."""
    own(folder, _FIRST + 991)
    done = check(image, folder, user=user)
    assert done.stdout.startswith("ok: synapse.app.homeserver"), done.stderr


@root_only
@pytest.mark.parametrize("user", [991, 0], ids=["user 991", "root"])
@pytest.mark.parametrize("owner", [_FIRST, 1000], ids=["root's inside", "nobody's inside"])
def test_files_of_another_user_are_named(image: Image, folder: Path, user: int, owner: int) -> None:
    """Your own files belong to root inside; the message names the user that must read them."""
    own(folder, owner)
    done = check(image, folder, user=user)
    assert done.returncode == 2
    assert done.stderr == (
        "error: /data/homeserver.yaml: the configuration is not readable by uid 991; change its "
        "owner or mode\n"
    )
