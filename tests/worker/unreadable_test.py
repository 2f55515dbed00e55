"""Folders and files that cannot be read, by whole processes: one line each, soon, never a hang."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.site import PLANNED, make_data

SECONDS = 20  # Loading Synapse's parser is the longest part of any verb, and not reached here.


def run(data: Path, *verb: str, **variables: str) -> list[str]:
    """Run a verb as uid 991 without capabilities; return its lines, all of them errors."""
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
    """A /data where everything is right."""
    return make_data(tmp_path / "data", PLANNED)


@pytest.mark.parametrize("verb", ["start", "check", "print-config", "wait", "doctor", "generate"])
def test_an_unreadable_data_folder_is_named(data: Path, verb: str) -> None:
    """Docker makes the folder of a bind mount as root, with the umask of its daemon."""
    data.chmod(0o000)
    try:
        lines = run(data, verb, *(["pusher"] if verb == "doctor" else []))
    finally:
        data.chmod(0o700)
    reason = "cannot be written by uid 991" if verb == "generate" else "not readable for uid 991"
    assert reason in lines[0]
    assert str(data) in lines[0]


@pytest.mark.parametrize("mode", [0o000, 0o600])
def test_a_folder_beside_homeserver_yaml_may_be_unreadable(data: Path, mode: int) -> None:
    """The keys are often mounted apart; without x, nothing below can even be looked for."""
    config = data.parent / "homeserver.yaml"
    (data / "homeserver.yaml").rename(config)
    data.chmod(mode)
    try:
        lines = run(data, "wait", "1", SYNAPSE_CONFIG_PATH=str(config))
    finally:
        data.chmod(0o700)
    assert lines[0] == (
        f"error: {data}/signing.key: the signing key is not readable for uid 991; change its "
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
    """A FIFO waits for a writer, and /dev/zero fills the memory."""
    (data / name).unlink(missing_ok=True)
    make(data / name)
    secret = {"SYNAPSE_REPLICATION_SECRET_FILE": f"{data}/secret"} if name == "secret" else {}
    for verb in ("check", "start", "wait"):
        kind = "a FIFO" if make is _fifo else "a character device"
        (line,) = run(data, verb, **secret)
        assert line.endswith(f"{what} is {kind}; give a regular file")
        assert f"{data}/{name}" in line


def test_a_plan_without_an_end_is_refused_at_once(data: Path) -> None:
    """Both verbs that take a plan read it the same way."""
    _fifo(data / "plan")
    for verb in ("doctor", "prometheus"):
        assert run(data, verb, f"{data}/plan") == [
            f"error: {data}/plan: the plan is a FIFO; give a regular file"
        ]


def test_wait_takes_no_400_digits(data: Path) -> None:
    """The clock counts in 64 bits."""
    (line,) = run(data, "wait", "9" * 400)
    assert "is not a number of seconds from 1 to 86400; give one, for example 60" in line


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
    """With each verb that reads the environment."""
    arguments = ["pusher"] if verb == "doctor" else []
    lines = run(data, verb, *arguments, **{name: "/" + "a" * 5000})
    assert len(lines) >= 1
    assert any(name in line for line in lines), lines
    assert all(len(line) < 1000 for line in lines)
