"""Resolves the runtime and build packages of a source, and chooses the suite of its image."""

import json
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pinning.as_of import ALL, AsOf
from pinning.choosing import MACHINES, Target, chosen_files, versions
from pinning.errors import PinError
from pinning.index import File
from pinning.locking import WheelsLackError, compile_lock, resolve_with_wheels
from pinning.pins import pythons
from pinning.project import Project
from pinning.source import download
from pinning.wish import Wish
from repositories.source_files import unpack

_SYNAPSE = "matrix-synapse"


@dataclass(frozen=True)
class Resolved:
    """The packages of a source on one suite.

    Attributes:
        suite: the Debian suite.
        python: its Python version, such as (3, 13).
        lock: the lock of the runtime packages of Synapse and its modules.
        build_lock: the lock of the packages that build them.
        files: the chosen files of both locks.
        as_of: the time after which uploaded files were ignored.
        messages: progress messages, one line each.
    """

    suite: str
    python: tuple[int, int]
    lock: str
    build_lock: str
    files: list[File]
    as_of: AsOf
    messages: list[str]


def _suites(project: Project, wish: Wish, workspace: Path) -> list[tuple[str, tuple[int, int]]]:
    """Return (suite, Python) for each suite that the request and the project allow.

    The newest Python comes first.
    """
    python_by_suite = pythons(workspace)
    if wish.suite and wish.suite not in python_by_suite:
        raise PinError(
            f"--suite={wish.suite} is not a suite; choose one of {', '.join(python_by_suite)}"
        )
    fitting = [suite for suite in python_by_suite if project.takes_python(python_by_suite[suite])]
    if wish.suite and wish.suite not in fitting:
        remedy = f"use --suite {fitting[0]}" if fitting else "no suite here has a Python for it"
        raise PinError(
            f"Synapse {project.version} takes Python {project.requires_python}, and {wish.suite} "
            f"has Python {python_by_suite[wish.suite]}; {remedy}"
        )
    if not fitting:
        listed = ", ".join(f"{suite} has {python}" for suite, python in python_by_suite.items())
        raise PinError(
            f"Synapse {project.version} takes Python {project.requires_python}, and no suite here "
            f"has one: {listed}"
        )
    result = []
    for suite in [wish.suite] if wish.suite else fitting:
        major, minor = python_by_suite[suite].split(".")
        result.append((suite, (int(major), int(minor))))
    return sorted(result, key=lambda row: row[1], reverse=True)


def _check_extras(project: Project, wish: Wish) -> None:
    known = {str(canonicalize_name(name)) for name in project.extras}
    for extra in wish.extras:
        if str(canonicalize_name(extra)) not in known:
            raise PinError(
                f"--extras: Synapse {project.version} has no extra {extra!r}; it has "
                f"{', '.join(project.extras)}"
            )


def _root_versions(workspace: Path, suite: str) -> dict[str, str]:
    """Return the versions of the Debian Python packages in the build root, by name."""
    lock = json.loads((workspace / f"config/debian/{suite}/build.amd64.lock.json").read_text())
    return {
        entry["name"].removeprefix("python3-"): entry["version"].partition("-")[0]
        for entry in lock["packages"]
        if entry["name"].startswith("python3-")
    }


def _build_requires(
    project: Project, files: Sequence[File], root: Mapping[str, str], scratch: Path
) -> list[str]:
    """Return the build requirements of Synapse and each sdist that the build root does not meet."""
    wanted = set(project.build_requires)
    for number, file in enumerate(files):
        if file["filename"].endswith(".tar.gz"):
            tree = unpack(BytesIO(download(file)), scratch / f"sdist{number}")
            manifest = tree / "pyproject.toml"
            if manifest.exists():
                document = tomllib.loads(manifest.read_text(encoding="utf-8"))
                wanted |= set(document.get("build-system", {}).get("requires", []))
    result = []
    for text in sorted(wanted):
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        have = root.get(canonicalize_name(requirement.name))
        if have is None or not requirement.specifier.contains(have):
            result.append(text)
    return result


