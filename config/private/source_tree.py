"""Brings the source of a pin: fetched from git or unpacked from an sdist, checked, patched.

Standard library alone: the repository rule runs it before anything is fetched, and so does the
tool that makes pins.
"""

import argparse
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# The folder in every source.tar, so that git and an index give the same bytes for the same files.
TOP = "synapse"
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9._-]+")
# The oldest Pythons that may run this have no filters; the source was checked by its hash.
_FILTER: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
_DEFAULT_BASE = "https://github.com"
_CREDENTIALS = (
    "authentication failed",
    "could not read username",
    "could not read password",
    "permission denied (publickey",
    "terminal prompts disabled",
    "returned error: 401",
    "returned error: 403",
)
_ABSENT = (
    "does not appear to be a git repository",
    "does not exist",
    "not found",
    "not exported",
    "returned error: 404",
)


class SourceError(Exception):
    """The source cannot be had as pinned; the message is the one line for the user."""


def git_address(repository: str, base: str = "") -> str:
    """Return the address of a repository: a slug below ``base``, or the address that it is."""
    if _SLUG.fullmatch(repository):
        return f"{(base or _DEFAULT_BASE).rstrip('/')}/{repository}"
    return repository


def git(folder: Path, *arguments: str) -> bytes:
    """Run git in ``folder`` and return its output; nothing of the user's own decides its bytes.

    Raises:
        SourceError: with git's last line.
    """
    command = ["git", "-c", "tar.umask=0022", "-c", "core.autocrlf=false", "-c", "core.eol=lf"]
    command += ["-c", "core.attributesFile=/dev/null", "-c", "protocol.version=2"]
    environ = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    # Never a question: whoever waits for an answer here would wait for ever.
    environ.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
    # A repository around the folder must not be the one that git works on.
    environ["GIT_CEILING_DIRECTORIES"] = str(folder.resolve().parent)
    try:
        done = subprocess.run(
            [*command, *arguments], cwd=folder, env=environ, capture_output=True, check=False
        )
    except FileNotFoundError:
        raise SourceError("git is not on PATH; install git") from None
    if done.returncode:
        raise SourceError(_reason(done.stderr.decode(errors="replace")))
    return done.stdout


def _reason(stderr: str) -> str:
    """Return the one line of git's words that says why."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["git said nothing"]
    for place, line in enumerate(lines):
        if line.startswith("fatal:"):
            # Of a connection that ended git knows no more than that; ssh has said why before.
            ended = "could not read from remote repository" in line.lower()
            return lines[place - 1] if ended and place else line
    return lines[-1]


def explain(address: str, words: str) -> str:
    """Return one line for what git said of ``address``."""
    low = words.lower()
    if any(part in low for part in _CREDENTIALS):
        return (
            f"{address} asks for credentials; give git yours (a credential helper, ~/.netrc or an "
            "SSH key) and try again"
        )
    if "host key verification failed" in low:
        return (
            f"{address}: ssh does not know the host's key; connect once by hand, or put the key "
            "into ~/.ssh/known_hosts, and try again"
        )
    if any(part in low for part in _ABSENT) and "remote ref" not in low:
        return f"{address} is no git repository that can be read; check its name ({words})"
    return f"{address} cannot be read: {words}"


def fetch_commit(folder: Path, address: str, commit: str) -> None:
    """Fetch ``commit`` alone from ``address`` into a bare repository at ``folder``.

    Raises:
        SourceError: when the server does not answer, or has no such commit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--bare", ".")
    try:
        git(folder, "fetch", "--quiet", "--depth=1", "--no-tags", address, commit)
    except SourceError as error:
        low = str(error).lower()
        if "not our ref" in low or "couldn't find remote ref" in low or "unadvertised" in low:
            raise SourceError(
                f"commit {commit} is not at {address} any more; the branch was rewritten"
            ) from None
        raise SourceError(explain(address, str(error))) from None


def git_archive(folder: Path, commit: str) -> tuple[str, bytes]:
    """Return the tree id of ``commit`` and its files as an uncompressed tar."""
    tree = git(folder, "rev-parse", f"{commit}^{{tree}}").decode().strip()
    return tree, git(folder, "archive", "--format=tar", f"--prefix={TOP}/", commit)


