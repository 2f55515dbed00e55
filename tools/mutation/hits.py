"""Records which tests run which lines, in their own process and in those that they start."""

import ast
import json
import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tools.mutation.source import Mutant

_RECORDER = """\
import os

seen = set()


def hit(place):
    if place not in seen:
        seen.add(place)
        try:
            file = os.open({path!r}, os.O_WRONLY | os.O_APPEND)
        except OSError:
            return
        try:
            os.write(file, (place + "\\n").encode())
        finally:
            os.close(file)
"""
# A file that is run by its path may not be able to import its package.
_IMPORT = """\
try:
    from {module} import hit as _hit_
except ImportError:
    import runpy
    _hit_ = runpy.run_path({path!r})["hit"]
"""
_BODIES = ("body", "orelse", "finalbody")


class Recorder:
    """Instruments a package, so that every process writes the places it runs to one file.

    Args:
        tree: The folder that contains the package, which is modified.
        package: The name of the package.
        path: The file to write to, which is created.
    """

    def __init__(self, tree: Path, package: str, path: Path) -> None:
        self._path = path
        path.touch()
        path.chmod(0o666)  # A test may have dropped its privileges.
        self.module = f"{package}._hits"
        recorder = tree / package / "_hits.py"
        start = _IMPORT.format(module=self.module, path=str(recorder))
        for source in sorted((tree / package).rglob("*.py")):
            name = source.relative_to(tree).as_posix()
            source.write_text(_instrumented(source.read_text(encoding="utf-8"), name, start))
        recorder.write_text(_RECORDER.format(path=str(path)))

    def take(self, seen: set[str] | None) -> list[str]:
        """Return the places that ran since the last call, and reset the record.

        Args:
            seen: The set ``seen`` of the instrumented package in this process, if it is imported.
        """
        places = self._path.read_text().splitlines()
        os.truncate(self._path, 0)
        if seen is not None:
            seen.clear()
        return places


def _instrumented(text: str, name: str, start: str) -> str:
    tree = ast.parse(text)
    for node in list(ast.walk(tree)):
        for body in [getattr(node, part, None) for part in _BODIES]:
            if isinstance(body, list) and body and isinstance(body[0], ast.stmt):
                body[:] = [part for one in body for part in _with_hit(one, name)]
    first = 1 if ast.get_docstring(ast.parse(text)) is not None else 0
    tree.body[first:first] = ast.parse(start).body
    return ast.unparse(ast.fix_missing_locations(tree))


def _with_hit(node: ast.stmt, name: str) -> list[ast.stmt]:
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
    if text or future:
        return [node]
    return [*ast.parse(f"_hit_({f'{name}:{node.lineno}'!r})").body, node]


@dataclass
class Coverage:
    """The places that each test ran in the unchanged program.

    Attributes:
        tests: For each place, such as ``worker/plan.py:12``, the tests that ran it.
        seconds: The duration of each test that may be used.
        collected: For each place, the test files that ran it while they were imported.
        references: For each name, the places in functions that refer to it.
    """

    tests: dict[str, set[str]]
    seconds: dict[str, float]
    collected: dict[str, set[str]]
    references: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, tree: Path, package: str) -> "Coverage":
        """Read the result of `tools.mutation.session.observe`.

        Args:
            path: The JSON file.
            tree: The folder that contains the package without instrumentation.
            package: The name of the package.
        """
        document = json.loads(path.read_text())
        tests: dict[str, set[str]] = defaultdict(set)
        for test, places in document["places"].items():
            for place in places:
                tests[place].add(test)
        collected: dict[str, set[str]] = defaultdict(set)
        for file, places in document["collected"].items():
            for place in places:
                collected[place].add(file)
        references = _references(tree, package)
        return cls(dict(tests), document["seconds"], dict(collected), references)

    def choose(self, mutant: Mutant) -> list[str]:
        """Return the tests that may see ``mutant``, fastest first."""
        places = {f"{mutant.path}:{line}" for line in mutant.lines}
        for name in mutant.names:
            places |= self.references.get(name, set())
        tests = {test for place in places for test in self.tests.get(place, ())}
        if not mutant.lines and not tests:
            tests = self._of_module(mutant.path)
        return sorted(tests & self.seconds.keys(), key=lambda test: (self.seconds[test], test))

    def importing(self, mutant: Mutant) -> set[str]:
        """Return the test files that run the code of ``mutant`` while they are imported."""
        places = [f"{mutant.path}:{line}" for line in mutant.lines]
        return {file for place in places for file in self.collected.get(place, ())}

    def _of_module(self, path: str) -> set[str]:
        found = [names for place, names in self.tests.items() if place.startswith(f"{path}:")]
        return set().union(*found)


def _references(tree: Path, package: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for source in sorted((tree / package).rglob("*.py")):
        path = source.relative_to(tree).as_posix()
        for function in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            for statement in ast.walk(function):
                if isinstance(statement, ast.stmt) and statement is not function:
                    for node in ast.walk(statement):
                        name = getattr(node, "id", None) or getattr(node, "attr", None)
                        if isinstance(name, str):
                            found[name].add(f"{path}:{statement.lineno}")
    return dict(found)
