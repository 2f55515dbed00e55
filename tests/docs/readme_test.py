"""Checks of the documentation: the README's table, its variables, and the paths in all files."""

import re
from pathlib import Path

import pytest

from worker.listeners import listener_kinds
from worker.settings import parse
from worker.worker_types import load_table

WORKSPACE = Path(__file__).resolve().parents[2]
README = (WORKSPACE / "README.md").read_text()


def test_the_table_of_worker_types_is_the_one_table() -> None:
    """The README's copy of the table of worker types matches the table."""
    table = load_table()
    rows = {}
    for line in README.splitlines():
        match = re.fullmatch(r"\| `(synapse\.app\.\w+)` +\| ([0-9, ]+?) +\| .* \|", line)
        if match:
            rows[match[1]] = match[2]
    order = ("client", "federation", "metrics")
    expected = {}
    for app in table.apps:
        settings = parse({"SYNAPSE_WORKER": app, "SYNAPSE_REPLICATION_HOST": "main"})
        bound = listener_kinds(settings, {})
        expected[app] = ", ".join(str(table.ports[name]) for name in order if name in bound)
    assert rows == expected


PROSE = [
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    *(f"docs/{path.name}" for path in (WORKSPACE / "docs").glob("*.md")),
]


@pytest.mark.parametrize("name", PROSE)
def test_every_path_in_prose_exists(name: str) -> None:
    """Every path that the documentation mentions exists in the workspace."""
    text = (WORKSPACE / name).read_text()
    paths = set(re.findall(r"`((?:[a-z_]+/)+[\w.]*|[A-Z]{4,}[\w.]*)`", text))
    missing = [path for path in paths if "/" in path and not (WORKSPACE / path).exists()]
    assert not missing


def test_every_variable_of_the_entrypoint_is_documented() -> None:
    """The README mentions every environment variable that the entrypoint reads."""
    modules = (WORKSPACE / "worker").glob("*.py")
    source = "".join(path.read_text() for path in modules)
    variables = set(re.findall(r'"(SYNAPSE_[A-Z_]+)"', source))
    assert variables
    assert not {name for name in variables if f"`{name}`" not in README}
