"""When started as root, the entrypoint switches to UID:GID and keeps no privileges."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_PROGRAM = """\
import os, sys
from worker.errors import ConfigError
from worker.launch import drop_rights
from worker.settings import parse
settings = parse(os.environ)
try:
    print(drop_rights(settings))
except ConfigError as error:
    sys.exit("error: " + error.problems[0])
with open("/proc/self/status") as status:
    lines = dict(line.split(":", 1) for line in status)
print(os.environ["HOME"])
print(*(" ".join(lines[name].split()) for name in ("Uid", "Gid", "Groups", "CapEff")), sep=";")
try:
    os.setuid(0)
except PermissionError:
    print("cannot go back")
"""


def run(*prefix: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Drop privileges in a separate process."""
    paths = [path for path in sys.path if path]
    return subprocess.run(
        [*prefix, sys.executable, "-c", _PROGRAM],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ":".join(paths),
            "SYNAPSE_WORKER": "synapse.app.homeserver",
            **variables,
        },
        text=True,
        capture_output=True,
        check=False,
    )


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@root_only
def test_root_becomes_the_user_and_cannot_go_back() -> None:
    """Supplementary groups and capabilities are dropped as well."""
    done = run(UID="1234", GID="4321")
    assert done.stdout.splitlines() == [
        "[]",
        "/synapse_runtime/home",
        "1234 1234 1234 1234;4321 4321 4321 4321;;0000000000000000",
        "cannot go back",
    ], done.stderr


@root_only
def test_groups_of_the_engine_go_with_roots_rights() -> None:
    """`--group-add` is meant for the container's user, and root's groups can open root's files."""
    done = run("setpriv", "--groups=5,6", UID="1234", GID="4321")
    assert ";4321 4321 4321 4321;;" in done.stdout, done.stderr


@root_only
def test_root_without_the_right_says_how_to_start() -> None:
    """`--cap-drop ALL` conflicts with starting as root."""
    done = run("setpriv", "--bounding-set=-all", "--inh-caps=-all", UID="1234", GID="4321")
    assert done.stderr == (
        "error: started as root without permission to switch to 1234:4321; start the container "
        "with "
        "--user 1234:4321\n"
    )


def test_an_ordinary_user_is_told_that_uid_is_not_used() -> None:
    """An operator who sets UID expects it to have an effect."""
    done = run("unshare", "--user", "--map-user=77", "--map-group=77", UID="1234")
    assert done.stdout.splitlines()[0] == (
        "['UID=1234 is ignored: started as uid 77, not as root']"
    ), done.stderr


# The new user cannot read this test's Python files, so every module is imported beforehand.
_HEALTHCHECK = """\
import encodings.idna, encodings.utf_8_sig, os, sys
import worker.files, worker.health, worker.probes, worker.redaction
from worker.__main__ import main
code = main(["healthcheck", *sys.argv[1:]], os.environ)
print(os.getuid(), os.getgid(), os.getgroups(), code)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Yield a folder that every user can reach, unlike those below root's home."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@root_only
@pytest.mark.parametrize("ready", [[], ["--ready"]], ids=["plain", "--ready"])
def test_healthcheck_drops_rights_before_it_reads(ready: list[str], open_folder: Path) -> None:
    """Root without CAP_DAC_OVERRIDE cannot read files that are private to Synapse's user."""
    runtime = open_folder / "runtime"
    runtime.mkdir()
    (runtime / "homeserver.yaml").write_text("database: {name: sqlite3}\n")
    for path in (runtime, runtime / "homeserver.yaml"):
        os.chown(path, 1234, 4321)
        path.chmod(0o700)
    only = "-all,+setuid,+setgid"
    command = ["setpriv", f"--bounding-set={only}", f"--inh-caps={only}"]
    paths = [path for path in sys.path if path]
    done = subprocess.run(
        [*command, sys.executable, "-c", _HEALTHCHECK, *ready],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ":".join(paths),
            "SYNAPSE_WORKER": "synapse.app.homeserver",
            "SYNAPSE_BIND_ADDRESSES": "127.9.9.9",
            "SYNAPSE_RUNTIME_DIR": str(runtime),
            "UID": "1234",
            "GID": "4321",
        },
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.stdout == "1234 4321 [] 1\n", done.stderr
    assert done.stderr == (
        "unhealthy: synapse.app.homeserver at 127.9.9.9 port 8080 does not answer: "
        "Connection refused\n"
    )
