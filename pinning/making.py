"""Makes a pin: resolves a request and writes the files of the pin's folder."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinning.as_of import ALL, AsOf
from pinning.choosing import files_document
from pinning.errors import PinError
from pinning.index import File
from pinning.pins import LOCKS, folder_name, newest_suite, write_pin
from pinning.project import Project, read_project
from pinning.resolving import Resolved, resolve
from pinning.source import FoundSource, from_git, from_release
from pinning.wish import Wish
from repositories.addresses import git_address, public_source

COMMAND = "./bazelw run pin"
_BUILD = """\
exports_files(
    glob(["**"]),
    visibility = ["//visibility:public"],
)
"""
# Repositories whose upstream is known. The image names it even if a mirror served the source.
_UPSTREAM = ("element-hq/synapse", "matrix-org/synapse")


@dataclass(frozen=True)
class Made:
    """A pin that was made.

    Attributes:
        name: the folder name below config/pins.
        document: the content of pin.json.
        files: the pinned files, as in files.lock.json.
        messages: progress messages, one line each.
    """

    name: str
    document: dict[str, Any]
    files: list[File]
    messages: list[str]


def _fetch(wish: Wish, scratch: Path) -> FoundSource:
    patches = []
    for name, data in wish.hand.items():
        if name.startswith("patches/"):
            path = scratch / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            patches.append(path)
    if wish.release:
        return from_release(wish.release, patches, scratch)
    return from_git(wish.repository, wish.branch, wish.base, patches, scratch)


def _as_of(source: FoundSource, wish: Wish) -> AsOf:
    """Return the cutoff time of the packages.

    Raises:
        PinError: if the index does not say when the source was uploaded, and the request does not
            take the newest packages.
    """
    if not source.time and ALL not in wish.newer:
        raise PinError(
            f"the package index does not say when {source.entry['sdist']['filename']} was uploaded "
            "(PEP 700), so its packages cannot be chosen as of then; name an index that does with "
            f"PIP_INDEX_URL, or take the newest packages with --newer {ALL}"
        )
    return AsOf(source.time or wish.newer[ALL], wish.newer)


def _locks(resolved: Resolved) -> dict[str, str]:
    """Return the texts of the pin's locks, by file name."""
    return {
        "build_requirements_lock.txt": f"# Made by: {COMMAND}\n{resolved.build_lock}",
        "files.lock.json": files_document(resolved.files, COMMAND),
        "requirements_lock.txt": f"# Made by: {COMMAND}\n{resolved.lock}",
    }


def _document(
    wish: Wish, source: FoundSource, project: Project, resolved: Resolved, locks: Mapping[str, str]
) -> dict[str, Any]:
    """Return the content of pin.json."""
    patches = sorted(path for path in wish.hand if path.startswith("patches/"))
    return {
        "//": f"Made by: {COMMAND}",
        "as_of": resolved.as_of.time,
        "branch": wish.branch,
        "build_backend": project.backend,
        "crates": project.crates,
        "extras": list(wish.extras),
        "first_wheels": dict(resolved.as_of.first_wheels),
        "licenses": project.licenses,
        "locks": {lock: _sha256(locks[lock].encode()) for lock in LOCKS},
        "newer": dict(resolved.as_of.newer),
        "patches": {path.partition("/")[2]: _sha256(wish.hand[path]) for path in patches},
        "python": ".".join(map(str, resolved.python)),
        "release": wish.release,
        "repository": wish.repository,
        "requires_python": project.requires_python,
        "revision": source.revision,
        # The AGPL requires the image to say where its source is.
        "source": public_source(
            git_address(wish.repository, "" if wish.repository in _UPSTREAM else wish.base)
        ),
        "suite": resolved.suite,
        "version": project.version,
        **source.entry,
    }


def _table_row(name: str, document: Mapping[str, Any], files: Sequence[File]) -> dict[str, Any]:
    """Return the pin's entry in config/synapse_pins.bzl, which Bazel reads to load packages."""
    return {
        "folder": name,
        "modules": any(file["folder"].startswith("module") for file in files),
        "patches": list(document["patches"]),
        "suite": document["suite"],
    }


def _folder(wish: Wish, document: Mapping[str, Any], locks: Mapping[str, str]) -> dict[str, bytes]:
    """Return the content of each file in the pin's folder, by path."""
    pin_json = json.dumps(document, indent=1, sort_keys=True) + "\n"
    texts = {**locks, "BUILD.bazel": _BUILD, "pin.json": pin_json}
    return {path: text.encode() for path, text in texts.items()} | dict(wish.hand)


def _summary(source: FoundSource, project: Project, resolved: Resolved) -> list[str]:
    """Return the progress messages, one line each."""
    python = ".".join(map(str, resolved.python))
    backend = f"{project.backend}, {project.crates} crates" if project.crates else project.backend
    return [
        source.message,
        f"Synapse {project.version} for Python {python} on {resolved.suite} "
        f"(it takes {project.requires_python or 'any'}), built by {backend}",
        f"packages as of {resolved.as_of.time}",
        *resolved.messages,
    ]


def make(workspace: Path, wish: Wish, build_root: Callable[[str], Path]) -> Made:
    """Resolve ``wish`` and write its pin; nothing is written until everything is resolved.

    Args:
        workspace: the repository's top folder.
        wish: the request.
        build_root: returns the unpacked build root of a suite, in which build backends run.

    Raises:
        PinError: if the pin cannot be made; the message names the first problem found.
    """
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        source = _fetch(wish, scratch)
        what = wish.release or f"{wish.repository} {wish.branch}"
        project = read_project(
            source.tree, what, lambda: build_root(wish.suite or newest_suite(workspace))
        )
        resolved = resolve(project, wish, workspace, _as_of(source, wish), scratch / "resolved")
    name = folder_name(workspace, wish.repository, wish.branch)
    locks = _locks(resolved)
    document = _document(wish, source, project, resolved, locks)
    row = _table_row(name, document, resolved.files)
    write_pin(workspace, (wish.repository, wish.branch), row, _folder(wish, document, locks))
    return Made(name, document, resolved.files, _summary(source, project, resolved))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
