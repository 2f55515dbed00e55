"""Finds the source to pin: a branch, tag, or commit in git, or a release on the package index."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from packaging.utils import InvalidSdistFilename, parse_sdist_filename

from pinning.as_of import release_time, stamp
from pinning.errors import PinError
from pinning.index import file_bytes, project_files
from repositories.addresses import SourceError, address_problem, git_address, is_slug, shown
from repositories.git_client import (
    COMMIT,
    branch_problem,
    commit_time,
    fetch_commit,
    git_archive,
    listed,
)
from repositories.source_files import apply_patches, unpack
from repositories.source_tree import checked_git

NEWEST = "newest"
_PROJECT = "matrix-synapse"


@dataclass(frozen=True)
class FoundSource:
    """A source that was found.

    Attributes:
        entry: the entry in pin.json, ``{"git": {...}}`` or ``{"sdist": {...}}``.
        revision: the commit, or the release's tag.
        tree: the folder where it is unpacked, with patches applied.
        message: a progress message for the user.
        time: the time of the commit or of the release's upload (RFC 3339, UTC), or "" if the
            index does not provide it.
    """

    entry: dict[str, Any]
    revision: str
    tree: Path
    message: str
    time: str


def _absolute(repository: str) -> str:
    """Convert a local path to a file:// address, which does not depend on the working directory."""
    path = Path(os.environ.get("BUILD_WORKING_DIRECTORY", "."), repository)
    local = repository.startswith((".", "/", "~")) and "://" not in repository
    if not local:
        return repository
    path = Path(repository).expanduser() if repository[0] == "~" else path
    if not path.exists():
        raise PinError(f"--repo={repository}: there is no such folder; give a checkout")
    return path.resolve().as_uri()


def normal_repository(repository: str) -> str:
    """Return the name under which a repository is pinned: OWNER/NAME or an address.

    Raises:
        PinError: if the folder does not exist, or the address must not be passed to git.
    """
    name = _absolute(repository.removesuffix("/"))
    problem = "" if is_slug(name) else address_problem(name)
    if problem:
        raise PinError(f"--repo={shown(repository)}: {problem}")
    return name


def resolve(address: str, branch: str) -> tuple[str, str]:
    """Return the commit and the kind of ref ("branch", "tag" or "commit") that ``branch`` names.

    Raises:
        PinError: if the git server does not answer or has no such ref.
    """
    if COMMIT.fullmatch(branch):
        return branch, "commit"
    try:
        problem = branch_problem(branch)
        if problem:
            raise PinError(f"--branch={shown(branch)}: {problem}")
        names = [f"refs/heads/{branch}", f"refs/tags/{branch}^{{}}", f"refs/tags/{branch}"]
        commits = listed(address, *names)
        heads = {} if commits else listed(address)
    except SourceError as error:
        raise PinError(str(error)) from None
    for name, kind in zip(names, ("branch", "tag", "tag"), strict=True):
        if name in commits:
            return commits[name], kind
    there = sorted(name.removeprefix("refs/heads/") for name in heads)
    shown_heads = ", ".join(there[:8]) + (f" and {len(there) - 8} more" if len(there) > 8 else "")
    raise PinError(
        f"{address} has no branch and no tag {branch!r}; its branches are {shown_heads or 'none'}"
    )


def from_git(
    repository: str, branch: str, base: str, patches: Sequence[Path], scratch: Path
) -> FoundSource:
    """Fetch the commit that ``branch`` currently refers to and unpack it below ``scratch``.

    Raises:
        PinError: if the source cannot be fetched, unpacked, or patched.
    """
    try:
        address = git_address(repository, base)
    except SourceError as error:
        raise PinError(str(error)) from None
    commit, kind = resolve(address, branch)
    try:
        fetch_commit(scratch / "git", address, commit)
        tree_id, archive = git_archive(scratch / "git", commit)
        tree = unpack(BytesIO(archive), scratch / "source")
        apply_patches(tree, patches)
        seconds = commit_time(scratch / "git", commit)
    except SourceError as error:
        raise PinError(str(error)) from None
    entry = {
        "commit": commit,
        "repository": repository,
        "sha256": hashlib.sha256(archive).hexdigest(),
        "tree": tree_id,
    }
    message = f"{kind} {branch} of {address} is commit {commit}" if kind != "commit" else commit
    return FoundSource(
        {"git": entry}, commit, tree, message, stamp(datetime.fromtimestamp(seconds, UTC))
    )


def newest_release() -> str:
    """Return the newest release on the package index, not counting pre-releases."""
    versions = []
    for file in project_files(_PROJECT):
        try:
            versions.append(parse_sdist_filename(file["filename"])[1])
        except InvalidSdistFilename:
            continue
    released = [version for version in versions if not version.is_prerelease]
    if not released:
        raise PinError(f"the package index has no release of {_PROJECT}")
    return str(max(released))


def from_release(release: str, patches: Sequence[Path], scratch: Path) -> FoundSource:
    """Fetch the sdist of a release (or of the newest one) from the package index and unpack it.

    Raises:
        PinError: if the index has no such sdist, or it cannot be unpacked or patched.
    """
    if release == NEWEST:
        release = newest_release()
    pattern = re.compile(rf"matrix[-_.]synapse-{re.escape(release)}\.tar\.gz")
    files = [file for file in project_files(_PROJECT) if pattern.fullmatch(file["filename"])]
    if not files:
        raise PinError(f"--release={release}: the package index has no {_PROJECT} {release}")
    entry = {
        "filename": files[0]["filename"],
        "name": _PROJECT,
        "sha256": files[0]["hashes"]["sha256"],
    }
    data = download(entry)
    try:
        tree = unpack(BytesIO(data), scratch / "source")
        apply_patches(tree, patches)
    except SourceError as error:
        raise PinError(str(error)) from None
    message = f"release {release} of the package index"
    return FoundSource({"sdist": entry}, f"v{release}", tree, message, release_time(files[0]))


def download(file: dict[str, Any]) -> bytes:
    """Return the bytes of a file on the index.

    Args:
        file: its ``name``, ``filename`` and ``sha256``.

    Raises:
        PinError: if the index no longer has the file, or serves different bytes.
    """
    for entry in project_files(file["name"]):
        if entry["filename"] == file["filename"]:
            data = file_bytes(entry)
            actual = hashlib.sha256(data).hexdigest()
            if actual != file["sha256"]:
                raise PinError(
                    f"{file['filename']} has the sha256 {actual}, and not {file['sha256']}"
                )
            return data
    raise PinError(f"{file['filename']} is not in the package index any more")


def pinned_tree(
    name: str, pin: dict[str, Any], base: str, patches: Sequence[Path], scratch: Path
) -> Path:
    """Unpack the source that ``pin`` names below ``scratch`` and return its top folder.

    Raises:
        PinError: if the source is no longer available, or cannot be unpacked or patched.
    """
    try:
        if "git" in pin:
            archive = checked_git(name, pin["git"], base)
        else:
            archive = download(pin["sdist"])
        tree = unpack(BytesIO(archive), scratch)
        apply_patches(tree, patches)
    except SourceError as error:
        raise PinError(str(error)) from None
    return tree
