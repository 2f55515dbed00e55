"""Asks a source's build backend what the source requires, in the build root's sandbox.

The backend has no network there, no home and nothing of the machine but a copy of the source.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from shutil import copytree

from build_root.enter import bwrap_command
from tools.pinning.errors import PinError
from tools.pinning.static_manifest import Requirements, of_metadata

# Enough for a setup.py; a backend that hangs is ended.
_SECONDS = 120
_MOST = 2**20
# The hooks of PEP 517, in a process of the build root.
_ASK = """\
import importlib, json, os, pathlib, sys
backend, folders = json.loads(sys.argv[1])
os.chdir("/execroot/source")
sys.path[:0] = [os.path.join(os.getcwd(), folder) for folder in folders]
module, _, name = backend.partition(":")
hooks = importlib.import_module(module)
for part in name.split(".") if name else ():
    hooks = getattr(hooks, part)
os.mkdir("/execroot/out")
said = hooks.prepare_metadata_for_build_wheel("/execroot/out")
pathlib.Path("/execroot/METADATA").write_bytes(
    pathlib.Path("/execroot/out", said, "METADATA").read_bytes()
)
"""


def ask_backend(tree: Path, root: Path, build_system: dict[str, object], what: str) -> Requirements:
    """Return what the build backend of the source at ``tree`` says that the source requires.

    Args:
        tree: the source's top folder, which stays as it is.
        root: the unpacked build root; backends that it lacks cannot be asked.
        build_system: the ``[build-system]`` table of the source.
        what: how messages call the source.

    Raises:
        PinError: with the backend's last line.
    """
    backend = build_system.get("build-backend", "setuptools.build_meta:__legacy__")
    asked = json.dumps([backend, build_system.get("backend-path", [])])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        work = Path(folder)
        copytree(tree, work / "source", symlinks=True)
        command = [*bwrap_command(root, work, []), "/usr/bin/python3", "-I", "-B", "-c", _ASK]
        try:
            done = subprocess.run(
                [*command, asked], stdin=subprocess.DEVNULL, capture_output=True, check=False,
                timeout=_SECONDS,
            )  # fmt: skip
            words = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        except subprocess.TimeoutExpired:
            words = [f"it did not end within {_SECONDS} s"]
        answer = work / "METADATA"
        # What the backend wrote is the word of a stranger: a link could name any file here.
        if answer.is_symlink() or not answer.is_file() or answer.stat().st_size > _MOST:
            raise PinError(
                f"{what} does not say what it requires, and its build backend {backend!r} cannot "
                f"be asked: {''.join(words) or 'it said nothing'}; take a release of it, which "
                "says so in PKG-INFO: --release"
            )
        return of_metadata(answer.read_text(encoding="utf-8", errors="replace"))
