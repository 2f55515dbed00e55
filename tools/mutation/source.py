"""Finds every place in a module that can be changed and makes the text of the changed module."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from tools.mutation.operators import Place, replacements

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Nodes that may contain an expression and are part of the same outermost expression, which is
# written anew.
_INNER = (ast.expr, ast.keyword, ast.comprehension)
_LONGEST = 120  # Maximum number of characters of a change that is shown in full.
_CONTEXT = 24  # Characters that are kept of the common parts.
_ANNOTATIONS = {"annotation", "returns"}


@dataclass(frozen=True)
class Mutant:
    """One change to one module.

    Attributes:
        path: The module, relative to the tree, such as ``worker/launch.py``.
        scope: The enclosing function or class, such as ``Settings.name``; "" for the module.
        line: The line number of the statement, from 1.
        lines: The lines of which a test must have run at least one to see the change; empty for
            code that only runs on import.
        in_body: Whether it is inside a function, so that only the function's code changes.
        change: The code before and after the change, on one line and shortened.
        names: The names that the statement assigns if it only runs on import; otherwise empty.
        text: The text of the changed module.
    """

    path: str
    scope: str
    line: int
    lines: tuple[int, ...]
    in_body: bool
    change: str
    names: tuple[str, ...]
    text: str

    @property
    def where(self) -> str:
        """The place as in the list of reasons; without the line number, which edits change."""
        return f"{self.path} {self.scope}".strip()


def _places(node: ast.AST, above: Place) -> Iterator[Place]:
    """Yield every node that is executed, together with the nodes that contain it."""
    place = [node, *above]
    yield place
    for field, value in ast.iter_fields(node):
        if field in _ANNOTATIONS or (isinstance(node, ast.JoinedStr) and field == "format_spec"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.If) and "__name__" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.AST):
                yield from _places(child, place)


def _replaced(parent: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for field, value in ast.iter_fields(parent):
        if value is old:
            setattr(parent, field, new)
        elif isinstance(value, list):
            value[:] = [new if item is old else item for item in value]


def _anchor(place: Place) -> ast.stmt | ast.expr:
    """Return the statement or the outermost expression whose text is written anew."""
    anchor: Any = place[0]
    if isinstance(anchor, ast.stmt):
        return anchor
    for node in place[1:]:
        inner_default = isinstance(node, ast.arguments) and isinstance(anchor, ast.expr)
        if isinstance(node, _INNER):
            anchor = node
        elif not inner_default or not _in_lambda(node, place):
            break
    assert isinstance(anchor, ast.stmt | ast.expr)
    return anchor


def _in_lambda(arguments: ast.AST, place: Place) -> bool:
    return any(isinstance(node, ast.Lambda) and node.args is arguments for node in place)


def _scope(place: Place) -> str:
    names = [node.name for node in place if isinstance(node, (*_FUNCTIONS, ast.ClassDef))]
    return ".".join(reversed(names))


def _names(place: Place) -> tuple[str, ...]:
    """Return the names that a statement assigns if it runs on import, otherwise nothing."""
    if any(isinstance(node, _FUNCTIONS) for node in place):
        return ()
    for node in place:
        if isinstance(node, ast.Assign):
            return tuple(ast.unparse(target) for target in node.targets)
        if isinstance(node, ast.AnnAssign):
            return (ast.unparse(node.target),)
    return ()


def _lines(place: Place) -> tuple[int, ...]:
    """Return the lines of which at least one runs whenever the changed code does."""
    statement = next(number for number, node in enumerate(place) if isinstance(node, ast.stmt))
    around = [node for node in place[statement + 1 :] if isinstance(node, _FUNCTIONS)]
    node: Any = place[statement]
    if isinstance(node, _FUNCTIONS):
        # Decorators and defaults: any line in the function.
        around = [node]
        inside = [part for child in node.body for part in ast.walk(child)]
        lines = {part.lineno for part in inside if isinstance(part, ast.stmt)}
    else:
        lines = {node.lineno}
    # Cached code runs only in the first test but affects all of them.
    cached = any("cache" in ast.unparse(name) for one in around for name in one.decorator_list)
    return tuple(sorted(lines)) if around and not cached else ()


def _in_body(place: Place) -> bool:
    nodes = iter(place)
    for node in nodes:
        if isinstance(node, ast.stmt):
            return not isinstance(node, _FUNCTIONS) and any(
                isinstance(around, _FUNCTIONS) for around in nodes
            )
    return False


def _shortened(was: str, becomes: str) -> str:
    """Return both texts; if they are long, most of their common start and end is cut off."""
    if len(was) + len(becomes) > _LONGEST:
        alike = _alike(was, becomes)
        start = max(0, alike - _CONTEXT)
        end = max(0, _alike(was[alike:][::-1], becomes[alike:][::-1]) - _CONTEXT)
        was, becomes = (_part(text, start, len(text) - end) for text in (was, becomes))
    return f"{was} -> {becomes}"


def _alike(one: str, other: str) -> int:
    """Return the length of the common prefix."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _part(text: str, start: int, end: int) -> str:
    part = text[start:end]
    if len(part) > _LONGEST // 2:
        part = part[: _LONGEST // 2] + "\N{HORIZONTAL ELLIPSIS}"
    return part


def _one_line(node: ast.AST) -> str:
    if isinstance(node, ast.FormattedValue):
        node = ast.JoinedStr([node])
    return " ".join(ast.unparse(ast.fix_missing_locations(node)).split())


def mutants(root: Path, path: str) -> list[Mutant]:
    """Return every mutant of the module ``path`` below ``root``, ordered by line."""
    data = (root / path).read_bytes()
    tree = ast.parse(data)
    starts = list(
        accumulate(map(len, data.split(b"\n")), lambda one, two: one + two + 1, initial=0)
    )
    found = []
    for place in list(_places(tree, [])):
        node = place[0]
        if len(place) < 2 or not isinstance(node, ast.expr | ast.stmt):
            continue
        for new in list(replacements(place)):
            anchor = _anchor(place)
            was = _one_line(node)
            start = starts[anchor.lineno - 1] + anchor.col_offset
            end = starts[(anchor.end_lineno or 0) - 1] + (anchor.end_col_offset or 0)
            try:
                becomes = _one_line(new)
                text = _written(place, anchor, new)
            except ValueError:
                continue  # Python 3.11 cannot express a backslash inside an f-string.
            changed = (data[:start] + text.encode() + data[end:]).decode()
            mutant = Mutant(
                path=path,
                scope=_scope(place),
                line=_statement_line(place),
                lines=_lines(place),
                in_body=_in_body(place),
                change=_shortened(was, becomes),
                names=_names(place),
                text=changed,
            )
            if changed.encode() != data:
                found.append(mutant)
    return sorted(found, key=lambda mutant: mutant.line)


def _statement_line(place: Place) -> int:
    return next(node.lineno for node in place if isinstance(node, ast.stmt))


def _written(place: Place, anchor: ast.AST, new: ast.AST) -> str:
    """Return the text of ``anchor`` with ``new`` in place of the node; the tree is restored."""
    if anchor is place[0]:
        text = ast.unparse(ast.fix_missing_locations(new))
        return text if isinstance(new, ast.stmt) else f"({text})"
    _replaced(place[1], place[0], new)
    try:
        text = ast.unparse(ast.fix_missing_locations(anchor))
    finally:
        _replaced(place[1], new, place[0])
    return f"({text})"
