"""A pin that does not build or is interrupted changes nothing in the workspace."""

import os
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from tests.pins.servers import REPOSITORY, GitServer
from tests.pins.workspace import NAME, TOOL, Workspace, wish


def start(workspace: Workspace, *arguments: str) -> subprocess.Popen[str]:
    """Start the tool in a process group of its own, which signals are sent to."""
    return subprocess.Popen(
        [str(TOOL), *arguments],
        env=workspace.environ(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def test_ctrl_c_leaves_nothing(workspace: Workspace, server: GitServer) -> None:
    """Ctrl-C changes nothing at any time, and is reported once the tool has printed a line."""
    before = workspace.state()
    for seconds in (None, 0, 1, 2.5):
        process = start(workspace, *wish(server, "--no-build"))
        assert process.stdout
        if seconds is None:
            # Python itself is still starting.
            time.sleep(0.1)
        else:
            assert process.stdout.readline() == f"pinning {REPOSITORY} main\n"
            time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
        if process.returncode == 0:
            # The tool finished before the signal.
            break
        changed = workspace.state() != before
        if changed:
            what = f"only config/pins/{NAME} was changed"
        else:
            what = "nothing was changed"
        if changed or seconds is not None:
            assert (process.returncode, said) == (130, f"error: interrupted; {what}\n")
        if changed:
            # It came after the last step.
            break


def test_ctrl_c_after_the_last_line(workspace: Workspace, server: GitServer) -> None:
    """Signals while Python exits do not kill the tool: it has finished, or reports what it kept."""
    process = start(workspace, *wish(server, "--no-build"))
    assert process.stdout
    for line in process.stdout:
        if line.startswith("  ./bazelw build image "):
            break
    # Until the process is gone: Python's own exit takes a few hundredths of a second.
    while process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.001)
    assert process.stderr
    assert (process.returncode, process.stderr.read()) in (
        (0, ""),
        (130, f"error: interrupted; only config/pins/{NAME} was changed\n"),
    )


def pin_and_build(workspace: Workspace, server: GitServer, script: str) -> subprocess.Popen[str]:
    """Start to pin and build main; ``script`` replaces bazelw, because there is no real build."""
    bazelw = workspace.folder / "bazelw"
    bazelw.write_text(f"#!/bin/sh\n{script}\n")
    bazelw.chmod(0o755)
    return start(workspace, *wish(server))


def test_a_pin_that_does_not_build_is_not_kept(workspace: Workspace, server: GitServer) -> None:
    """The message refers to Bazel's own output, and the pin is removed."""
    process = pin_and_build(workspace, server, "exit 1")
    _, said = process.communicate(timeout=120)
    assert (process.returncode, said) == (
        3,
        "error: ./bazelw build image failed: see above; nothing was changed, and --no-build keeps "
        "the pin\n",
    )
    assert not list((workspace.folder / "config/pins").iterdir())
    assert REPOSITORY not in workspace.table.read_text()


def test_a_pin_that_does_not_start_is_not_kept(workspace: Workspace, server: GitServer) -> None:
    """The message ends with the last lines of the log, which the starting test has saved."""
    outputs = workspace.folder.parent / "logs/tests/starts/starts_test/test.outputs"
    outputs.mkdir(parents=True)
    with zipfile.ZipFile(outputs / "outputs.zip", "w") as archive:
        archive.writestr("last_lines.txt", "main ended:\nAttributeError: 'super' object\n")
    script = f"""\
case "$*" in
  info*) echo {workspace.folder.parent}/logs ;;
  test*//tests/starts:starts_test) touch {outputs}/outputs.zip; exit 3 ;;
esac"""
    process = pin_and_build(workspace, server, script)
    words, said = process.communicate(timeout=120)
    assert (process.returncode, said) == (
        4,
        "error: the pin does not start; nothing was changed, and --no-build keeps the pin\n"
        "main ended:\nAttributeError: 'super' object\n",
    )
    assert "running: ./bazelw test" in words
    assert not list((workspace.folder / "config/pins").iterdir())
    assert REPOSITORY not in workspace.table.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_build_that_is_cut_off_leaves_nothing(
    workspace: Workspace, server: GitServer, number: signal.Signals, tmp_path: Path
) -> None:
    """Ctrl-C, a terminated job and a closed terminal all remove the pin during its build."""
    process = pin_and_build(workspace, server, f"touch {tmp_path}/building; exec sleep 100")
    deadline = time.monotonic() + 100
    while not (tmp_path / "building").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    assert REPOSITORY in workspace.table.read_text()
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "error: interrupted; nothing was changed\n")
    assert not list((workspace.folder / "config/pins").iterdir())
    assert REPOSITORY not in workspace.table.read_text()
