"""Reads the requirements of a source without running any of its code.

uv builds a source whose pyproject.toml does not state its requirements, and a build backend can do
anything that the user can. uv therefore gets a manifest that states all requirements.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.parser import HeaderParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from poetry.core.factory import Factory

from pinning.errors import PinError
from pinning.sdist_metadata import of_egg_info


@dataclass(frozen=True)
class Requirements:
    """The requirements of a source.

    Attributes:
        always: requirements (PEP 508); their markers may name extras.
        extras: requirements by extra; the list is empty for an extra that only markers refer to.
    """

    always: Sequence[str]
    extras: Mapping[str, Sequence[str]] = field(default_factory=dict)


def _of_project(document: Mapping[str, Any]) -> Requirements | None:
    """Return the requirements in the ``[project]`` table (PEP 621), or None if they are dynamic."""
    project = document.get("project")
    dynamic = {"dependencies", "optional-dependencies"}
    if project is None or dynamic & set(project.get("dynamic", [])):
        return None
    return Requirements(project.get("dependencies", []), project.get("optional-dependencies", {}))


def _of_poetry(tree: Path, document: Mapping[str, Any], what: str) -> Requirements | None:
    """Return what Poetry's own library reads from its table, or None if there is no such table."""
    if "dependencies" not in document.get("tool", {}).get("poetry", {}):
        return None
    # It logs deprecation warnings for tables that older sources had to use.
    logging.getLogger("poetry.core").setLevel(logging.ERROR)
    # The manifest is alone in a folder, so that no other file of the source is read.
    with TemporaryDirectory() as folder:
        manifest = Path(folder, "pyproject.toml")
        manifest.write_bytes((tree / manifest.name).read_bytes())
        try:
            package = Factory().create_poetry(Path(folder), with_groups=False).package
            always = [requirement.to_pep_508() for requirement in package.requires]
        except Exception as error:  # The library's errors have no common base class.
            words = " ".join(str(error).replace(folder, what).split())
            raise PinError(f"{what}: pyproject.toml cannot be read: {words}") from None
    return Requirements(always, {str(extra): [] for extra in package.extras})


def of_metadata(text: str) -> Requirements:
    """Parse core metadata (https://packaging.python.org/specifications/core-metadata)."""
    headers = HeaderParser().parsestr(text)
    extras = headers.get_all("Provides-Extra") or []
    return Requirements(headers.get_all("Requires-Dist") or [], {extra: [] for extra in extras})


def _of_release(tree: Path) -> Requirements | None:
    """Return the requirements in the metadata files of an sdist, or None if it has none."""
    info = tree / "PKG-INFO"
    if info.is_file():
        stated = of_metadata(info.read_text(encoding="utf-8", errors="replace"))
        if stated.always:
            return stated
    for path in tree.glob("*.egg-info/requires.txt"):
        return Requirements(*of_egg_info(path.read_text(encoding="utf-8", errors="replace")))
    return None


def requirements(
    tree: Path, document: Mapping[str, Any], what: str, ask: Callable[[], Requirements]
) -> Requirements:
    """Return the requirements of the source at ``tree``.

    Args:
        tree: its top folder.
        document: its parsed pyproject.toml.
        what: its name in messages.
        ask: runs its build backend in the sandbox; called only if no file has the requirements.

    Raises:
        PinError: if it requires a package from outside the index, or cannot be read.
    """
    required = _of_project(document) or _of_poetry(tree, document, what) or _of_release(tree)
    required = required or ask()
    for text in [*required.always, *(text for texts in required.extras.values() for text in texts)]:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            reason = " ".join(str(error).split())
            raise PinError(f"{what}: {text!r} is not a requirement: {reason}") from None
        if requirement.url:
            raise PinError(
                f"{what} requires {requirement.name} from a URL; packages are taken only from the "
                "package index"
            )
    return required


def write_manifest(folder: Path, name: str, version: str, required: Requirements) -> Path:
    """Write a pyproject.toml with only a name, a version, and ``required``; return its path."""
    lines = ["[project]", f"name = {_text(name)}", f"version = {_text(version)}"]
    lines += [f"dependencies = {_text(list(required.always))}", "[project.optional-dependencies]"]
    lines += [f"{_text(extra)} = {_text(list(texts))}" for extra, texts in required.extras.items()]
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "pyproject.toml"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def _text(value: str | list[str]) -> str:
    # JSON strings and lists of strings are valid TOML.
    return json.dumps(value)
