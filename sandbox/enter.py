"""Enters the pinned build root with its own bwrap and runs one Python program there."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.bwrap import KERNEL, Sandbox, read_only, symlinks, writable

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_PYTHON = "/usr/bin/python3"

# Fixed locale, clock, time zone, and hash seed, so that outputs do not depend on the machine.
_ENVIRON = {
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": "315532800",  # 1980-01-01, the earliest date that a zip file can hold.
    "TZ": "UTC",
}


def link_targets(folder: Path) -> set[Path]:
    """Return the folders that must be visible to resolve the symbolic links in ``folder``."""
    found: set[Path] = set()
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(parent, name)
            if path.is_symlink():
                real = path.resolve()
                found.add(real if real.is_dir() else real.parent)
                # The target may be a link itself: each step of the chain must be visible.
                stop = Path(os.readlink(path))
                if stop.is_absolute():
                    found.add(stop.parent)
    return found


def outermost(folders: set[Path]) -> list[Path]:
    """Return ``folders`` without those that are inside another one, sorted."""
    result: list[Path] = []
    for folder in sorted(folders):
        if not any(folder.is_relative_to(outer) for outer in result):
            result.append(folder)
    return result


def build_sandbox(root: Path, work: Path, visible: Sequence[Path]) -> Sandbox:
    """Return the sandbox of the build root at ``root``: no network, fixed paths and clock.

    Args:
        root: the unpacked build root, whose own bwrap is used.
        work: the writable folder, which is mounted at /execroot.
        visible: folders that are mounted read-only at their own paths.
    """
    libraries = root / _LIBRARIES
    loader = (str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries))
    folders = [name for name in ("usr", "etc", "var") if (root / name).is_dir()]
    return Sandbox(
        bwrap=(*loader, str(root / "usr/bin/bwrap")),
        mounts=(
            *(read_only(root / name, f"/{name}") for name in folders),
            *symlinks(root),
            *KERNEL,
            *(read_only(folder, str(folder)) for folder in visible),
            writable(work, "/execroot"),
        ),
        user=(1000, 1000),
        unshare=("all",),
        capabilities=("CAP_SYS_CHROOT",),
        environ=_ENVIRON,
        folder="/execroot",
        hostname="build",
    )


def main(argv: list[str]) -> int:
    """Replace this process with the program in the root; raise OSError if that fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stamp", type=Path, required=True, help="the root's stamp.json")
    parser.add_argument("--beside", type=Path, action="append", default=[])
    parser.add_argument("command", nargs="+", help="a Python program and its arguments")
    options = parser.parse_args(argv)
    work = Path.cwd()
    root = options.stamp.resolve().parent / "root"
    targets = link_targets(work)
    targets.update(path.resolve().parent for path in options.beside)
    visible = [folder for folder in outermost(targets) if not folder.is_relative_to(work)]
    command = build_sandbox(root, work, visible).command(_PYTHON, "-I", "-B", *options.command)
    os.umask(0o022)
    os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
