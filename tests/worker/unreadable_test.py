"""Tests that whole processes report unreadable folders and files in one line, and never hang."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.site import PLANNED, make_data

SECONDS = 20  # Loading Synapse's parser takes the longest in any verb, and is not reached here.


def run(data: Path, *verb: str, **variables: str) -> list[str]:
    """Run a verb as uid 991 without capabilities, expecting failure; return its error lines."""
    unshare = shutil.which("unshare")
    assert unshare, "unshare is not on PATH; install util-linux"
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": ":".join(path for path in sys.path if path),
        "SYNAPSE_DATA_DIR": str(data),
        "SYNAPSE_MEDIA_DIR": str(data.parent),
        "SYNAPSE_RUNTIME_DIR": str(data.parent),
        "SYNAPSE_WORKER": "synapse.app.homeserver",
        "SYNAPSE_SERVER_NAME": "example.com",
        "SYNAPSE_REPORT_STATS": "no",
    }
    begin = time.monotonic()
    program = [sys.executable, "-m", "worker", *verb]
    done = subprocess.run(
        [unshare, "--user", "--map-user=991", "--map-group=991", *program],
        env=environ | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    if done.stderr.startswith("unshare: "):
        pytest.skip(f"no user namespace here: {done.stderr.strip()}")
    assert time.monotonic() - begin < SECONDS
    lines = done.stderr.splitlines()
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (1, 2), done.stderr
    assert all(line.startswith(("error: ", "warning: ", "unhealthy: ")) for line in lines), lines
    return [line for line in lines if not line.startswith("warning: ")]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a valid /data folder."""
    return make_data(tmp_path / "data", PLANNED)


@pytest.mark.parametrize("verb", ["start", "check", "print-config", "wait", "doctor", "generate"])
def test_an_unreadable_data_folder_is_named(data: Path, verb: str) -> None:
    """Docker creates the folder of a bind mount as root, with the umask of its daemon."""
    data.chmod(0o000)
    try:
        lines = run(data, verb, *(["pusher"] if verb == "doctor" else []))
    finally:
        data.chmod(0o700)
    reason = "is not writable by uid 991" if verb == "generate" else "not readable by uid 991"
    assert reason in lines[0]
    assert str(data) in lines[0]


@pytest.mark.parametrize("mode", [0o000, 0o600])
def test_a_folder_beside_homeserver_yaml_may_be_unreadable(data: Path, mode: int) -> None:
    """Keys are often mounted separately; without execute permission, they cannot be looked up."""
    config = data.parent / "homeserver.yaml"
    (data / "homeserver.yaml").rename(config)
    data.chmod(mode)
    try:
        lines = run(data, "wait", "1", SYNAPSE_CONFIG_PATH=str(config))
    finally:
        data.chmod(0o700)
    assert lines[0] == (
        f"error: {data}/signing.key: the signing key is not readable by uid 991; change its "
        "owner or mode"
    )


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [_fifo, _zero])
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("homeserver.yaml", "the configuration"),
        ("signing.key", "the signing key"),
        ("tls.crt", "the TLS certificate"),
        ("tls.key", "the TLS key"),
        ("secret", "the replication secret"),
    ],
)
def test_a_file_without_an_end_is_refused_at_once(
    data: Path, name: str, what: str, make: Callable[[Path], None]
) -> None:
    """Reading a FIFO would wait for a writer, and reading /dev/zero would fill the memory."""
    (data / name).unlink(missing_ok=True)
    make(data / name)
    secret = {"SYNAPSE_REPLICATION_SECRET_FILE": f"{data}/secret"} if name == "secret" else {}
    for verb in ("check", "start", "wait"):
        kind = "a FIFO" if make is _fifo else "a character device"
        (line,) = run(data, verb, **secret)
        assert line.endswith(f"{what} is {kind}; use a regular file")
        assert f"{data}/{name}" in line


def test_a_plan_without_an_end_is_refused_at_once(data: Path) -> None:
    """All verbs that take a plan read it the same way."""
    _fifo(data / "plan")
    for verb in ("doctor", "prometheus", "alerts", "dashboard"):
        assert run(data, verb, f"{data}/plan") == [
            f"error: {data}/plan: the plan is a FIFO; use a regular file"
        ]


