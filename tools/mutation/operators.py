"""The changes that may be made to a program, with one generator for each kind of syntax.

Each yields replacements for one node that change the program's meaning. A change is omitted if
every test that sees another change of the same place also sees it, such as `!=` for `==` where the
whole condition is replaced by True and by False.
"""

import ast
import copy
from collections.abc import Callable, Iterator
from typing import Any

Place = list[ast.AST]  # The node itself, its parent, and so on up to the module.
Replacements = Iterator[ast.AST]

_COMPARISONS: dict[type, type] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ORDERS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_ARITHMETIC: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_FUNCTIONS = {"any": "all", "all": "any", "min": "max", "max": "min", "sorted": "list"}
_COMMUTATIVE = frozenset({"max", "min"})  # The order of their arguments does not matter.
_STRIPPERS = frozenset("strip lstrip rstrip lower upper casefold removeprefix removesuffix".split())
# These make no difference where the locale is UTF-8, as it is wherever the tests run.
_KEPT_KEYWORDS = frozenset({"encoding"})
_LONG = 4  # Minimum number of words in a text whose halves are dropped separately.


def _is_condition(place: Place) -> bool:
    node, parent = place[0], place[1]
    if isinstance(parent, ast.comprehension):
        return node in parent.ifs
    return isinstance(parent, ast.If | ast.IfExp | ast.While) and node is parent.test


def _constant(value: object) -> ast.Constant:
    return ast.Constant(value)  # type: ignore[arg-type]


def _conditions(node: ast.AST, place: Place) -> Replacements:
    if not _is_condition(place):
        return
    joined = node.op if isinstance(node, ast.BoolOp) else None
    # A test that sees the loss of a part of `and` also sees True; for `or`, it also sees False.
    if not isinstance(joined, ast.Or):
        yield _constant(False)
    if not isinstance(joined, ast.And) and not isinstance(place[1], ast.While):
        yield _constant(True)


def _compare(node: ast.Compare, place: Place) -> Replacements:
    for number, operator in enumerate(node.ops):
        if len(node.ops) == 1 and _is_condition(place) and not isinstance(operator, _ORDERS):
            continue
        changed = copy.copy(node)
        changed.ops = list(node.ops)
        changed.ops[number] = _COMPARISONS[type(operator)]()
        yield changed


def _bool_op(node: ast.BoolOp, place: Place) -> Replacements:
    for number in range(len(node.values)):
        rest = node.values[:number] + node.values[number + 1 :]
        yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)


def _unary_op(node: ast.UnaryOp, place: Place) -> Replacements:
    if not (isinstance(node.op, ast.Not) and _is_condition(place)):
        yield node.operand


def _bin_op(node: ast.BinOp, place: Place) -> Replacements:
    sides = (node.left, node.right)
    numbers = any(isinstance(getattr(side, "value", None), int) for side in sides)
    if type(node.op) in _ARITHMETIC and (numbers or not isinstance(node.op, ast.Add)):
        yield ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right)
    else:  # Texts, lists, paths, sets, mappings and flags: drop one side.
        yield from sides


def _docstring(place: Place) -> bool:
    return isinstance(place[1], ast.Expr)


def _texts(value: str) -> list[str]:
    words = value.split(" ")
    if len(words) < _LONG:
        return [""] if value else ["x"]
    half = len(words) // 2
    return [" ".join(words[half:]), " ".join(words[:half])]


def _constant_values(node: ast.Constant, place: Place) -> Replacements:
    value, parent = node.value, place[1]
    if _docstring(place):
        return
    if isinstance(parent, ast.keyword) and parent.arg in _KEPT_KEYWORDS:
        return
    if isinstance(value, bool):
        if not _is_condition(place):
            yield _constant(not value)
    elif isinstance(value, int | float):
        yield _constant(value + 1)
    elif isinstance(value, bytes):
        yield _constant(b"" if value else b"x")
    elif isinstance(value, str):
        if _is_dropped(place) and len(value.split(" ")) < _LONG:
            return
        if isinstance(parent, ast.JoinedStr) and value.isspace():
            return
        yield from map(_constant, _texts(value))


def _formatted_value(node: ast.FormattedValue, place: Place) -> Replacements:
    if node.conversion != -1 or node.format_spec is not None:
        yield ast.FormattedValue(node.value, -1, None)


def _has_droppable_elements(node: ast.AST, place: Place) -> bool:
    """Return whether ``node`` is a literal from which an element can be dropped."""
    elements = getattr(node, "elts", [])
    if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load) or len(elements) < 2:
        return False
    if isinstance(node, ast.Tuple):
        holder = place[1]
        module_level = isinstance(holder, ast.Assign) and isinstance(place[2], ast.Module)
        return isinstance(holder, ast.Compare | ast.For | ast.ExceptHandler) or module_level
    return isinstance(node, ast.List | ast.Set)