def checked_git(name: str, pinned: Mapping[str, str], base: str) -> bytes:
    """Return the archive of the pinned commit, its tree and its sha256 checked."""
    address = git_address(pinned["repository"], base)
    commit = pinned["commit"]
    with tempfile.TemporaryDirectory() as scratch:
        try:
            fetch_commit(Path(scratch), address, commit)
        except SourceError as error:
            remedy = ""
            if "any more" in str(error):
                remedy = f"; move the pin: ./bazelw run pin -- --update {name}"
            raise SourceError(f"{error}{remedy}") from None
        tree, archive = git_archive(Path(scratch), commit)
    if tree != pinned["tree"]:
        raise SourceError(
            f"pin.json: commit {commit} has the tree {tree}, and not {pinned['tree']}; make the "
            f"pin again: ./bazelw run pin -- --update {name}"
        )
    found = hashlib.sha256(archive).hexdigest()
    if found != pinned["sha256"]:
        raise SourceError(
            f"the archive of commit {commit} has the sha256 {found}, and not {pinned['sha256']} as "
            "pin.json says; take neither before you know why"
        )
    return archive


def unpack(archive: Path | io.BytesIO, folder: Path) -> Path:
    """Unpack a source into ``folder``; return its one top folder."""
    opened = (
        tarfile.open(fileobj=archive) if isinstance(archive, io.BytesIO) else tarfile.open(archive)
    )
    with opened as tar:
        tar.extractall(folder, **_FILTER)
    tops = [path for path in folder.iterdir() if path.is_dir()]
    if len(tops) != 1:
        raise SourceError(f"the source has {len(tops)} top folders, and not one")
    return tops[0]


def apply_patches(tree: Path, patches: Sequence[Path]) -> None:
    """Apply each patch, in the order of names.

    Raises:
        SourceError: naming the patch that does not apply.
    """
    for patch in sorted(patches, key=lambda path: path.name):
        try:
            git(tree, "apply", "--whitespace=nowarn", str(patch))
        except SourceError as error:
            raise SourceError(f"{patch.name} does not apply: {error}") from None


def pack(tree: Path) -> bytes:
    """Return ``tree`` as a tar with sorted entries, one clock and plain modes."""
    result = io.BytesIO()
    with tarfile.open(fileobj=result, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(tree.rglob("*")):
            info = tar.gettarinfo(path, f"{TOP}/{path.relative_to(tree)}")
            info.uid = info.gid = info.mtime = 0
            info.uname = info.gname = ""
            info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
            if info.isfile():
                with path.open("rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)
    return result.getvalue()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_locks(pin: Mapping[str, Any], name: str, files: Sequence[Path]) -> None:
    """Check the files of a pin that no hand writes, and its patches, against pin.json.

    Raises:
        SourceError: naming the file that was edited.
    """
    wanted = {**pin["locks"], **pin.get("patches", {})}
    for path in files:
        if path.name not in wanted:
            raise SourceError(
                f"config/pins/{name}: {path.name} is not named in pin.json; make the pin again: "
                f"./bazelw run pin -- --update {name}"
            )
        found = _sha256(path)
        if found != wanted[path.name]:
            raise SourceError(
                f"config/pins/{name}: {path.name} was edited by hand: its sha256 is {found}, and "
                f"pin.json names {wanted[path.name]}; make the pin again: ./bazelw run pin -- "
                f"--update {name}"
            )


def main(argv: list[str]) -> int:
    """Write source.tar and the folder ``source``; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="the pin's folder name")
    parser.add_argument("--pin", type=Path, required=True)
    parser.add_argument("--base", default="", help="where slugs lie")
    parser.add_argument("--sdist", type=Path)
    parser.add_argument("--lock", type=Path, action="append", default=[])
    parser.add_argument("--patch", type=Path, action="append", default=[])
    options = parser.parse_args(argv)
    pin = json.loads(options.pin.read_text())
    try:
        check_locks(pin, options.name, [*options.lock, *options.patch])
        archive: Path | io.BytesIO = options.sdist
        if archive is None:
            archive = io.BytesIO(checked_git(options.name, pin["git"], options.base))
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
