"""Checks that the dependencies between the top-level folders have one direction."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

# The real workspace, to which the symlinks in the runfiles point.
WORKSPACE = Path(__file__).resolve().parents[2]
# A folder may only use folders that precede it.
ORDER = (
    "config",
    "debian_mode",
    "repositories",
    "sandbox",
    "synapse_wheel",
    "deploy",
    "supervisor",
    "worker",
    "layers",
    "image",
    "pinning",
    "testbed",
    "demo",
    "examples",
    "tools",
    "tests",
)
_LABEL = re.compile(r'"@?@?//([\w./-]*)(?::([\w./-]+))?"')


def top_folders() -> list[str]:
    """Return the sorted top-level folders that contain code."""
    return [
        folder.name
        for folder in sorted(WORKSPACE.iterdir())
        if folder.is_dir()
        and not folder.name.startswith((".", "bazel-"))
        and any(any(folder.rglob(pattern)) for pattern in ("BUILD.bazel", "*.bzl", "*.py"))
    ]


def labels(text: str) -> Iterator[str]:
    """Yield the top-level folder of each label in a BUILD or .bzl file, except visibility."""
    lines = [line.partition("#")[0] for line in text.splitlines()]
    for package, name in _LABEL.findall("\n".join(lines)):
        if package and not name.startswith("__"):
            yield package.partition("/")[0]


def imports(text: str) -> Iterator[str]:
    """Yield the first component of every module that a Python file imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def uses(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (file, top-level folder) for each label or import in the files below ``folder``."""
    for path in sorted(folder.rglob("*")):
        if path.name == "BUILD.bazel" or path.suffix == ".bzl":
            found = labels(path.read_text())
        elif path.suffix == ".py":
            found = imports(path.read_text())
        else:
            continue
        yield from ((str(path.relative_to(WORKSPACE)), name) for name in found)


def against(name: str, used: str) -> bool:
    """Return whether a dependency of ``name`` on ``used`` has the wrong direction."""
    return used in ORDER and ORDER.index(used) > ORDER.index(name)


def test_every_folder_has_its_place() -> None:
    """Every top-level folder is in ``ORDER``; otherwise it would not be checked."""
    assert sorted(ORDER) == top_folders()


@pytest.mark.parametrize("name", ORDER)
def test_edges_run_one_way(name: str) -> None:
    """A folder does not use a later one, so it can be understood without it."""
    edges = list(uses(WORKSPACE / name))
    assert [edge for edge in edges if against(name, edge[1])] == []


def test_an_edge_the_wrong_way_is_seen() -> None:
    """A dependency in the wrong direction is detected in Starlark and in Python."""
    text = 'load("//tools:pytest.bzl", "x")\nx(visibility = ["//tests:__pkg__"]) # "//image"\n'
    assert [*labels(text), *labels('"//image/pins:a"')] == ["tools", "image"]
    code = "import tests.x\nfrom pinning import a\nfrom . import b\n"
    assert list(imports(code)) == ["tests", "pinning"]
    assert against("image", "tools")
    assert not against("tools", "image")
    assert not against("image", "os")
