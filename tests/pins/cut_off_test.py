"""What does not build, or is cut off, leaves everything as it was."""

import os
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from tests.pins.servers import REPOSITORY, GitServer
from tests.pins.workspace import TOOL, Workspace, wish


def test_ctrl_c_leaves_nothing(workspace: Workspace, server: GitServer) -> None:
    """Whenever it comes; and from the tool's first line on, it says so."""
    before = workspace.state()
    for seconds in (None, 0, 1, 2.5):
        process = subprocess.Popen(
            [str(TOOL), *wish(server, "--no-build")],
            env=workspace.environ(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout
        if seconds is None:
            # Python itself still starts.
            time.sleep(0.1)
        else:
            assert process.stdout.readline() == f"pinning {REPOSITORY} main\n"
            time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
        if process.returncode == 0:
            # It was done before.
            break
        assert workspace.state() == before
        if seconds is not None:
            assert (process.returncode, said) == (130, "error: interrupted; nothing was changed\n")


def pin_and_build(workspace: Workspace, server: GitServer, script: str) -> subprocess.Popen[str]:
    """Pin main and build it; ``script`` stands for bazelw, which has nothing to build here."""
    bazelw = workspace.folder / "bazelw"
    bazelw.write_text(f"#!/bin/sh\n{script}\n")
    bazelw.chmod(0o755)
    return subprocess.Popen(
        [str(TOOL), *wish(server)],
        env=workspace.environ(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def test_a_pin_that_does_not_build_is_not_kept(workspace: Workspace, server: GitServer) -> None:
    """Bazel has said why on its own."""
    process = pin_and_build(workspace, server, "exit 1")
    _, said = process.communicate(timeout=120)
    assert (process.returncode, said) == (
        2,
        "error: ./bazelw build image failed: see above; nothing was changed, and --no-build keeps "
        "the pin\n",
    )
    assert not list((workspace.folder / "config/pins").iterdir())
    assert REPOSITORY not in workspace.table.read_text()


def test_a_pin_that_does_not_start_is_not_kept(workspace: Workspace, server: GitServer) -> None:
    """The last lines of its log are shown, as the starting test left them."""
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
        2,
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
    """Ctrl-C, a stopped job and a closed terminal."""
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
