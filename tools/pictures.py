"""Draws the pictures of the documentation, from docs/pictures/NAME.pikchr to NAME.svg."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sandbox.bwrap import read_only
from testbed.services import container


def pictures(folder: Path, services: Path) -> Iterator[tuple[str, str]]:
    """Yield (name of the SVG file, its text) for every source in ``folder``.

    Args:
        folder: The folder with the sources.
        services: The root file system that contains pikchr-cli.

    Raises:
        AssertionError: If pikchr-cli cannot draw a picture; it contains the output of pikchr-cli.
    """
    for path in sorted(folder.glob("*.pikchr")):
        with tempfile.TemporaryDirectory() as state:
            inside = container(services, Path(state)).with_mounts(read_only(path, "/picture"))
            done = subprocess.run(
                inside.command("pikchr-cli", "/picture"),
                text=True,
                capture_output=True,
                check=False,
            )
        assert done.returncode == 0, f"{path.name}: {done.stdout}{done.stderr}"
        yield path.with_suffix(".svg").name, done.stdout
