"""Checks that every file named by a pin or a Debian lock can be fetched and has the right hash."""

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pinning.debian import lock_paths, machine_mirrors
from pinning.errors import PinError
from pinning.pins import LOCKS, Pin
from pinning.source import download, pinned_tree
from repositories.addresses import redacted
from repositories.http_client import fetch, reason
from repositories.vendor_crates import CratesError, vendor

_AT_ONCE = 6
# Written by tests/starts/starts_test.py.
_REPORT = "last_lines.txt"
# In seconds. A file's time is that of the kernel's last tick, which may be up to 10 ms earlier.
_TICK = 0.1


def _each(items: Iterable[Any], ask: Callable[[Any], str]) -> list[str]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [line for line in pool.map(ask, items) if line]


def _lost(file: dict[str, Any]) -> str:
    try:
        download(file)
    except PinError as error:
        return str(error)
    return ""


def _check_crates(tree: Path, root: Path, target: Path) -> list[str]:
    try:
        vendor(root, tree, target)
    except CratesError as error:
        return [str(error)]
    return []


def check_pin(pin: Pin, base: str, build_root: Callable[[str], Path]) -> tuple[int, list[str]]:
    """Return the number of files that were checked, and a line for each lost or changed file.

    Args:
        pin: the pin.
        base: the address that OWNER/NAME is relative to, or "" for the default.
        build_root: returns the unpacked build root of a suite, whose cargo fetches the crates.
    """
    document = pin.document
    files = json.loads((pin.folder / "files.lock.json").read_text())["files"]
    looked = len(files) + 1 + len(LOCKS)
    problems = []
    for lock in LOCKS:
        actual = hashlib.sha256((pin.folder / lock).read_bytes()).hexdigest()
        if actual != document["locks"][lock]:
            problems.append(f"{lock} was edited by hand: its sha256 is {actual}")
    with tempfile.TemporaryDirectory() as folder:
        try:
            tree = pinned_tree(pin.name, document, base, pin.patches, Path(folder, "source"))
        except PinError as error:
            problems.append(str(error))
        else:
            if document["crates"]:
                lost = _check_crates(tree, build_root(pin.suite), Path(folder, "vendor"))
                # cargo stops at the first crate that it cannot fetch: the rest are not checked.
                looked += len(lost) or document["crates"]
                problems += lost
    problems += _each(files, _lost)
    return looked, problems


def check_debian(workspace: Path) -> tuple[int, list[str]]:
    """Return the number of packages in the Debian locks, and a line for each lost or changed one.

    Each package is fetched, and its hash is compared with the lock.
    """
    mirrors = machine_mirrors()
    archive = os.environ.get("DEBIAN_ARCHIVE", "")
    wanted = {}
    for suite, architecture, name, path in lock_paths(workspace):
        for package in json.loads(path.read_text())["packages"]:
            wanted[package["path"]] = (package, f"{suite} {architecture} {name}")

    def ask(item: tuple[dict[str, Any], str]) -> str:
        package, lock = item
        bases = [mirrors[package["archive"]]]
        if archive:
            bases.append(archive.replace("{archive}", package["archive"]))
        problem = ""
        for address in bases:
            try:
                data, _ = fetch(f"{address}/{package['path']}", timeout=300)
            except (OSError, ValueError) as error:
                problem = problem or redacted(f"{address} no longer has it ({reason(error)})")
                continue
            actual = hashlib.sha256(data).hexdigest()
            if actual == package["sha256"]:
                return ""
            address = redacted(address)
            problem = f"{address} has it with the sha256 {actual}, and not {package['sha256']}"
        return f"{lock}: {package['name']} {package['version']}: {problem}"

    return len(wanted), _each(wanted.values(), ask)


def last_lines(outputs: Path, since: float) -> str:
    """Return why a pin does not start, as written by the starting test, or "" if it wrote nothing.

    Args:
        outputs: the test's folder of undeclared outputs, zipped or not.
        since: the time in seconds since the epoch; older files belong to another pin's run.
    """
    since -= _TICK
    plain, zipped = outputs / _REPORT, outputs / "outputs.zip"
    if plain.is_file() and plain.stat().st_mtime >= since:
        return plain.read_text(encoding="utf-8", errors="replace").strip()
    if zipped.is_file() and zipped.stat().st_mtime >= since:
        with zipfile.ZipFile(zipped) as archive:
            if _REPORT in archive.namelist():
                return archive.read(_REPORT).decode("utf-8", "replace").strip()
    return ""