def _is_dropped(place: Place) -> bool:
    """Return whether the node is an element that `_elements` drops, or the key of a dict entry."""
    parent = place[1]
    if isinstance(parent, ast.Dict):
        return place[0] in parent.keys
    return _has_droppable_elements(parent, place[1:])


def _elements(node: Any, place: Place) -> Replacements:
    if not _has_droppable_elements(node, place):
        return
    for number in range(len(node.elts)):
        changed = copy.copy(node)
        changed.elts = node.elts[:number] + node.elts[number + 1 :]
        yield changed


def _dict(node: ast.Dict, place: Place) -> Replacements:
    for number in range(len(node.keys)):
        changed = copy.copy(node)
        changed.keys = node.keys[:number] + node.keys[number + 1 :]
        changed.values = node.values[:number] + node.values[number + 1 :]
        yield changed


def _call(node: ast.Call, place: Place) -> Replacements:
    function = node.func
    if isinstance(function, ast.Attribute) and function.attr in _STRIPPERS:
        yield function.value
    if isinstance(function, ast.Name) and function.id in _FUNCTIONS and not node.keywords:
        other = ast.Name(_FUNCTIONS[function.id], ast.Load())
        yield ast.Call(other, node.args, node.keywords)
    for number, keyword in enumerate(node.keywords):
        if keyword.arg not in _KEPT_KEYWORDS:
            rest = node.keywords[:number] + node.keywords[number + 1 :]
            yield ast.Call(function, node.args, rest)
    ordered = not (isinstance(function, ast.Name) and function.id in _COMMUTATIVE)
    plain = not any(isinstance(argument, ast.Starred) for argument in node.args)
    if (
        ordered
        and plain
        and len(node.args) > 1
        and ast.dump(node.args[0]) != ast.dump(node.args[1])
    ):
        yield ast.Call(function, [node.args[1], node.args[0], *node.args[2:]], node.keywords)


def _only_statement_of_if(place: Place) -> bool:
    parent = place[1]
    return isinstance(parent, ast.If) and parent.body == [place[0]] and not parent.orelse


def _removable(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    if isinstance(node, ast.Assign):
        return not isinstance(node.targets[0], ast.Name | ast.Tuple)
    return True


def _statement(node: ast.stmt, place: Place) -> Replacements:
    if _removable(node) and not _only_statement_of_if(place):
        yield ast.Pass()


def _raise(node: ast.Raise, place: Place) -> Replacements:
    if isinstance(node.exc, ast.Call):
        error = ast.Name("RuntimeError", ast.Load())
        yield ast.Raise(ast.Call(error, node.exc.args, node.exc.keywords), node.cause)
    else:
        yield from _statement(node, place)


def _return(node: ast.Return, place: Place) -> Replacements:
    # Any longer expression contains other changes.
    if isinstance(node.value, ast.Name | ast.Attribute | ast.Call):
        yield ast.Return(_constant(None))


def _positions(node: ast.AST, place: Place) -> Replacements:
    """Yield replacements that depend on the node's position: no handler, or no decorator."""
    parent = place[1]
    if isinstance(parent, ast.ExceptHandler) and not _has_droppable_elements(node, place):
        yield ast.Tuple([], ast.Load())
    if node in getattr(parent, "decorator_list", []):
        yield ast.parse("lambda decorated: decorated", mode="eval").body


_OPERATORS: dict[type, Callable[..., Replacements]] = {
    ast.Assign: _statement,
    ast.AugAssign: _statement,
    ast.BinOp: _bin_op,
    ast.BoolOp: _bool_op,
    ast.Break: _statement,
    ast.Call: _call,
    ast.Compare: _compare,
    ast.Constant: _constant_values,
    ast.Continue: _statement,
    ast.Delete: _statement,
    ast.Dict: _dict,
    ast.Expr: _statement,
    ast.FormattedValue: _formatted_value,
    ast.List: _elements,
    ast.Raise: _raise,
    ast.Return: _return,
    ast.Set: _elements,
    ast.Tuple: _elements,
    ast.UnaryOp: _unary_op,
}


def replacements(place: Place) -> Replacements:
    """Yield the replacements for ``place[0]``.

    Args:
        place: The node, its parent, and so on up to the module.
    """
    node = place[0]
    if isinstance(node, ast.expr):
        yield from _conditions(node, place)
        yield from _positions(node, place)
    if type(node) in _OPERATORS:
        yield from _OPERATORS[type(node)](node, place)
