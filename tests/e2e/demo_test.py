"""The demo, from its start to Ctrl-C; it leaves no processes or files behind."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

DEMO = os.environ["DEMO"]


def processes() -> set[str]:
    """Return the command lines of all running processes of the kinds that the demo starts."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if re.search(r"synapse\.app|postgres|redis-server|nginx", command):
            found.add(command)
    return found


def test_ctrl_c_stops_it_in_order_and_leaves_nothing(tmp_path: Path) -> None:
    """SIGINT, as sent by a terminal, stops the demo with exit code 0."""
    before = processes()
    log = tmp_path / "log"
    with log.open("wb") as output:
        demo = subprocess.Popen(
            [DEMO, *os.environ["ARGUMENTS"].split()],
            stdout=output,
            stderr=output,
            env=os.environ | {"TMPDIR": str(tmp_path)},
        )
        try:
            deadline = time.monotonic() + 200
            while "Press Ctrl-C to stop it." not in log.read_text():
                assert demo.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            time.sleep(3)
            demo.send_signal(signal.SIGINT)
            assert demo.wait(120) == 0, log.read_text()
        finally:
            demo.kill()
    text = log.read_text()
    assert re.search(r"^user: +@alice:hs1\.test:8448 +password: \S+$", text, re.MULTILINE), text
    assert (
        len(re.findall(r"^[a-z_]+ +127\.1\.0\.\d+ +healthy +\d+ +\d+$", text, re.MULTILINE)) == 12
    )
    assert "^/_matrix/client/(r0|v3)/sync$" in text
    assert text.endswith("\nstopped\n"), text
    assert processes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    """A missing program is reported in one line, and no files are left behind."""
    folder = tmp_path / "tmp"
    for path in (folder, tmp_path / "bin"):
        path.mkdir()
    (tmp_path / "bin/tar").symlink_to(str(shutil.which("tar")))
    done = subprocess.run(
        [sys.executable, DEMO],
        env=os.environ | {"PATH": str(tmp_path / "bin"), "TMPDIR": str(folder)},
        text=True,
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 1
    assert done.stderr == "error: openssl is not on PATH; install the package openssl\n"
    assert not list(folder.iterdir())
