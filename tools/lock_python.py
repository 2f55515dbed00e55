"""Locks the Python packages of this repository's own tools and tests."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pinning.choosing import Target, chosen_files, files_document, versions
from pinning.errors import PinError
from pinning.files import write_atomically
from pinning.locking import compile_lock

_COMMAND = "./bazelw run //tools:lock_python"
# The Python of the root that runs Bazel, whose tools are only for amd64 so far.
_TARGET = Target((3, 14), "amd64")


def main(argv: Sequence[str]) -> int:
    """Write requirements_lock.txt and requirements.lock.json; return the exit code."""
    parser = argparse.ArgumentParser(prog="lock_python", description=__doc__)
    parser.add_argument("--update", action="store_true", help="move every package to its newest")
    options = parser.parse_args(argv)
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
    lock = workspace / "requirements_lock.txt"
    have = {} if options.update or not lock.exists() else versions(lock.read_text())
    try:
        text = compile_lock([workspace / "requirements.in"], _TARGET.python, preferences=have)
        files = chosen_files(text, [_TARGET], "wheels", "sdists")
    except PinError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    header = f"# Made from requirements.in by: {_COMMAND}\n"
    write_atomically(
        {
            lock: header + text,
            workspace / "requirements.lock.json": files_document(files, _COMMAND),
        }
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
