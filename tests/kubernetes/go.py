"""Runs the pinned go command in the workspace, to update the modules of the checker."""

import os
import sys
from pathlib import Path

from repositories.fetch_modules import go_program


def main(argv: list[str]) -> int:
    """Replace this process with the go command; raise OSError if that fails."""
    root = Path(os.environ["GO_ROOT"]).resolve().parent / "root"
    os.chdir(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
    caches = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    environ = os.environ | {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-modcacherw",
        "GOPATH": str(Path(caches, "synapse-worker-image/go")),
        # A newer Go would be fetched otherwise, if a module asks for one.
        "GOTOOLCHAIN": "local",
    }
    program = str(go_program(root))
    os.execve(program, [program, *argv], environ)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
