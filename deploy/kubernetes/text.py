"""Objects of Kubernetes as YAML."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from deploy.kubernetes.values import TOKEN

Object = dict[str, Any]

# What every parser of YAML, also that of the API server, takes for text without quotes.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9 _./:@+=-]+")
_WORDS = ("yes", "no", "on", "off", "true", "false", "null")


class _Dumper(yaml.SafeDumper):
    """A dumper that repeats values instead of naming them, and indents lists."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None
    if "\n" in text:
        style = "|"
    elif not TOKEN.fullmatch(text) and (not _PLAIN.fullmatch(text) or text.lower() in _WORDS):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def without_none(value: Any) -> Any:
    """Return ``value`` without the entries of mappings that are None."""
    if isinstance(value, Mapping):
        return {name: without_none(one) for name, one in value.items() if one is not None}
    if isinstance(value, list | tuple):
        return [without_none(one) for one in value]
    return value


def comments(text: str) -> str:
    """Return lines as comments."""
    return "".join(f"# {line}".rstrip() + "\n" for line in text.splitlines())


def document(value: Any) -> str:
    """Return plain data as one YAML document."""
    dumped: str = yaml.dump(
        without_none(value),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=float("inf"),
    )
    return dumped


def documents(comment: str, objects: Iterable[Object]) -> str:
    """Return a file with objects.

    Args:
        comment: what they are for; each of its lines becomes a comment.
        objects: the objects.
    """
    return comments(comment) + "---\n".join(document(one) for one in objects)
