"""Enters the pinned build root with its own bwrap and runs one Python program there."""

import argparse
import os
import sys
from pathlib import Path

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_PYTHON = "/usr/bin/python3"

# Nothing of the machine may reach an output: fixed locale, clock, time zone and hash seed.
_ENVIRON = {
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": "315532800",  # 1980-01-01, the earliest that a zip file can say.
    "TZ": "UTC",
}


def link_targets(folder: Path) -> set[Path]:
    """Return the folders outside ``folder`` that its symbolic links lead to."""
    found: set[Path] = set()
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(parent, name)
            if path.is_symlink():
                real = path.resolve()
                found.add(real if real.is_dir() else real.parent)
                # A link may pass through links on its way: each stop must be visible.
                stop = Path(os.readlink(path))
                if stop.is_absolute():
                    found.add(stop.parent)
    return found


def outermost(folders: set[Path]) -> list[Path]:
    """Return ``folders`` without those that lie in another of them."""
    result: list[Path] = []
    for folder in sorted(folders):
        if not any(folder.is_relative_to(outer) for outer in result):
            result.append(folder)
    return result


def bwrap_command(root: Path, work: Path, visible: list[Path]) -> list[str]:
    """Return the command line that enters ``root`` with ``work`` as /execroot."""
    libraries = root / _LIBRARIES
    command = [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries)]
    command += [str(root / "usr/bin/bwrap"), "--unshare-all", "--uid", "1000", "--gid", "1000"]
    command += [
        "--cap-add",
        "CAP_SYS_CHROOT",
        "--die-with-parent",
        "--hostname",
        "build",
        "--clearenv",
    ]
    for name, value in _ENVIRON.items():
        command += ["--setenv", name, value]
    for name in ("usr", "etc", "var"):
        if (root / name).is_dir():
            command += ["--ro-bind", str(root / name), f"/{name}"]
    for name in ("bin", "lib", "lib64", "sbin"):
        command += ["--symlink", f"usr/{name}", f"/{name}"]
    command += ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
    for folder in visible:
        command += ["--ro-bind", str(folder), str(folder)]
    return [*command, "--bind", str(work), "/execroot", "--chdir", "/execroot", "--"]


def main(argv: list[str]) -> int:
    """Replace this process by the program in the root; return only when that fails."""
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
    command = bwrap_command(root, work, visible)
    os.umask(0o022)
    os.execv(command[0], [*command, _PYTHON, "-I", "-B", *options.command])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
