"""Tests for SYNAPSE_MODULES_DIR, whose modules can be imported but replace no others."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from worker import boot
from worker.settings import parse


def test_a_module_is_found_behind_everything_else(tmp_path: Path) -> None:
    """An application in the folder runs, and does not import the folder's own json.py."""
    text = "import json, sys\ndef main():\n    print(json.dumps(sys.argv[1:]))\n"
    (tmp_path / "application.py").write_text(text)
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
    assert "No module named 'application'" in done.stderr


def test_without_a_folder_nothing_is_added() -> None:
    """The import path of an application has no empty or `None` entry."""
    program = (
        "import runpy, sys, types\nsys.modules['this_test'] = application = types.ModuleType('x')\n"
        "application.main = lambda: print(sys.path)\nsys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    command = [sys.executable, "-I", "-c", program, boot.__file__, "this_test"]
    done = subprocess.run(command, env={}, text=True, capture_output=True, check=True, timeout=60)
    import_path = ast.literal_eval(done.stdout)
    assert import_path
    assert all(import_path)


@pytest.mark.parametrize("value", ["modules", "./modules"])
def test_the_folder_has_an_absolute_path(value: str) -> None:
    """A relative path is rejected, since the working folder is mounted too."""
    with pytest.raises(Exception, match=r"SYNAPSE_MODULES_DIR='.*' is not an absolute path"):
        parse({"SYNAPSE_WORKER": "homeserver", "SYNAPSE_MODULES_DIR": value})
