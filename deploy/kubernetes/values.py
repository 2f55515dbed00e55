"""Values that an administrator may change, as literals or as placeholders of a Helm chart.

The same functions make the objects for kustomize and for Helm: they ask for each such value by its
path, and get its default, or a token in its place. `Placeholders` turns the text with the tokens
into a template, and knows all values with their defaults.
"""

import json
import re
from typing import Any, Protocol

# Two characters for private use; no value of a variable contains them, since it is printable.
_OPEN, _CLOSE = "\ue000", "\ue001"
TOKEN = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")
# A token that is a whole value, for which any type is possible.
_WHOLE = re.compile(rf"(?m)(?<=[:-] ){TOKEN.pattern}$")
# A field with such a value.
_FIELD = re.compile(rf"(?m)^ *[\w-]+: {TOKEN.pattern}\n")


class Values(Protocol):
    """Gives the value at a path."""

    def __call__(self, *path: str, default: Any) -> Any:
        """Return the value, or its placeholder."""


def literal(*path: str, default: Any) -> Any:
    """Return the default of each value."""
    return default


class Placeholders:
    """Gives a token for each value, and replaces tokens by expressions of Helm.

    Attributes:
        defaults: all values that were asked for, with their defaults, as in ``values.yaml``.
    """

    def __init__(self) -> None:
        """Start without any values."""
        self.defaults: dict[str, Any] = {}
        self._expressions: list[str] = []
        self._optional: set[str] = set()

    def __call__(self, *path: str, default: Any) -> str:
        """Return a token for a value."""
        values = self.defaults
        for name in path[:-1]:
            values = values.setdefault(name, {})
        values[path[-1]] = default
        expression = f"index .Values {' '.join(map(json.dumps, path))}"
        if default is None:
            self._optional.add(expression)
        return self.expression(expression)

    def expression(self, text: str) -> str:
        """Return a token for an expression of Helm."""
        if text not in self._expressions:
            self._expressions.append(text)
        return f"{_OPEN}{self._expressions.index(text)}{_CLOSE}"

    def template(self, text: str) -> str:
        """Return YAML with tokens as a template; nothing else in it means anything to Helm.

        A field whose value is null is left out: for Helm, null in a field that the API server has
        set is a change, which the server refuses for the class of a volume.
        """
        text = text.replace("{{", '{{ "{{" }}')
        text = _FIELD.sub(self._field, text)
        text = _WHOLE.sub(lambda match: f"{{{{ {self._json(match[1])} }}}}", text)
        return TOKEN.sub(lambda match: f"{{{{ {self._expressions[int(match[1])]} }}}}", text)

    def _field(self, match: re.Match[str]) -> str:
        expression = self._expressions[int(match[1])]
        if expression not in self._optional:
            return match[0]
        return f'{{{{- if not (kindIs "invalid" ({expression})) }}}}\n{match[0]}{{{{- end }}}}\n'

    def _json(self, number: str) -> str:
        return f"{self._expressions[int(number)]} | toJson"
