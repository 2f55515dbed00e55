"""Makes a pin: from a wish to the files of its folder."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from config.private.addresses import git_address, public_source
from config.private.source_files import unpack
from tools.pinning.errors import PinError
from tools.pinning.index import File
from tools.pinning.locking import (
    MACHINES,
    Target,
    chosen_files,
    compile_lock,
    files_document,
    resolve_with_wheels,
    versions,
)
from tools.pinning.pins import LOCKS, folder_name, pythons, write_pin
from tools.pinning.project import Project, read_project
from tools.pinning.source import Found, download, from_git, from_release

COMMAND = "./bazelw run pin"
_BUILD = 'exports_files(glob(["**"]), visibility = ["//visibility:public"])\n'
_SYNAPSE = "matrix-synapse"
# Repositories whose home is known: a mirror may serve them, and the image still names the home.
_UPSTREAM = ("element-hq/synapse", "matrix-org/synapse")


@dataclass(frozen=True)
class Wish:
    """What is to be pinned.

    Attributes:
        repository: a slug or an address.
        branch: a branch, tag or commit.
        release: a release of the package index, or ``newest``, taken in place of git; or "".
        suite: the Debian suite of the image.
        extras: of Synapse.
        base: where slugs lie, or "" for their default.
        hand: hand-written files of the folder: constraints.in, modules.in, patches/*.patch.
    """

    repository: str
    branch: str
    release: str
    suite: str
    extras: tuple[str, ...]
    base: str
    hand: Mapping[str, bytes]


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


def _check(project: Project, wish: Wish, workspace: Path) -> tuple[int, int]:
    """Return the Python of the wish, once project and wish go together."""
    found = pythons(workspace)
    if wish.suite not in found:
        raise PinError(f"--suite={wish.suite} is not a suite; choose one of {', '.join(found)}")
    python = found[wish.suite]
    if not project.takes_python(python):
        others = [suite for suite in found if project.takes_python(found[suite])]
        remedy = f"use --suite {others[0]}" if others else "no suite here has a Python for it"
        raise PinError(
            f"Synapse {project.version} takes Python {project.requires_python}, and {wish.suite} "
            f"has Python {python}; {remedy}"
        )
    known = {str(canonicalize_name(name)) for name in project.extras}
    for extra in wish.extras:
        if str(canonicalize_name(extra)) not in known:
            raise PinError(
                f"--extras: Synapse {project.version} has no extra {extra!r}; it has "
                f"{', '.join(project.extras)}"
            )
    major, minor = python.split(".")
    return int(major), int(minor)


def _root_versions(workspace: Path, suite: str) -> dict[str, str]:
    """Return the Python packages that the build root has from Debian, with their versions."""
    lock = json.loads((workspace / f"config/debian/{suite}/build.amd64.lock.json").read_text())
    return {
        entry["name"].removeprefix("python3-"): entry["version"].partition("-")[0]
        for entry in lock["packages"]
        if entry["name"].startswith("python3-")
    }


def _build_requires(
    project: Project, files: Sequence[File], root: Mapping[str, str], scratch: Path
) -> list[str]:
    """Return what the build backends of Synapse and of every sdist need beyond the build root."""
    wanted = set(project.build_requires)
    for number, file in enumerate(files):
        if file["filename"].endswith(".tar.gz"):
            tree = unpack(BytesIO(download(file)), scratch / f"sdist{number}")
            manifest = tree / "pyproject.toml"
            if manifest.exists():
                wanted |= set(_requires_of(manifest))
    result = []
    for text in sorted(wanted):
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        have = root.get(canonicalize_name(requirement.name))
        if have is None or not requirement.specifier.contains(have):
            result.append(text)
    return result


def _requires_of(manifest: Path) -> list[str]:
    import tomllib

    document = tomllib.loads(manifest.read_text(encoding="utf-8"))
    return list(document.get("build-system", {}).get("requires", []))


def _runtime(
    project: Project, wish: Wish, targets: Sequence[Target], scratch: Path
) -> tuple[str, list[File], list[str]]:
    """Return the lock of what Synapse and its modules import, the chosen files, and words."""
    said = []
    paths = {}
    for name in ("constraints.in", "modules.in"):
        paths[name] = scratch / name
        paths[name].write_bytes(wish.hand.get(name, b""))
    constraints = [paths["constraints.in"]]
    sources = [project.manifest, paths["modules.in"]]
    options: dict[str, Any] = {
        "extras": wish.extras,
        "leave_out": [_SYNAPSE],
        "constraints": constraints,
    }
    text = resolve_with_wheels(sources, targets[0], project.locked, **options)
    found = versions(text)
    if project.locked:
        apart = [
            f"{name} {project.locked[name]} -> {found[name]}"
            for name in sorted(found.keys() & project.locked.keys())
            if found[name] != project.locked[name]
        ]
        said.append(f"{len(found) - len(apart)} of {len(found)} packages as in its poetry.lock")
        if apart:
            said.append(f"apart from: {', '.join(apart)}")
    own = set(found)
    if wish.hand.get("modules.in", b"").strip():
        # What Synapse alone needs, at the very same versions; the rest is the modules' own.
        fixed = scratch / "joint.in"
        fixed.write_text("".join(f"{name}=={version}\n" for name, version in found.items()))
        own = set(
            versions(
                compile_lock(
                    [project.manifest], targets[0].python, constraints=[fixed],
                    extras=wish.extras, leave_out=[_SYNAPSE],
                )
            )
        )  # fmt: skip
        said.append(f"of its modules: {', '.join(sorted(set(found) - own))}")
    files = chosen_files(text, targets, "wheels", "sdists", sorted(own))
    modules = sorted(set(found) - own)
    files += chosen_files(text, targets, "modules", "module_sdists", modules) if modules else []
    return text, files, said


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
        project = read_project(found.tree, what, lambda: build_root(wish.suite))
        python = _check(project, wish, workspace)
        # Both architectures in one lock; the wheels may ask for the glibc of the older suite.
        targets = [Target(python, architecture) for architecture in MACHINES]
        text, files, said = _runtime(project, wish, targets, scratch)
        root = _root_versions(workspace, wish.suite)
        (scratch / "build_requirements.in").write_text(
            "".join(f"{line}\n" for line in _build_requires(project, files, root, scratch))
        )
        build = compile_lock([scratch / "build_requirements.in"], python)
        files += chosen_files(build, targets, "build_wheels", "build_wheels")
    name = folder_name(workspace, wish.repository, wish.branch)
    locks = {
        "build_requirements_lock.txt": f"# Made by: {COMMAND}\n{build}",
        "files.lock.json": files_document(files, COMMAND),
        "requirements_lock.txt": f"# Made by: {COMMAND}\n{text}",
    }
    patches = sorted(path for path in wish.hand if path.startswith("patches/"))
    document = {
        "//": f"Made by: {COMMAND}",
        "branch": wish.branch,
        "build_backend": project.backend,
        "crates": project.crates,
        "extras": list(wish.extras),
        "licenses": project.licenses,
        "locks": {lock: _sha256(locks[lock].encode()) for lock in LOCKS},
        "patches": {path.partition("/")[2]: _sha256(wish.hand[path]) for path in patches},
        "python": ".".join(map(str, python)),
        "release": wish.release,
        "repository": wish.repository,
        "requires_python": project.requires_python,
        "revision": found.revision,
        # The AGPL asks that the image names where its source lies.
        "source": public_source(
            git_address(wish.repository, "" if wish.repository in _UPSTREAM else wish.base)
        ),
        "suite": wish.suite,
        "version": project.version,
        **found.place,
    }
    row = {
        "folder": name,
        "modules": any(file["folder"].startswith("module") for file in files),
        "patches": list(document["patches"]),
        "suite": wish.suite,
    }
    pin_json = json.dumps(document, indent=1, sort_keys=True) + "\n"
    texts = {path: text.encode() for path, text in locks.items()}
    texts |= {"BUILD.bazel": _BUILD.encode(), "pin.json": pin_json.encode(), **wish.hand}
    write_pin(workspace, (wish.repository, wish.branch), row, texts)
    backend = f"{project.backend}, {project.crates} crates" if project.crates else project.backend
    first = [
        found.said,
        f"Synapse {project.version} for Python {document['python']} on {wish.suite} "
        f"(it takes {project.requires_python or 'any'}), built by {backend}",
    ]
    compiled = [
        file["name"] for file in files
        if "sdists" in file["folder"] and "amd64" in file["architectures"]
    ]  # fmt: skip
    said.append(f"compiled from source: {', '.join(compiled) or 'nothing'}")
    return Made(name, document, files, [*first, *said])


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
