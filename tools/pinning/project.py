"""Reads what a source of Synapse says of itself: version, build backend, Python range, extras."""

import ast
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from tools.pinning.errors import PinError
from tools.pinning.sandbox import ask_backend
from tools.pinning.static_manifest import requirements, write_manifest

_NAME = "matrix-synapse"
# PEP 517: what a source without [build-system] is built with.
_SETUPTOOLS = ("setuptools.build_meta:__legacy__", ["setuptools"])


@dataclass(frozen=True)
class Project:
    """What a source says.

    Attributes:
        version: its version.
        licenses: an SPDX expression, or "" when it names none.
        requires_python: a version specifier (PEP 440), or "".
        extras: the names of its extras.
        backend: the build backend, such as ``maturin``.
        build_requires: what the backend needs.
        crates: how many crates its Cargo.lock has from a registry.
        locked: version by normalised name, of its poetry.lock.
        manifest: the pyproject.toml that uv reads: it says everything, so that nothing is run.
    """

    version: str
    licenses: str
    requires_python: str
    extras: tuple[str, ...]
    backend: str
    build_requires: tuple[str, ...]
    crates: int
    locked: Mapping[str, str]
    manifest: Path

    def takes_python(self, python: str) -> bool:
        """Whether its range includes a Python such as 3.13; its newest patch release is meant."""
        return not self.requires_python or SpecifierSet(self.requires_python).contains(
            f"{python}.99"
        )


def _toml(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PinError(f"{path.name} of the source is not TOML: {error}") from None


def _caret(text: str) -> str:
    """Return poetry's ``^3.8.0`` as PEP 440; other forms are PEP 440 already."""
    match = re.fullmatch(r"\^(\d+)((?:\.\d+)*)", text.strip())
    return f">={match[1]}{match[2]},<{int(match[1]) + 1}" if match else text


def _free_licenses(expression: str) -> str:
    """Return the alternatives that have an SPDX name: the image is given under those."""
    parts = [part.strip() for part in expression.split(" OR ")]
    return " OR ".join(part for part in parts if not part.startswith("LicenseRef-"))


def _setup_version(tree: Path) -> str:
    """Return ``__version__`` of synapse/__init__.py, without running it."""
    module = ast.parse((tree / "synapse/__init__.py").read_text(encoding="utf-8"))
    for node in module.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__version__":
            return str(ast.literal_eval(node.value))
    return ""


def _crates(tree: Path) -> int:
    packages = _toml(tree / "Cargo.lock").get("package", [])
    return sum("checksum" in package for package in packages)


def _locked(tree: Path) -> dict[str, str]:
    packages = _toml(tree / "poetry.lock").get("package", [])
    return {str(canonicalize_name(row["name"])): row["version"] for row in packages}


def read_project(tree: Path, what: str, build_root: Callable[[], Path]) -> Project:
    """Return what the source at ``tree`` says.

    Args:
        tree: its top folder.
        what: how messages call it.
        build_root: returns the unpacked build root, for a source whose build backend must be asked.

    Raises:
        PinError: when it is not Synapse, or says what cannot be read.
    """
    document = _toml(tree / "pyproject.toml")
    standard = document.get("project", {})
    poetry = document.get("tool", {}).get("poetry", {})
    name = standard.get("name") or poetry.get("name") or ""
    setup = tree / "setup.py"
    if not name and setup.exists() and _NAME in setup.read_text(encoding="utf-8"):
        name = _NAME
    if canonicalize_name(name) != _NAME or not (tree / "synapse/app/homeserver.py").is_file():
        raise PinError(
            f"{what} is not Synapse: its project is called {name or 'nothing'!r}, and it "
            f"{'has' if (tree / 'synapse').is_dir() else 'lacks'} a folder synapse; pin a source "
            f"of {_NAME}"
        )
    # An sdist says in PKG-INFO what only the build backend knows of a checkout.
    info = HeaderParser().parsestr(
        (tree / "PKG-INFO").read_text(encoding="utf-8") if (tree / "PKG-INFO").exists() else ""
    )
    version = standard.get("version") or poetry.get("version") or _setup_version(tree)
    if not version:
        raise PinError(f"{what} does not say its version")
    license_ = standard.get("license") or poetry.get("license") or info["License"] or ""
    if isinstance(license_, dict):
        license_ = license_.get("text", "")
    requires = (
        standard.get("requires-python")
        or info["Requires-Python"]
        or _caret(str(poetry.get("dependencies", {}).get("python", "")))
    )
    build = document.get("build-system", {})
    backend, build_requires = _SETUPTOOLS
    if build:
        backend = build.get("build-backend", backend)
        build_requires = build.get("requires", [])
    try:
        SpecifierSet(requires)
        for requirement in build_requires:
            Requirement(requirement)
    except (InvalidSpecifier, InvalidRequirement) as error:
        raise PinError(f"{what}: {error}") from None
    found = requirements(tree, document, what, lambda: ask_backend(tree, build_root(), build, what))
    return Project(
        version=version,
        licenses=_free_licenses(license_),
        requires_python=requires,
        extras=tuple(sorted(found.extras)),
        backend=backend,
        build_requires=tuple(build_requires),
        crates=_crates(tree),
        locked=_locked(tree),
        manifest=write_manifest(tree.with_name("manifest"), _NAME, version, found),
    )
