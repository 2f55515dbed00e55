"""Fetches pages of a package index over plain HTTP, which Bazel refuses to do without a hash.

The pages only say where the files are; each file is checked against its lock.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from repositories.addresses import redacted
from repositories.http_client import fetch, reason


def page(index: str, project: str) -> bytes:
    """Return the page of ``project``; exit with a one-line message if the index does not answer."""
    address = f"{index}/{project}/"
    try:
        return fetch(address)[0]
    except (OSError, ValueError) as error:
        sys.exit(redacted(f"error: {address}: {reason(error)}"))


def main(argv: list[str]) -> int:
    """Write the page of each project into the folder; return the exit code.

    The address of the index is in an environment variable, because every user of the machine could
    read it in the arguments.
    """
    folder, *projects = argv
    index = os.environ["PACKAGE_INDEX"]
    Path(folder).mkdir()
    with ThreadPoolExecutor(8) as pool:
        pages = pool.map(lambda name: page(index, name), projects)
        for project, text in zip(projects, pages, strict=True):
            Path(folder, project).write_bytes(text)
    return 0
