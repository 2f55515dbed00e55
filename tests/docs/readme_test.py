"""Checks of the documentation: the README's table, its variables, and the paths in all files."""

import json
import re
from pathlib import Path

import pytest

from worker import worker_types
from worker.listeners import listener_kinds
from worker.settings import parse
from worker.shares import WORKER_PORTS, ports_of

WORKSPACE = Path(__file__).resolve().parents[2]
README = (WORKSPACE / "README.md").read_text()


# application -> its row, which includes "doc", the description that `load_table` leaves out.
APPS = json.loads(Path(worker_types.__file__).with_name("worker_types.json").read_text())["apps"]


def test_the_readme_repeats_the_table_of_worker_types() -> None:
    """Each row has the application, the ports it binds and its description."""
    row = re.compile(r"\| `(synapse\.app\.\w+)` +\| ([0-9, ]+?) +\| (.+?) +\|", re.ASCII)
    rows = [match.groups() for line in README.splitlines() if (match := row.fullmatch(line))]
    ports = worker_types.load_table().ports
    expected = []
    for app, fields in APPS.items():
        bound = listener_kinds(
            parse({"SYNAPSE_WORKER": app, "SYNAPSE_REPLICATION_HOST": "main"}), {}
        )
        numbers = [
            str(ports[name]) for name in ("client", "federation", "metrics") if name in bound
        ]
        expected.append((app, ", ".join(numbers), fields["doc"]))

    listed = [(app, numbers, text.replace("`", "")) for app, numbers, text in rows]
    assert sorted(listed) == sorted(expected)


def test_the_ports_of_processes_that_share_a_container_are_documented() -> None:
    """Each row has the port of the main process, and the base of those of the workers."""
    text = (WORKSPACE / "docs/one-container.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| (\d+) \| (\d+) \+ N \|", text, re.MULTILINE)
    ports = ports_of("", (), worker_types.load_table().ports)
    assert {(str(ports[kind]), str(first)) for kind, first in WORKER_PORTS.items()} == set(rows)


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
