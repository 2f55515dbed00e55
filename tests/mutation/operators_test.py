"""Tests of which changes are made to a program and which are not."""

import ast
from pathlib import Path

import pytest

from tools.mutation.source import Mutant, mutants


def changes(folder: Path, text: str) -> list[Mutant]:
    """Return every mutant of a module with this text."""
    (folder / "module.py").write_text(text)
    return mutants(folder, "module.py")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("os.setgroups([])", ["os.setgroups([]) -> pass"]),
        ("x = a < b", ["a < b -> a <= b"]),
        ("x = a == b", ["a == b -> a != b"]),
        ("x = a and b", ["a and b -> b", "a and b -> a"]),
        ("x = not a", ["not a -> a"]),
        ("x = n - 1", ["n - 1 -> n + 1", "1 -> 2"]),
        ("x = texts + more", ["texts + more -> texts", "texts + more -> more"]),
        ("x = 0o600", ["384 -> 385"]),
        ("x = True", ["True -> False"]),
        ("x = 'name'", ["'name' -> ''"]),
        ("x = 'one two three four'", ["'one two three four' -> 'three four'", None]),
        ("x = f'{name!r} is wrong'", ["f'{name!r}' -> f'{name}'", None]),
        ("x = f(a, b)", ["f(a, b) -> f(b, a)"]),
        ("x = f(a, strict=b)", ["f(a, strict=b) -> f(a)"]),
        ("x = name.strip()", ["name.strip() -> name"]),
        ("x = any(rows)", ["any(rows) -> all(rows)"]),
        ("x = max(a, b)", ["max(a, b) -> min(a, b)"]),
        ("x = [a, b]", ["[a, b] -> [b]", "[a, b] -> [a]"]),
        ("x = {a: b}", ["{a: b} -> {}"]),
        ("if a:\n    f()\n", ["a -> False", "a -> True"]),
        ("if a and b:\n    f()\n", ["a and b -> False", "a and b -> b", "a and b -> a"]),
        ("while a:\n    f()\n", ["a -> False", "f() -> pass"]),
        ("try:\n    f()\nexcept E:\n    g()\n", ["f() -> pass", "E -> ()", "g() -> pass"]),
        ("try:\n    y = x\nexcept (E, F):\n    y = z\n", ["(E, F) -> (F,)", "(E, F) -> (E,)"]),
        ("raise E(x)", ["raise E(x) -> raise RuntimeError(x)"]),
        ("def f():\n    return x\n", ["return x -> return None"]),
        ("@property\ndef f():\n    return\n", ["property -> lambda decorated: decorated"]),
        ("d['a'] = b", ["d['a'] = b -> pass", "'a' -> ''"]),
    ],
)
def test_a_place_is_changed_to(tmp_path: Path, text: str, expected: list[str | None]) -> None:
    """Each kind of syntax is changed in the ways that change the program's meaning."""
    found = [mutant.change for mutant in changes(tmp_path, text)]
    shown = [line for line in expected if line is not None]
    assert set(shown) <= set(found)
    if None not in expected:
        assert len(found) == len(shown)


@pytest.mark.parametrize(
    "text",
    [
        '"""A docstring of a module."""',
        'def f():\n    """What it does and why."""\n',
        "x: list[Literal[3]]",
        "def f(x: Literal[3]) -> Literal[4]: ...",
        "import os",
        "x = open(y, encoding='utf-8')",
        "if __name__ == '__main__':\n    main(1)\n",
    ],
)
def test_prose_types_and_encodings_stay(tmp_path: Path, text: str) -> None:
    """Docstrings, types and encodings are not changed, as no test could see that."""
    found = [mutant.change for mutant in changes(tmp_path, text)]
    assert found in ([], ["open(y, encoding='utf-8') -> open(encoding='utf-8', y)"])


def test_the_rest_of_the_module_stays_as_it_was(tmp_path: Path) -> None:
    """Comments and line numbers are kept, so that a changed program's tracebacks are readable."""
    text = "# ä comment\n\ndef f(a):  # another\n    return g(a, 'ü', b=1)  # third\n"
    for mutant in changes(tmp_path, text):
        assert mutant.text.splitlines()[:3] == text.splitlines()[:3]
        assert mutant.text.endswith("  # third\n")
        assert (mutant.scope, mutant.line, mutant.lines) == ("f", 4, (4,))


def test_a_default_is_run_by_whatever_runs_the_function(tmp_path: Path) -> None:
    """A default is tested by the function's body, as its definition runs on import."""
    (mutant,) = changes(tmp_path, "def f(a=1):\n    g = a\n    return\n")
    assert mutant.lines == (2, 3)


def test_what_a_module_assigns_is_named(tmp_path: Path) -> None:
    """The name is recorded, so that tests which run code with that name are found."""
    (mutant,) = changes(tmp_path, "LIMIT: int = 1\n")
    assert (mutant.names, mutant.lines) == (("LIMIT",), ())


@pytest.mark.parametrize("name", ["bisect.py", "fnmatch.py", "shlex.py", "reprlib.py"])
def test_every_change_is_a_program(name: str) -> None:
    """Every mutant of some standard modules compiles; otherwise it would count as seen."""
    found = mutants(Path(ast.__file__).parent, name)
    assert found
    for mutant in found:
        compile(mutant.text, name, "exec")
