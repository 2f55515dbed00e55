"""Makes a pin: from a wish to the files of its folder."""

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.private.addresses import git_address, public_source
from tools.pinning.as_of import ALL, AsOf
from tools.pinning.choosing import files_document
from tools.pinning.errors import PinError
from tools.pinning.index import File
from tools.pinning.pins import LOCKS, folder_name, newest_suite, write_pin
from tools.pinning.project import read_project
from tools.pinning.resolving import resolve
from tools.pinning.source import Found, from_git, from_release
from tools.pinning.wish import Wish

COMMAND = "./bazelw run pin"
_BUILD = 'exports_files(glob(["**"]), visibility = ["//visibility:public"])\n'
# Repositories whose home is known: a mirror may serve them, and the image still names the home.
_UPSTREAM = ("element-hq/synapse", "matrix-org/synapse")


@dataclass(frozen=True)
class Made:
    """What was made.

    Attributes:
        name: the folder below config/pins.
        document: its pin.json.
        files: its files, as in files.lock.json.
        said: what was done, a line each.
    """

    name: str
    document: dict[str, Any]
    files: list[File]
    said: list[str]


def _find(wish: Wish, scratch: Path) -> Found:
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


def make(workspace: Path, wish: Wish, build_root: Callable[[str], Path]) -> Made:
    """Resolve ``wish`` and write its pin; nothing is written before everything is known.

    Args:
        workspace: the repository's top folder.
        wish: what is to be pinned.
        build_root: returns the unpacked build root of a suite, where a build backend is asked.

    Raises:
        PinError: with the one thing that stands in the way.
    """
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        found = _find(wish, scratch)
        what = wish.release or f"{wish.repository} {wish.branch}"
        project = read_project(
            found.tree, what, lambda: build_root(wish.suite or newest_suite(workspace))
        )
        if not found.time and ALL not in wish.newer:
            raise PinError(
                f"the package index does not say when {found.place['sdist']['filename']} was "
                "uploaded (PEP 700), so its packages cannot be chosen as of then; name an index "
                f"that does with PIP_INDEX_URL, or take the newest packages with --newer {ALL}"
            )
        as_of = AsOf(found.time or wish.newer[ALL], wish.newer)
        resolved = resolve(project, wish, workspace, as_of, scratch / "resolved")
    name = folder_name(workspace, wish.repository, wish.branch)
    locks = {
        "build_requirements_lock.txt": f"# Made by: {COMMAND}\n{resolved.build_lock}",
        "files.lock.json": files_document(resolved.files, COMMAND),
        "requirements_lock.txt": f"# Made by: {COMMAND}\n{resolved.lock}",
    }
    patches = sorted(path for path in wish.hand if path.startswith("patches/"))
    document = {
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
        "revision": found.revision,
        # The AGPL asks that the image names where its source lies.
        "source": public_source(
            git_address(wish.repository, "" if wish.repository in _UPSTREAM else wish.base)
        ),
        "suite": resolved.suite,
        "version": project.version,
        **found.place,
    }
    row = {
        "folder": name,
        "modules": any(file["folder"].startswith("module") for file in resolved.files),
        "patches": list(document["patches"]),
        "suite": resolved.suite,
    }
    pin_json = json.dumps(document, indent=1, sort_keys=True) + "\n"
    texts = {path: text.encode() for path, text in locks.items()}
    texts |= {"BUILD.bazel": _BUILD.encode(), "pin.json": pin_json.encode(), **wish.hand}
    write_pin(workspace, (wish.repository, wish.branch), row, texts)
    backend = f"{project.backend}, {project.crates} crates" if project.crates else project.backend
    first = [
        found.said,
        f"Synapse {project.version} for Python {document['python']} on {resolved.suite} "
        f"(it takes {project.requires_python or 'any'}), built by {backend}",
        f"packages as of {resolved.as_of.time}",
    ]
    return Made(name, document, resolved.files, [*first, *resolved.said])


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
