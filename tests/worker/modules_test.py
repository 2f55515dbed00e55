"""Tests for SYNAPSE_MODULES_DIR, whose modules can be imported but replace no others."""

import subprocess
import sys
from pathlib import Path

import pytest

from worker import boot
from worker.settings import parse


def test_a_module_is_found_behind_everything_else(tmp_path: Path) -> None:
    """An application in the folder runs, and does not import the folder's own json.py."""
    (tmp_path / "application.py").write_text("import json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')\n")
    command = [sys.executable, "-I", boot.__file__, "application", "-c", "x"]
    done = subprocess.run(
        command,
        env={"SYNAPSE_MODULES_DIR": str(tmp_path)},
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, '["-c", "x"]\n'), done.stderr
    done = subprocess.run(command, env={}, text=True, capture_output=True, check=False, timeout=60)
    assert "No module named application" in done.stderr


def test_without_a_folder_nothing_is_added() -> None:
    """The `site` module prints `sys.path`, which must have no empty or `None` entry."""
    command = [sys.executable, "-I", boot.__file__, "site"]
    done = subprocess.run(command, env={}, text=True, capture_output=True, check=True, timeout=60)
    assert "None" not in done.stdout
    assert "''" not in done.stdout


@pytest.mark.parametrize("value", ["modules", "./modules"])
def test_the_folder_has_an_absolute_path(value: str) -> None:
    """A relative path is rejected, since the working folder is mounted too."""
    with pytest.raises(Exception, match=r"SYNAPSE_MODULES_DIR='.*' is not an absolute path"):
        parse({"SYNAPSE_WORKER": "homeserver", "SYNAPSE_MODULES_DIR": value})
