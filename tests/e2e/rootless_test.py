"""Who must own /data in a rootless container, where user 991 is another user outside."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.image import Image, enter, entrypoint, read_image, unpack
from cluster.site import SQLITE, make_data

# As of /etc/subuid: user N inside is user _FIRST + N outside.
_FIRST, _COUNT = 200000, 65536
# Runs a command as a user inside of a user namespace with that range: _PROGRAM USER COMMAND...
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
    """The image."""
    return read_image(Path(os.environ["IMAGE"]))


@pytest.fixture(scope="module")
def folder(image: Image) -> Iterator[Path]:
    """The root and data of a main process, and bwrap, where every user may reach them."""
    path = Path(tempfile.mkdtemp(dir="/tmp"))  # No other folder is sure to be everyone's.
    try:
        path.chmod(0o755)
        unpack(image, path / "root")
        make_data(path / "data", SQLITE)
        bwrap = shutil.which("bwrap")
        assert bwrap
        shutil.copy(bwrap, path / "bwrap")
        for name in ("synapse_media", "synapse_runtime"):
            (path / name).mkdir()
        yield path
    finally:
        subprocess.run(["rm", "-rf", path], check=True)


def own(folder: Path, user: int) -> None:
    """Give what is mounted to ``user``; nobody else may read its files.

    The folder may be entered: engines refuse to start where the working folder, /data, may not.
    """
    for name in ("data", "synapse_media", "synapse_runtime"):
        for path in (folder / name, *(folder / name).iterdir()):
            os.chown(path, user, user)
            path.chmod(0o755 if path.is_dir() else 0o400)


def check(image: Image, folder: Path, *, user: int | None) -> subprocess.CompletedProcess[str]:
    """Run ``check``: in a rootless container as ``user``, or as our own user, who is 991 inside."""
    mounts = {f"/{name}": folder / name for name in ("data", "synapse_media", "synapse_runtime")}
    environ = {"SYNAPSE_WORKER": "synapse.app.homeserver"}
    command = enter(image, folder / "root", mounts, environ)
    command[0] = str(folder / "bwrap")
    if user == 0:
        first = command.index("--unshare-user")
        del command[first : first + 5]
        rights = command.index("--cap-drop") + 2
        command[rights:rights] = ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    if user is not None:
        command = [sys.executable, "-c", _PROGRAM, str(user), *command]
    return subprocess.run(
        [*command, *entrypoint(image), "check"],
        text=True,
        capture_output=True,
        check=False,
        timeout=120,
    )


def test_your_own_files_are_readable_when_you_are_991_inside(image: Image, folder: Path) -> None:
    """What podman makes of ``--userns=keep-id:uid=991,gid=991``."""
    own(folder, os.geteuid())
    done = check(image, folder, user=None)
    assert done.stdout.startswith("ok: synapse.app.homeserver"), done.stderr


@root_only
@pytest.mark.parametrize("user", [991, 0], ids=["user 991", "root"])
def test_files_of_the_ranges_user_are_readable(image: Image, folder: Path, user: int) -> None:
    """After ``podman unshare chown -R 991:991``; root of the container becomes 991 as well."""
    own(folder, _FIRST + 991)
    done = check(image, folder, user=user)
    assert done.stdout.startswith("ok: synapse.app.homeserver"), done.stderr


@root_only
@pytest.mark.parametrize("user", [991, 0], ids=["user 991", "root"])
@pytest.mark.parametrize("owner", [_FIRST, 1000], ids=["root's inside", "nobody's inside"])
def test_files_of_another_user_are_named(image: Image, folder: Path, user: int, owner: int) -> None:
    """Your own folder is root's inside; the line says which user would have to read it."""
    own(folder, owner)
    done = check(image, folder, user=user)
    assert done.returncode == 2
    assert done.stderr == (
        "error: /data/homeserver.yaml: the configuration is not readable for uid 991; change its "
        "owner or mode\n"
    )
