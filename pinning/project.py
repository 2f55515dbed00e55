"""Reads the metadata of a Synapse source: version, build backend, Python range, extras."""

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

from pinning.build_backend import ask_backend
from pinning.errors import PinError
from pinning.static_manifest import requirements, write_manifest

_NAME = "matrix-synapse"
# The default of PEP 517 for a source without [build-system].
_SETUPTOOLS = ("setuptools.build_meta:__legacy__", ["setuptools"])


@dataclass(frozen=True)
class Project:
    """The metadata of a source.

    Attributes:
        version: its version.
        licenses: an SPDX expression, or "" if it names no license.
        requires_python: a version specifier (PEP 440), or "".
        extras: the names of its extras.
        backend: the build backend, such as ``maturin``.
        build_requires: the build requirements.
        crates: the number of crates in its Cargo.lock that come from a registry.
        locked: the versions in its poetry.lock, by normalized name.
        manifest: a pyproject.toml for uv with complete static metadata, so that uv runs no code.
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
        """Tell whether the source supports the newest patch release of a Python such as 3.13."""
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
    """Convert Poetry's ``^3.8.0`` to a PEP 440 specifier; return other forms unchanged."""
    match = re.fullmatch(r"\^(\d+)((?:\.\d+)*)", text.strip())
    return f">={match[1]}{match[2]},<{int(match[1]) + 1}" if match else text


def _free_licenses(expression: str) -> str:
    """Return the alternatives with an SPDX identifier: the image is distributed under those."""
    parts = [part.strip() for part in expression.split(" OR ")]
    return " OR ".join(part for part in parts if not part.startswith("LicenseRef-"))


def _setup_version(tree: Path) -> str:
    """Return ``__version__`` from synapse/__init__.py without running it, or "" if not set."""
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
    """Return the metadata of the source at ``tree``.

    Args:
        tree: its top folder.
        what: its name in messages.
        build_root: returns the unpacked build root, for a source whose build backend must run.

    Raises:
        PinError: if it is not Synapse, or its metadata cannot be read.
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
    # The PKG-INFO of an sdist has metadata that only the build backend can compute for a checkout.
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
    required = requirements(
        tree, document, what, lambda: ask_backend(tree, build_root(), build, what)
    )
    return Project(
        version=version,
        licenses=_free_licenses(license_),
        requires_python=requires,
        extras=tuple(sorted(required.extras)),
        backend=backend,
        build_requires=tuple(build_requires),
        crates=_crates(tree),
        locked=_locked(tree),
        manifest=write_manifest(tree.with_name("manifest"), _NAME, version, required),
    )
