"""Prepares the source of a pin: fetches it from git or unpacks an sdist, checks and patches it.

Uses only the standard library, because the repository rule runs it before anything is fetched. The
tool that makes pins uses it too.
"""

import argparse
import hashlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from repositories.addresses import SourceError, git_address
from repositories.git_client import CommitGoneError, fetch_commit, git_archive
from repositories.source_files import apply_patches, pack, unpack


def checked_git(name: str, pinned: Mapping[str, str], base: str) -> bytes:
    """Return the archive of the pinned commit, after checking its tree id and its sha256.

    Raises:
        SourceError: if it cannot be fetched, or is not what the pin says.
    """
    address = git_address(pinned["repository"], base)
    commit = pinned["commit"]
    with tempfile.TemporaryDirectory() as scratch:
        try:
            fetch_commit(Path(scratch), address, commit)
        except CommitGoneError as error:
            raise SourceError(
                f"{error}; move the pin: ./bazelw run pin -- --update {name}"
            ) from None
        tree, archive = git_archive(Path(scratch), commit)
    if tree != pinned["tree"]:
        raise SourceError(
            f"pin.json: commit {commit} has the tree {tree}, and not {pinned['tree']}; make the "
            f"pin again: ./bazelw run pin -- --update {name}"
        )
    actual = hashlib.sha256(archive).hexdigest()
    if actual != pinned["sha256"]:
        raise SourceError(
            f"the archive of commit {commit} has the sha256 {actual}, and not {pinned['sha256']} "
            "as pin.json says; do not use either before you know why"
        )
    return archive


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_locks(pin: Mapping[str, Any], name: str, files: Sequence[Path]) -> None:
    """Check the generated files of a pin and its patches against pin.json.

    Raises:
        SourceError: if a file was edited or is not in pin.json; the message names it.
    """
    wanted = {**pin["locks"], **pin.get("patches", {})}
    for path in files:
        if path.name not in wanted:
            raise SourceError(
                f"config/pins/{name}: {path.name} is not named in pin.json; make the pin again: "
                f"./bazelw run pin -- --update {name}"
            )
        actual = _sha256(path)
        if actual != wanted[path.name]:
            raise SourceError(
                f"config/pins/{name}: {path.name} was edited by hand: its sha256 is {actual}, and "
                f"pin.json names {wanted[path.name]}; make the pin again: ./bazelw run pin -- "
                f"--update {name}"
            )


def main(argv: list[str]) -> int:
    """Write source.tar and the folder ``source``; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="the pin's folder name")
    parser.add_argument("--pin", type=Path, required=True)
    parser.add_argument("--sdist", type=Path)
    parser.add_argument("--lock", type=Path, action="append", default=[])
    parser.add_argument("--patch", type=Path, action="append", default=[])
    options = parser.parse_args(argv)
    pin = json.loads(options.pin.read_text())
    base = os.environ.get("SYNAPSE_GIT_BASE", "")
    try:
        check_locks(pin, options.name, [*options.lock, *options.patch])
        archive: Path | io.BytesIO = options.sdist
        if archive is None:
            archive = io.BytesIO(checked_git(options.name, pin["git"], base))
        with tempfile.TemporaryDirectory(dir=".") as scratch:
            top = unpack(archive, Path(scratch))
            apply_patches(top, [path.absolute() for path in options.patch])
            top.rename("source")
        Path("source.tar").write_bytes(pack(Path("source")))
    except SourceError as error:
        print(f"error: {options.name}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
