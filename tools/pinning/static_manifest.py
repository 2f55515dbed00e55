"""What a source requires, read without running anything of it.

uv builds a source whose pyproject.toml does not say what it requires, and a build backend can do
whatever the user can. So uv is given a manifest in which all is said.
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

from tools.pinning.errors import PinError
from tools.pinning.sdist_metadata import of_egg_info


@dataclass(frozen=True)
class Requirements:
    """What a source requires.

    Attributes:
        always: requirements (PEP 508); their markers may name extras.
        extras: requirements by extra; of an extra that only markers name, none.
    """

    always: Sequence[str]
    extras: Mapping[str, Sequence[str]] = field(default_factory=dict)


def _of_project(document: Mapping[str, Any]) -> Requirements | None:
    """Return what the ``[project]`` table says (PEP 621), or None where a backend would say it."""
    project = document.get("project")
    dynamic = {"dependencies", "optional-dependencies"}
    if project is None or dynamic & set(project.get("dynamic", [])):
        return None
    return Requirements(project.get("dependencies", []), project.get("optional-dependencies", {}))


def _of_poetry(tree: Path, document: Mapping[str, Any], what: str) -> Requirements | None:
    """Return the metadata that Poetry's own library reads from its table."""
    if "dependencies" not in document.get("tool", {}).get("poetry", {}):
        return None
    # It calls tables deprecated that sources of that time had to use.
    logging.getLogger("poetry.core").setLevel(logging.ERROR)
    # Alone in a folder: nothing else of the source is looked at.
    with TemporaryDirectory() as folder:
        manifest = Path(folder, "pyproject.toml")
        manifest.write_bytes((tree / manifest.name).read_bytes())
        try:
            package = Factory().create_poetry(Path(folder), with_groups=False).package
            always = [requirement.to_pep_508() for requirement in package.requires]
        except Exception as error:  # The library's errors have no common kind.
            words = " ".join(str(error).replace(folder, what).split())
            raise PinError(f"{what}: pyproject.toml cannot be read: {words}") from None
    return Requirements(always, {str(extra): [] for extra in package.extras})


def of_metadata(text: str) -> Requirements:
    """Return what core metadata says (https://packaging.python.org/specifications/core-metadata)."""
    headers = HeaderParser().parsestr(text)
    extras = headers.get_all("Provides-Extra") or []
    return Requirements(headers.get_all("Requires-Dist") or [], {extra: [] for extra in extras})


def _of_release(tree: Path) -> Requirements | None:
    """Return what the files say that only an archive of a release has, or None without them."""
    info = tree / "PKG-INFO"
    if info.is_file():
        found = of_metadata(info.read_text(encoding="utf-8", errors="replace"))
        if found.always:
            return found
    for path in tree.glob("*.egg-info/requires.txt"):
        return Requirements(*of_egg_info(path.read_text(encoding="utf-8", errors="replace")))
    return None


def requirements(
    tree: Path, document: Mapping[str, Any], what: str, ask: Callable[[], Requirements]
) -> Requirements:
    """Return what the source at ``tree`` requires.

    Args:
        tree: its top folder.
        document: its pyproject.toml.
        what: how messages call it.
        ask: asks its build backend, in the sandbox; called where no file says it.

    Raises:
        PinError: when it wants a package from elsewhere than the index, or cannot be read.
    """
    found = _of_project(document) or _of_poetry(tree, document, what) or _of_release(tree)
    found = found or ask()
    for text in [*found.always, *(text for texts in found.extras.values() for text in texts)]:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            reason = " ".join(str(error).split())
            raise PinError(f"{what}: {text!r} is not a requirement: {reason}") from None
        if requirement.url:
            raise PinError(
                f"{what} wants {requirement.name} from an address; packages come from the package "
                "index alone"
            )
    return found


def write_manifest(folder: Path, name: str, version: str, found: Requirements) -> Path:
    """Write a pyproject.toml that says ``found`` and nothing else; return its path."""
    lines = ["[project]", f"name = {_text(name)}", f"version = {_text(version)}"]
    lines += [f"dependencies = {_text(list(found.always))}", "[project.optional-dependencies]"]
    lines += [f"{_text(extra)} = {_text(list(texts))}" for extra, texts in found.extras.items()]
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "pyproject.toml"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def _text(value: str | list[str]) -> str:
    # JSON's strings and lists of strings are TOML's, too.
    return json.dumps(value)
