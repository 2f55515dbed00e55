"""Each kind of failure has its own exit code, so that an engine can tell them apart."""

import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from testbed.site import WORKERS
from worker.__main__ import main


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return a worker's complete environment, in which no service answers."""
    # A test that runs as root must stay root, so that it can clean up.
    for module in ("__main__", "examination"):
        monkeypatch.setattr(f"worker.{module}.drop_rights", lambda _: [])
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    homeserver = yaml.safe_load(WORKERS)
    homeserver["database"]["args"] |= {"host": "127.0.0.1", "port": port}
    homeserver["redis"] |= {"host": "127.0.0.1", "port": port}
    for name in ("data", "runtime"):
        (tmp_path / name).mkdir()
    (tmp_path / "data/homeserver.yaml").write_text(yaml.safe_dump(homeserver))
    (tmp_path / "data/signing.key").write_text("ed25519 a_test " + "B" * 42 + "A\n")
    return {
        "SYNAPSE_WORKER": "synapse.app.pusher",
        "SYNAPSE_WORKER_NAME": "pusher1",
        "SYNAPSE_REPLICATION_HOST": "127.0.0.1",
        "SYNAPSE_DATA_DIR": str(tmp_path / "data"),
        "SYNAPSE_RUNTIME_DIR": str(tmp_path / "runtime"),
    }


@pytest.mark.parametrize("verb", [["wait", "1"], ["start"]], ids=" ".join)
def test_dependencies_that_do_not_answer_end_with_75(
    verb: list[str], environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Another start may succeed, so an engine should restart the container."""
    assert main(verb, environ | {"SYNAPSE_WAIT_SECONDS": "1"}) == 75
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 3, errors
    assert re.fullmatch(
        r"error: after 1 s: Redis at 127\.0\.0\.1 port \d+ does not answer: Connection refused",
        errors[1],
    )


@pytest.mark.parametrize("verb", ["start", "wait", "check", "print-config", "healthcheck"])
def test_wrong_settings_end_with_2(
    verb: str, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Another start would fail the same way, so an engine should not restart the container."""
    assert main([verb], environ | {"SYNAPSE_LOG_LEVEL": "loud"}) == 2
    assert "error: SYNAPSE_LOG_LEVEL='loud' is not a log level" in capsys.readouterr().err


def test_unhealthy_ends_with_1(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Container engines interpret exit code 1 as unhealthy."""
    assert main(["healthcheck"], environ | {"SYNAPSE_BIND_ADDRESSES": "127.9.9.9"}) == 1
    assert capsys.readouterr().err.startswith(
        "unhealthy: synapse.app.pusher at 127.9.9.9 port 8080 does not answer: "
    )


def test_check_without_a_temporary_folder_says_so(
    environ: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With a read-only root file system, there is one only where a tmpfs is mounted."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert main(["check"], environ) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: /tmp: Synapse's parser needs temporary files, but no temporary folder is writable "
        "by uid "
        f"{os.geteuid()}; mount a tmpfs there with mode 1777"
    )


@pytest.mark.parametrize(
    ("output", "code"), [("/dev/full", 74), ("/dev/null", 0)], ids=["full", "fine"]
)
@pytest.mark.parametrize("plan", ["pusher", "pusher:400"], ids=["at the end", "before"])
def test_output_that_cannot_be_written_ends_with_74(output: str, code: int, plan: str) -> None:
    """A truncated list of targets must not be mistaken for a complete one."""
    paths = ":".join(path for path in sys.path if path)
    with open(output, "w") as file:
        done = subprocess.run(
            [sys.executable, "-m", "worker.image_main", "prometheus", plan],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": paths},
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (code, "")


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    """Operators run commands such as `print-config | head -1`."""
    paths = ":".join(path for path in sys.path if path)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "worker.image_main", "prometheus", "pusher:400"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": paths},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert done.returncode == 141
    assert done.stderr == ""
