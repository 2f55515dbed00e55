"""Runs a program in the image on many cases, so that Synapse is imported once for all of them."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from testbed.image import Image, container, entrypoint
from testbed.site import make_mounts


def judge(
    image: Image,
    root: Path,
    folder: Path,
    homeserver: str,
    program: str,
    cases: Sequence[object],
) -> str:
    """Return what a program wrote to /cases/answers.json about /cases/cases.json.

    Args:
        image: the image.
        root: the folder with the unpacked image.
        folder: an empty folder.
        homeserver: the text of homeserver.yaml.
        program: the program, in Python.
        cases: what is written to cases.json.

    Raises:
        subprocess.CalledProcessError: if the program fails.
        subprocess.TimeoutExpired: if it takes more than a minute, and five seconds for each case.
    """
    (root / "cases").mkdir()
    mounted = folder / "cases"
    mounted.mkdir()
    (mounted / "cases.json").write_text(json.dumps(cases))
    mounts = make_mounts(folder, homeserver) | {"/cases": mounted}
    python = entrypoint(image)[0]
    command = container(image, root, mounts, {}).command(python, "-I", "-c", program)
    subprocess.run(command, check=True, timeout=60 + 5 * len(cases))
    return (mounted / "answers.json").read_text()
