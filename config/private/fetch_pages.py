"""Fetches pages of a package index that speaks plain HTTP, which Bazel refuses without a hash.

The pages only say where files are; each file is checked against its lock.
"""

import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def fetch(index: str, project: str) -> bytes:
    """Return the page of ``project``; exits with one line when the index does not answer."""
    address = f"{index}/{project}/"
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            page: bytes = answer.read()
            return page
    except (urllib.error.URLError, OSError) as error:
        sys.exit(f"error: {address}: {getattr(error, 'reason', error)}")


def main(argv: list[str]) -> int:
    """Write the page of each project into the folder; return the exit status."""
    index, folder, *projects = argv
    Path(folder).mkdir()
    with ThreadPoolExecutor(8) as pool:
        for project, page in zip(
            projects, pool.map(lambda name: fetch(index, name), projects), strict=True
        ):
            Path(folder, project).write_bytes(page)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
