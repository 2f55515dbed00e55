"""Reads, atomically writes, and removes pins: the folders in config/pins and their table."""

import ast
import hashlib
import json
import re
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinning.errors import PinError
from pinning.files import write_atomically

LOCKS = ("build_requirements_lock.txt", "files.lock.json", "requirements_lock.txt")
DEFAULT = ("element-hq/synapse", "master")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PYTHON = re.compile(r"python(3\.\d+)-minimal")
_TABLE = '''\
"""The table of pins: which (repository, branch) is built from which folder of //config/pins.

Made by: ./bazelw run pin
"""

# (repository, branch) -> folder below //config/pins, Debian suite of the image, names of the
# patches, and whether it has Synapse modules.
SYNAPSE_PINS = {
%s}
'''


@dataclass(frozen=True)
class Pin:
    """One row of the table, and its folder.

    Attributes:
        repository: the value of ``--synapse_repo``.
        branch: the value of ``--synapse_branch``.
        folder: the path of the pin's folder.
        suite: the Debian suite of its image.
    """

    repository: str
    branch: str
    folder: Path
    suite: str

    @property
    def name(self) -> str:
        """The folder's name, which identifies the pin in commands and messages."""
        return self.folder.name

    @property
    def document(self) -> dict[str, Any]:
        """The parsed pin.json."""
        document: dict[str, Any] = json.loads((self.folder / "pin.json").read_text())
        return document

    @property
    def patches(self) -> list[Path]:
        """The patches, in the order in which they are applied."""
        return sorted((self.folder / "patches").glob("*.patch"))

    @property
    def flags(self) -> list[str]:
        """The build settings that select this pin."""
        return [f"--synapse_repo={self.repository}", f"--synapse_branch={self.branch}"]


def pythons(workspace: Path) -> dict[str, str]:
    """Return the Python version of each Debian suite, as named in the image's package lists."""
    result = {}
    for path in sorted((workspace / "config/debian").glob("*/runtime.in")):
        match = _PYTHON.search(path.read_text())
        if match:
            result[path.parent.name] = match[1]
    return result


def newest_suite(workspace: Path) -> str:
    """Return the suite with the newest Python."""
    python_by_suite = pythons(workspace)
    return max(
        python_by_suite, key=lambda suite: [int(part) for part in python_by_suite[suite].split(".")]
    )


def table_path(workspace: Path) -> Path:
    """Return the path of the table."""
    return workspace / "config/synapse_pins.bzl"


def read_table(workspace: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the table's rows by (repository, branch)."""
    _, _, text = table_path(workspace).read_text().partition("SYNAPSE_PINS = ")
    table: dict[tuple[str, str], dict[str, Any]] = ast.literal_eval(text.strip())
    return table


def table_text(table: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    """Return the text of the table, sorted and formatted as buildifier formats it."""
    rows = ""
    for (repository, branch), row in sorted(table.items()):
        patches = json.dumps(sorted(row["patches"]))
        rows += f"    ({json.dumps(repository)}, {json.dumps(branch)}): {{\n"
        rows += f'        "folder": {json.dumps(row["folder"])},\n'
        rows += f'        "modules": {row["modules"]},\n'
        rows += f'        "patches": {patches},\n'
        rows += f'        "suite": {json.dumps(row["suite"])},\n'
        rows += "    },\n"
    return _TABLE % rows


def all_pins(workspace: Path) -> list[Pin]:
    """Return every pin, sorted."""
    return [
        Pin(repository, branch, workspace / "config/pins" / row["folder"], row["suite"])
        for (repository, branch), row in sorted(read_table(workspace).items())
    ]


def find_pin(workspace: Path, name: str) -> Pin:
    """Return the pin called ``name``.

    Args:
        workspace: the repository's top folder.
        name: the pin's folder name, ``REPOSITORY BRANCH`` or ``REPOSITORY@BRANCH``.

    Raises:
        PinError: if there is no such pin.
    """
    pins = all_pins(workspace)
    for pin in pins:
        if name in (pin.name, f"{pin.repository} {pin.branch}", f"{pin.repository}@{pin.branch}"):
            return pin
    names = ", ".join(pin.name for pin in pins)
    raise PinError(f"{name!r} is not a pin; the pins are: {names or 'none'}")


def folder_name(workspace: Path, repository: str, branch: str) -> str:
    """Return the folder name of a pair: the one in the table, or a new, unused one."""
    table = read_table(workspace)
    if (repository, branch) in table:
        return str(table[repository, branch]["folder"])
    address = re.sub(r"^[a-z+]+://([^/@]*@)?", "", repository)
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{address}_{branch}").strip("_.")[-80:]
    if name in {row["folder"] for row in table.values()}:
        name += "_" + hashlib.sha256(f"{repository} {branch}".encode()).hexdigest()[:8]
    return name


def write_pin(
    workspace: Path, pair: tuple[str, str], row: Mapping[str, Any], texts: Mapping[str, bytes]
) -> None:
    """Replace the folder of a pin and its row; on failure, keep both as they were.

    Args:
        workspace: the repository's top folder.
        pair: the repository and branch.
        row: the pin's row in the table.
        texts: the content of every file in the folder, by path relative to it.
    """
    folder = workspace / "config/pins" / row["folder"]
    # Bazel ignores both folders: it loads no package that no label refers to.
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    for path in (new, old):
        shutil.rmtree(path, ignore_errors=True)
    table = {**read_table(workspace), pair: row}
    try:
        for name, data in texts.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        write_atomically({table_path(workspace): table_text(table)})
    except BaseException:
        if old.exists():
            shutil.rmtree(folder, ignore_errors=True)
            old.rename(folder)
        elif not new.exists() and pair not in read_table(workspace):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        for path in (new, old):
            shutil.rmtree(path, ignore_errors=True)


def remove_pin(workspace: Path, pin: Pin) -> None:
    """Remove a pin: first its row, so that the table never names a missing folder.

    Raises:
        PinError: if it is the default pin, which is built when no build settings are passed.
    """
    pair = (pin.repository, pin.branch)
    if pair == DEFAULT:
        raise PinError(f"{pin.name} is the default pin; it can be updated, but not removed")
    table = {key: row for key, row in read_table(workspace).items() if key != pair}
    write_atomically({table_path(workspace): table_text(table)})
    shutil.rmtree(pin.folder)


def snapshot(workspace: Path, name: str) -> dict[Path, bytes]:
    """Return the contents of a pin's files and the table, so that they can be restored."""
    folder = workspace / "config/pins" / name
    paths = [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
    return {path: path.read_bytes() for path in [*paths, table_path(workspace)]}


def put_back(workspace: Path, name: str, files: Mapping[Path, bytes]) -> None:
    """Restore what `snapshot` returned, ignoring signals such as Ctrl-C while doing so."""
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        folder = workspace / "config/pins" / name
        shutil.rmtree(folder, ignore_errors=True)
        for path, data in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