def test_wait_takes_no_400_digits(data: Path) -> None:
    """The number is rejected, since the clock counts in 64 bits."""
    (line,) = run(data, "wait", "9" * 400)
    assert "is not a number of seconds from 1 to 86400; use one, for example 60" in line


@pytest.mark.parametrize(
    "name",
    [
        "SYNAPSE_CONFIG_PATH",
        "SYNAPSE_DATA_DIR",
        "SYNAPSE_MEDIA_DIR",
        "SYNAPSE_RUNTIME_DIR",
        "SYNAPSE_UNIX_SOCKETS",
        "SYNAPSE_REPLICATION_SECRET_FILE",
    ],
)
@pytest.mark.parametrize("verb", ["start", "generate", "healthcheck", "doctor"])
def test_a_path_that_is_too_long_is_named(data: Path, name: str, verb: str) -> None:
    """Each verb that reads the environment names the variable."""
    arguments = ["pusher"] if verb == "doctor" else []
    lines = run(data, verb, *arguments, **{name: "/" + "a" * 5000})
    assert len(lines) >= 1
    assert any(name in line for line in lines), lines
    assert all(len(line) < 1000 for line in lines)


@pytest.mark.parametrize("mode", [0o100, 0o500, 0o600])
def test_a_folder_needs_each_of_its_rights(data: Path, mode: int) -> None:
    """The permissions to list, write and enter the folder are each required where they are used."""
    folder = data.parent / "folder"
    folder.mkdir(mode=mode)
    lines = run(
        data,
        "print-config",
        SYNAPSE_MEDIA_DIR=str(folder),
        SYNAPSE_MODULES_DIR=str(folder),
        SYNAPSE_UNIX_SOCKETS=str(folder),
    )
    modules = (
        f"error: SYNAPSE_MODULES_DIR={folder} is not a folder that uid 991 can read; mount one "
        "there, or unset the variable"
    )
    others = [
        f"error: {folder}: uid 991 cannot write media here; mount a folder that it owns",
        f"error: {folder}: uid 991 cannot create Unix sockets here; mount a folder that it can "
        "write to",
    ]
    assert lines == {0o100: [modules, *others], 0o500: others, 0o600: [modules, *others]}[mode]


@pytest.mark.parametrize(("mode", "written"), [(0o500, False), (0o600, False), (0o700, True)])
def test_generate_needs_a_folder_that_it_can_write_and_enter(
    data: Path, mode: int, written: bool
) -> None:
    """Otherwise, `generate` stops before it writes anything."""
    folder = data.parent / "folder"
    folder.mkdir(mode=mode)
    (data / "homeserver.yaml").unlink()
    lines = run(data, "generate", SYNAPSE_DATA_DIR=str(folder), SYNAPSE_REPORT_STATS="maybe")
    assert (len(lines) == 1) is written
    if not written:
        assert lines[1] == (
            f"error: {folder} is not writable by uid 991; mount a folder that it owns"
        )
    assert list(folder.iterdir()) == []


def test_a_program_is_no_folder_of_modules(data: Path) -> None:
    """A program can be read and executed, but Python would find no modules in it."""
    program = data.parent / "program"
    program.touch(mode=0o700)
    assert run(data, "print-config", SYNAPSE_MODULES_DIR=str(program)) == [
        f"error: SYNAPSE_MODULES_DIR={program} is not a folder that uid 991 can read; mount one "
        "there, or unset the variable"
    ]


def test_a_password_file_that_its_owner_cannot_read_is_named(data: Path) -> None:
    """libpq would continue without a password, and PostgreSQL would refuse the connection."""
    passfile = data / "passfile"
    passfile.touch(mode=0o000)
    args = f"{{host: postgres, user: synapse, dbname: synapse, passfile: {passfile}}}"
    with (data / "homeserver.yaml").open("a") as file:
        file.write("databases:\n  main:\n    name: psycopg2\n    data_stores: [main, state]\n")
        file.write(f"    args: {args}\n")
    assert run(data, "print-config") == [
        f"error: homeserver.yaml: databases.main.args.passfile={passfile}: libpq ignores it: uid "
        "991 cannot read it; give uid 991 a copy with mode 0600, or set "
        "SYNAPSE_DATABASE_PASSWORD_FILE"
    ]
