"""Runs promtool, the checker of Prometheus, from the services' root."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from testbed import services

ROOT = Path(os.environ["SERVICES"]).resolve().parent / "root"


def promtool(folder: Path, files: Mapping[str, str], *arguments: str) -> str:
    """Write files to a folder, run promtool in it, and return what it prints.

    Args:
        folder: the folder, which may exist.
        files: the texts by name.
        arguments: the arguments; the names of files are relative to the folder.

    Raises:
        AssertionError: if promtool finds something wrong; the message is what it prints.
    """
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    done = subprocess.run(
        services.container(ROOT, folder).command("promtool", *arguments),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout
