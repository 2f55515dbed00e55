"""Proves that every file a pin names can still be fetched and has its hash."""

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from config.private.addresses import redacted
from config.private.http_client import fetch, reason
from config.private.vendor_crates import CratesError, vendor
from tools.pinning.debian import lock_paths, machine_mirrors
from tools.pinning.errors import PinError
from tools.pinning.pins import LOCKS, Pin
from tools.pinning.source import download, pinned_tree

_AT_ONCE = 6
# tests/starts/starts_test.py writes it.
_REPORT = "last_lines.txt"
# Seconds: a file's time is that of the kernel's last tick, up to 10 ms ago.
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
    """Return how many files were looked at, and a line for each that is lost or changed.

    Args:
        pin: the pin.
        base: where slugs lie.
        build_root: returns the unpacked build root of a suite, whose cargo fetches the crates.
    """
    document = pin.document
    files = json.loads((pin.folder / "files.lock.json").read_text())["files"]
    looked = len(files) + 1 + len(LOCKS)
    problems = []
    for lock in LOCKS:
        found = hashlib.sha256((pin.folder / lock).read_bytes()).hexdigest()
        if found != document["locks"][lock]:
            problems.append(f"{lock} was edited by hand: its sha256 is {found}")
    with tempfile.TemporaryDirectory() as folder:
        try:
            tree = pinned_tree(pin.name, document, base, pin.patches, Path(folder, "source"))
        except PinError as error:
            problems.append(str(error))
        else:
            if document["crates"]:
                lost = _check_crates(tree, build_root(pin.suite), Path(folder, "vendor"))
                # cargo stops at the first that it cannot have: the others are not known.
                looked += len(lost) or document["crates"]
                problems += lost
    problems += _each(files, _lost)
    return looked, problems


def check_debian(workspace: Path) -> tuple[int, list[str]]:
    """Return how many packages were asked for, and a line for each that the mirror has lost.

    A package that is there is fetched and its hash compared.
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
        said = ""
        for address in bases:
            try:
                data, _ = fetch(f"{address}/{package['path']}", timeout=300)
            except (OSError, ValueError) as error:
                said = said or redacted(f"{address} has lost it ({reason(error)})")
                continue
            found = hashlib.sha256(data).hexdigest()
            if found == package["sha256"]:
                return ""
            address = redacted(address)
            said = f"{address} has it with the sha256 {found}, and not {package['sha256']}"
        return f"{lock}: {package['name']} {package['version']}: {said}"

    return len(wanted), _each(wanted.values(), ask)


def last_lines(outputs: Path, since: float) -> str:
    """Return what the starting test wrote of why a pin does not start, or "" when it wrote nothing.

    Args:
        outputs: the test's folder of undeclared outputs, zipped or not.
        since: seconds since the epoch; what is older is of another pin.
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
