"""Loads YAML as PyYAML's safe loader, which Synapse uses, would load it, but with limits.

Anything that the safe loader would silently drop, or that would never end, is rejected.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import yaml

from worker.errors import shown

MAX_VALUES = 100_000  # In a document, with aliases and merge keys expanded.
MAX_DEPTH = 100  # Levels of nesting, with aliases expanded.
# libyaml is ten times as fast, but rejects a few texts that PyYAML's own parser accepts.  Synapse
# uses that parser, so it is tried on what libyaml rejects.
_FAST_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_SLOW_LENGTH = 64 * 1024  # Characters, which take one second.
_MAX_NAME_LENGTH = 200  # Characters of a setting's name in a message.

_TAG = "tag:yaml.org,2002:"
_MERGE, _VALUE = f"{_TAG}merge", f"{_TAG}value"
# What unquoted text with a tag is read as; in quotes it would be text.
_LOOKS_LIKE = {
    f"{_TAG}binary": "base64",
    f"{_TAG}bool": "a boolean",
    f"{_TAG}float": "a number",
    f"{_TAG}int": "an integer",
    f"{_TAG}merge": "a merge key",
    f"{_TAG}timestamp": "a date",
    f"{_TAG}value": "a default key",
}
_SCALAR_TAGS = {*_LOOKS_LIKE, f"{_TAG}null", f"{_TAG}str"}


class DocumentError(ValueError):
    """A document that cannot be used.

    Args:
        problem: what a message says after the name of the file.
    """


class _Constructor(yaml.constructor.SafeConstructor):
    """The safe constructor, but every error is a YAMLError with a line, and quotes no value."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int | str):
                # Neither an integer of more than 4300 digits nor half of a surrogate pair can be
                # written to a rendered file.
                str(value).encode()
        except Exception as error:
            # PyYAML passes on the exceptions of int(), date() and the like, which quote the value.
            if isinstance(error, yaml.YAMLError) and not isinstance(node, yaml.ScalarNode):
                raise
            expected = _LOOKS_LIKE.get(node.tag)
            problem = f"looks like {expected}, but is not a valid one; correct or quote it"
            if isinstance(error, UnicodeEncodeError):
                problem = "has half of a surrogate pair; write the character itself"
            elif expected is None:
                problem = (
                    "has a tag that does not fit its value; remove the tag, or quote text that "
                    "begins with !"
                )
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None
        return value

    def construct_undefined(self, node: Any) -> Any:
        """Reject a tag, without quoting its name, which may be the start of a password."""
        problem = "found a tag that YAML does not define; quote text that begins with !"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


_Constructor.add_constructor(None, _Constructor.construct_undefined)  # type: ignore[type-var]


class _FastLoader(_Constructor, _FAST_LOADER):  # type: ignore[misc]
    """Loads with libyaml, if PyYAML was built with it."""


class _SlowLoader(_Constructor, yaml.SafeLoader):
    """Loads with PyYAML's own parser."""


@dataclass(frozen=True)
class _Size:
    """The size of a node with everything expanded: the values in it, and the levels below it."""

    values: int
    depth: int