def _runtime(
    project: Project,
    wish: Wish,
    targets: Sequence[Target],
    as_of: AsOf,
    scratch: Path,
    *,
    later: bool,
) -> tuple[str, list[File], AsOf, list[str]]:
    """Resolve the runtime packages of Synapse and its modules.

    Returns:
        The lock, the chosen files, the resulting cutoff times, and progress messages.
    """
    messages = []
    paths = {}
    for name in ("constraints.in", "modules.in"):
        paths[name] = scratch / name
        paths[name].write_bytes(wish.hand.get(name, b""))
    sources = [project.manifest, paths["modules.in"]]
    options: dict[str, Any] = {
        "extras": wish.extras,
        "leave_out": [_SYNAPSE],
    }
    text, as_of = resolve_with_wheels(
        sources,
        targets[0],
        project.locked,
        as_of,
        constraints=[paths["constraints.in"]],
        later=later,
        **options,
    )
    version_by_name = versions(text)
    if project.locked:
        apart = [
            f"{name} {project.locked[name]} -> {version_by_name[name]}"
            for name in sorted(version_by_name.keys() & project.locked.keys())
            if version_by_name[name] != project.locked[name]
        ]
        same, total = len(version_by_name) - len(apart), len(version_by_name)
        messages.append(f"{same} of {total} packages as in its poetry.lock")
        if apart:
            messages.append(f"apart from: {', '.join(apart)}")
    own = set(version_by_name)
    if wish.hand.get("modules.in", b"").strip():
        # The packages that Synapse itself needs, at the same versions; the rest belong to modules.
        fixed = scratch / "joint.in"
        fixed.write_text(
            "".join(f"{name}=={version}\n" for name, version in version_by_name.items())
        )
        alone = compile_lock(
            [project.manifest], targets[0].python, constraints=[fixed], as_of=as_of, **options
        )
        own = set(versions(alone))
        messages.append(
            f"of its modules: {', '.join(sorted(set(version_by_name) - own)) or 'nothing more'}"
        )
    files = chosen_files(text, targets, "wheels", "sdists", sorted(own))
    modules = sorted(set(version_by_name) - own)
    files += chosen_files(text, targets, "modules", "module_sdists", modules) if modules else []
    return text, files, as_of, messages


def _on(
    suite: str, python: tuple[int, int], project: Project, wish: Wish, workspace: Path,
    as_of: AsOf, scratch: Path, *, later: bool,
) -> Resolved:  # fmt: skip
    """Resolve the packages for one suite."""
    scratch.mkdir()
    # One lock covers both architectures. Wheels may require at most the older suite's glibc.
    targets = [Target(python, architecture) for architecture in MACHINES]
    text, files, as_of, messages = _runtime(project, wish, targets, as_of, scratch, later=later)
    wanted = scratch / "build_requirements.in"
    requires = _build_requires(project, files, _root_versions(workspace, suite), scratch)
    wanted.write_text("".join(f"{line}\n" for line in requires))
    build, as_of = resolve_with_wheels([wanted], targets[0], {}, as_of, later=later)
    files += chosen_files(build, targets, "build_wheels", "build_wheels")
    version_by_name = versions(build) | versions(text)
    unknown = sorted(as_of.newer.keys() - version_by_name.keys() - {ALL})
    for name in unknown:
        if name in wish.asked:
            raise PinError(
                f"--newer={name}: Synapse {project.version} does not need it; its packages are "
                f"{', '.join(sorted(version_by_name))}"
            )
        messages.append(f"{name} is not needed any more, so that it is no longer newer")
    as_of = replace(as_of, newer={n: t for n, t in as_of.newer.items() if n not in unknown})
    if as_of.newer:
        named = [f"{name} {version_by_name.get(name, '')}".strip() for name in sorted(as_of.newer)]
        messages.append(f"newer than the source, by --newer: {', '.join(named)}")
    if as_of.first_wheels:
        names = ", ".join(f"{name} {version_by_name[name]}" for name in sorted(as_of.first_wheels))
        messages.append(
            f"newer than the source, as the first with a wheel for Python {python[0]}.{python[1]}: "
            f"{names}"
        )
    compiled = [
        file["name"]
        for file in files
        if "sdists" in file["folder"] and "amd64" in file["architectures"]
    ]
    messages.append(f"compiled from source: {', '.join(compiled) or 'nothing'}")
    return Resolved(suite, python, text, build, files, as_of, messages)


def resolve(project: Project, wish: Wish, workspace: Path, as_of: AsOf, scratch: Path) -> Resolved:
    """Return the packages of ``project`` as of the time of its source.

    If the request names no suite, use the newest one whose Python was supported at that time: each
    package that has Linux wheels must have one for it. If no suite qualifies, use the one with the
    fewest packages that lack such a wheel, and take newer releases of these.

    Raises:
        PinError: if the packages cannot be resolved on any suite.
    """
    scratch.mkdir()
    suites = _suites(project, wish, workspace)
    _check_extras(project, wish)
    messages: list[str] = []
    lacking: dict[str, Collection[str]] = {}
    failed: list[PinError] = []
    for suite, python in suites:
        folder = scratch / suite
        try:
            resolved = _on(suite, python, project, wish, workspace, as_of, folder, later=False)
        except WheelsLackError as error:
            lacking[suite] = error.names
            names = sorted(error.names)
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            messages.append(
                f"Python {python[0]}.{python[1]} of {suite} had no wheel as of then for "
                f"{', '.join(names[:5])}{more}"
            )
        except PinError as error:
            failed.append(error)
            messages.append(f"{suite}: {str(error).splitlines()[-1]}")
        else:
            return replace(resolved, messages=[*messages, *resolved.messages])
    if not lacking:
        raise failed[0]
    best = min(lacking, key=lambda suite: len(lacking[suite]))
    folder = scratch / f"{best}-later"
    python = dict(suites)[best]
    resolved = _on(best, python, project, wish, workspace, as_of, folder, later=True)
    return replace(resolved, messages=[*messages, *resolved.messages])
