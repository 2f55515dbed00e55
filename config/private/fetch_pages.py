"""Fetches pages of a package index that speaks plain HTTP, which Bazel refuses without a hash.

The pages only say where files are; each file is checked against its lock.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from config.private.addresses import redacted
from config.private.http_client import fetch, reason


def page(index: str, project: str) -> bytes:
    """Return the page of ``project``; exits with one line when the index does not answer."""
    address = f"{index}/{project}/"
    try:
        return fetch(address)[0]
    except (OSError, ValueError) as error:
        sys.exit(redacted(f"error: {address}: {reason(error)}"))


def main(argv: list[str]) -> int:
    """Write the page of each project into the folder; return the exit status.

    The address of the index is in the environment: every user of the machine could read arguments.
    """
    folder, *projects = argv
    index = os.environ["PACKAGE_INDEX"]
    Path(folder).mkdir()
    with ThreadPoolExecutor(8) as pool:
        pages = pool.map(lambda name: page(index, name), projects)
        for project, text in zip(projects, pages, strict=True):
            Path(folder, project).write_bytes(text)
    return 0
