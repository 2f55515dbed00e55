"""Tests that the entrypoint loads documents as Synapse's loader, PyYAML's safe_load, does."""

from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, example, given, settings

from tests.worker.yaml_cases import yaml_bytes, yaml_texts
from worker.errors import ConfigError
from worker.files import read_homeserver
from worker.strict_yaml import DocumentError, dump, load

# Problems for which a document is rejected on purpose, although Synapse would read it.
_ON_PURPOSE = (
    "listed twice",
    "contains itself",
    "nested more than",
    "more than 100000 values",
    "surrogate",
    "has the tag of a single value, but is a mapping",
)


def plain(value: Any) -> Any:
    """Return ``value`` in a form that compares types and order too, and in which NaN equals NaN."""
    if isinstance(value, dict):
        return "dict", [(plain(key), plain(part)) for key, part in value.items()]
    if isinstance(value, list | tuple):
        return type(value).__name__, [plain(part) for part in value]
    if isinstance(value, set):
        return "set", sorted(map(repr, value))
    return type(value).__name__, repr(value)


def listed(value: Any) -> Any:
    """Return what `plain` returned, with the tuples of ``!!omap`` as lists, as a file has them."""
    if isinstance(value, tuple) and len(value) == 2 and value[0] == "tuple":
        return "list", listed(value[1])
    if isinstance(value, tuple | list):
        return type(value)(listed(part) for part in value)
    return value


def safe_load(text: str, loader: Any = yaml.SafeLoader) -> tuple[bool, Any]:
    """Return whether ``loader`` of PyYAML loads ``text``, and the value as `plain` returns it."""
    try:
        return True, plain(yaml.load(text, loader))
    except Exception:
        return False, None


# The same examples in every run. Hypothesis may need many gigabytes to shorten a text that fails,
# so it does not try.
_SAME = settings(
    max_examples=600,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)


@_SAME
@given(yaml_texts())
@example("[a.?b]")  # Only libyaml takes these two.
@example("a:\tb")
@example("a: ! # only libyaml takes this for empty text")
@example("a: ! ''")
@example("!!int {=: 5, a: !!int x}")
def test_a_document_loads_to_what_synapse_would_load(text: str) -> None:
    """The documents include merge keys, aliases, dates and odd numbers.

    libyaml takes a few texts that PyYAML's own parser rejects. Synapse reads only the rendered
    file, so they may be read, but only as libyaml reads them.
    """
    loads, expected = safe_load(text)
    try:
        value = plain(load(text))
    except DocumentError as error:
        problem = str(error)
        assert problem.isprintable()
        assert not loads or any(reason in problem for reason in _ON_PURPOSE), problem
        return
    if not loads:
        loads, expected = safe_load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    assert loads, "Neither of PyYAML's parsers loads this text."
    assert value == expected


@_SAME
@given(yaml_texts())
def test_what_is_rendered_means_what_was_read(text: str) -> None:
    """Synapse reads only the rendered file, never the mounted one."""
    try:
        document = load(text)
    except DocumentError:
        return
    rendered = dump(document).encode()
    assert listed(plain(yaml.safe_load(rendered))) == listed(plain(document))


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=yaml_bytes())
def test_any_file_is_read_or_refused_with_one_line(tmp_path: Path, data: bytes) -> None:
    """The files include raw bytes, other encodings and other line endings."""
    path = tmp_path / "homeserver.yaml"
    path.write_bytes(data)
    try:
        assert isinstance(read_homeserver(path), dict)
    except ConfigError as error:
        (line,) = error.problems
    else:
        return
    assert line.startswith(str(path))
    assert line.isprintable()
    assert len(line) < len(str(path)) + 400
