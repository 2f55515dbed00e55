"""Locks the Python packages of this repository's own tools and tests."""

import os
import sys
from pathlib import Path

from tools.pinning.choosing import Target, chosen_files, files_document
from tools.pinning.errors import PinError
from tools.pinning.files import write_atomically
from tools.pinning.locking import compile_lock

_COMMAND = "./bazelw run //tools:lock_python"
# The Python of the root that runs Bazel; its tools are not for another architecture yet.
_TARGET = Target((3, 14), "amd64")


def main() -> int:
    """Write requirements_lock.txt and requirements.lock.json; return the exit status."""
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
    try:
        text = compile_lock([workspace / "requirements.in"], _TARGET.python)
        files = chosen_files(text, [_TARGET], "wheels", "sdists")
    except PinError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    header = f"# Made from requirements.in by: {_COMMAND}\n"
    write_atomically(
        {
            workspace / "requirements_lock.txt": header + text,
            workspace / "requirements.lock.json": files_document(files, _COMMAND),
        }
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
