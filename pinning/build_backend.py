"""Asks a source's build backend for its requirements, in the build root's sandbox.

In the sandbox, the backend has no network, no home directory, and no access to the machine's files
other than a copy of the source.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from shutil import copytree

from pinning.errors import PinError
from pinning.static_manifest import Requirements, of_metadata
from sandbox.enter import build_sandbox

# Enough for a setup.py; a backend that hangs is killed.
_SECONDS = 120
_MOST = 2**20
# Calls the PEP 517 hook, in a process in the build root.
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
    """Return the requirements that the build backend reports for the source at ``tree``.

    Args:
        tree: the source's top folder, which is not modified.
        root: the unpacked build root; the backend must be installed there.
        build_system: the ``[build-system]`` table of the source.
        what: the name of the source in messages.

    Raises:
        PinError: if the backend fails; the message has the last line of its output.
    """
    backend = build_system.get("build-backend", "setuptools.build_meta:__legacy__")
    asked = json.dumps([backend, build_system.get("backend-path", [])])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        work = Path(folder)
        copytree(tree, work / "source", symlinks=True)
        python = ("/usr/bin/python3", "-I", "-B", "-c", _ASK, asked)
        try:
            done = subprocess.run(
                build_sandbox(root, work, []).command(*python),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_SECONDS,
            )
            words = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        except subprocess.TimeoutExpired:
            words = [f"it did not end within {_SECONDS} s"]
        answer = work / "METADATA"
        # The backend's output is untrusted: a symbolic link could point to any file on the machine.
        if answer.is_symlink() or not answer.is_file() or answer.stat().st_size > _MOST:
            raise PinError(
                f"{what} does not say what it requires, and its build backend {backend!r} cannot "
                f"be asked: {''.join(words) or 'it printed nothing'}; take a release of it, which "
                "says so in PKG-INFO: --release"
            )
        return of_metadata(answer.read_text(encoding="utf-8", errors="replace"))