class _SizeMeter:
    """Measures the composed nodes of a document before any of them is expanded."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._sizes: dict[int, _Size | None] = {}  # By node id; None while it is being measured.

    def measure(self, node: Any, name: str) -> _Size:
        """Return the size of ``node``, the value of the setting ``name``.

        Each node is measured once, however many aliases it has.  An alias comes after its anchor,
        so the recursion is as deep as the nesting of the text, not of its expansion.

        Raises:
            DocumentError: if it contains itself, is too large, or has an invalid key or value.
        """
        if id(node) in self._sizes:
            known_size = self._sizes[id(node)]
            if known_size is None:
                raise DocumentError(
                    f"{_location(node, name)} contains itself through an alias; write the value out"
                )
            return known_size
        self._sizes[id(node)] = None
        if isinstance(node, yaml.MappingNode):
            if node.tag in _SCALAR_TAGS:
                # PyYAML would read the value of the key "=", and drop all others.
                raise DocumentError(
                    f"{_location(node, name)} has the tag of a single value, but is a mapping; "
                    "remove the tag"
                )
            size = self._mapping(node, name)
        elif isinstance(node, yaml.SequenceNode):
            size = self._sum([self.measure(item, name) for item in node.value], levels_below=1)
        else:
            self._scalar(node, name)
            size = _Size(1, 0)
        self._sizes[id(node)] = size
        return size

    def _scalar(self, node: Any, name: str) -> Any:
        try:
            return self._loader.construct_object(node, deep=True)
        except yaml.YAMLError as error:
            raise DocumentError(f"{_location(node, name)} {_problem(error)}") from None

    def _mapping(self, node: Any, name: str) -> _Size:
        seen: set[Hashable] = set()
        sizes = []
        key_setting = f"a key in {name or 'the document'}"
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                sizes += self._merged(value_node, name)
                continue
            if isinstance(key_node, yaml.ScalarNode):
                # PyYAML treats the key = as text.
                is_default_key = key_node.tag == _VALUE
                key = key_node.value if is_default_key else self._scalar(key_node, key_setting)
                if key in seen:
                    # Synapse would read only the last one.
                    location = _location(key_node, str(key) or "''")
                    raise DocumentError(f"{location} is listed twice; remove one")
                seen.add(key)
                setting = f"{name}.{key}" if name else str(key)
            else:
                sizes.append(self.measure(key_node, key_setting))
                setting = name
            sizes.append(self.measure(value_node, setting))
        return self._sum(sizes, levels_below=1)

    def _merged(self, value_node: Any, name: str) -> list[_Size]:
        """Return the sizes of what a merge key adds; PyYAML rejects anything but mappings."""
        is_sequence = isinstance(value_node, yaml.SequenceNode)
        mapping_nodes = value_node.value if is_sequence else [value_node]
        sizes = [self.measure(mapping_node, name) for mapping_node in mapping_nodes]
        return [_Size(size.values, size.depth - 1) for size in sizes]

    def _sum(self, sizes: list[_Size], levels_below: int) -> _Size:
        values = 1 + sum(size.values for size in sizes)
        depth = levels_below + max((size.depth for size in sizes), default=0)
        _refuse_large(values, depth)
        return _Size(values, depth)


def _refuse_large(values: int, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise DocumentError(f"nested more than {MAX_DEPTH} levels deep; flatten it")
    if values > MAX_VALUES:
        raise DocumentError(
            f"more than {MAX_VALUES} values after expanding aliases and merge keys; use fewer"
        )


def _location(node: Any, name: str) -> str:
    return f"line {node.start_mark.line + 1}: {shown(name, _MAX_NAME_LENGTH) or 'the document'}"


def _problem(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    if "nesting depth" in problem:  # The limit of libyaml, which is ten times ours.
        return f"nested more than {MAX_DEPTH} levels deep; flatten it"
    if "undefined alias" in problem:
        return "found undefined alias; quote text that begins with *"
    if "undefined tag handle" in problem:
        return "found undefined tag handle; quote text that begins with !"
    return str(problem)


def _check_size(loader: Any) -> None:
    """Reject too many or too deeply nested values before any of them uses memory."""
    nodes = depth = 0
    while loader.check_event():
        event = loader.get_event()
        if isinstance(event, yaml.NodeEvent):
            nodes += 1
        if isinstance(event, yaml.ScalarEvent) and event.tag == "!" and not any(event.implicit):
            # libyaml reads a lone ! as empty text. PyYAML's own parser reads null, and marks it as
            # implicit.
            mark: Any = event.start_mark
            problem = "found ! without a value; write null"
            raise yaml.constructor.ConstructorError(None, None, problem, mark)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        _refuse_large(nodes // 2, depth)  # A mapping has a key for each value.


def _load(text: str, loader_class: Any) -> Any:
    _check_size(loader_class(text))
    loader = loader_class(text)
    node = loader.get_single_node()
    if node is None:
        return None
    _SizeMeter(loader).measure(node, "")
    return loader.construct_document(node)


def load(text: str) -> Any:
    """Return the only document of ``text``, or None if it has none.

    Raises:
        DocumentError: if it cannot be used, with what a message says after the name of the file.
    """
    try:
        try:
            return _load(text, _FastLoader)
        except yaml.YAMLError:
            if len(text) > _MAX_SLOW_LENGTH:
                raise
            return _load(text, _SlowLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise DocumentError(f"not YAML: {line}{_problem(error)}") from None


def dump(value: Any) -> str:
    """Return the document ``value`` as YAML that loads to the same value.

    Non-ASCII characters are escaped, since PyYAML writes some, such as U+0085, as line breaks.
    """
    text: str = yaml.safe_dump(value, sort_keys=False)
    return text
