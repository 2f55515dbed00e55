"""The checker finds every planted fault, and none in the good manifests."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.kubernetes.manifests import DELETED, GOOD, changed, faults, objects, text

_NAMESPACE = "Namespace/matrix"
FAULTS = yaml.safe_load(Path(__file__).with_name("faults.yaml").read_text())
_POD = objects()["Job/migrate"]["spec"]["template"]["spec"]
_BARE = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare", "namespace": "matrix"}}
# The manifests, and how the only line about them begins.
TEXTS = {
    "key twice": (
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  name: b\n",
        'Namespace/b: yaml: unmarshal errors: line 5: key "name" already set in map',
    ),
    "tab": (
        "apiVersion: v1\nkind: Namespace\nmetadata:\n\tname: a\n",
        "document 1: yaml: line 4: found character that cannot",
    ),
    "no kind": ("apiVersion: v1\nmetadata: {name: a}\n", "document 1: kind: Required value"),
    "no version": ("kind: Namespace\nmetadata: {name: a}\n", "document 1: apiVersion: Required"),
    "no name": (
        "apiVersion: v1\nkind: Namespace\nmetadata: {}\n",
        "Namespace/: metadata.name: Required value: name or generateName is required",
    ),
    "list instead of an object": ("- a\n", "document 1: apiVersion: Required value"),
    "JSON between lines of YAML": (
        '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}\n---\n',
        "document 2: invalid character '-'",
    ),
    "lines in a kind and a name": (
        '{"apiVersion": "v1", "kind": "A\\nB\\u2028", "metadata": {"name": "c\\u001cd"}}',
        'A B /c d: no matches for kind "A\\nB\\u2028" in version "v1"',
    ),
    "key twice in JSON": (
        '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "name": "b"}}',
        "Namespace/b: metadata.name: duplicate field",
    ),
    "key twice in JSON of a custom kind": (
        json.dumps(objects()["Gateway/matrix"])[:-1] + ', "kind": "Gateway"}',
        "Gateway/matrix: kind: duplicate field",
    ),
    "fault in a List": (
        text([{"apiVersion": "v1", "kind": "List", "items": [{**_BARE, "spec": _POD | {"x": 1}}]}]),
        "Pod/bare: spec.x: unknown field",
    ),
    "no kind in a List": (
        "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1}]\n",
        "document 1: items[0].kind: Required value",
    ),
    "unknown kind": (
        "apiVersion: example.org/v1\nkind: Thing\nmetadata: {name: a}\n",
        'Thing/a: no matches for kind "Thing" in version "example.org/v1"',
    ),
    "kind of the program, not of the cluster": (
        "apiVersion: v1\nkind: Status\n",
        'Status/: no matches for kind "Status" in version "v1"',
    ),
}


def _place(fault: Mapping[str, Any]) -> list[str | int]:
    """Return the place of a change; a list in the file has keys with dots."""
    if isinstance(fault["at"], list):
        return fault["at"]
    return [int(step) if step.isdecimal() else step for step in fault["at"].split(".")]


def _faulty(fault: Mapping[str, Any]) -> str:
    """Return an object with a fault, and its namespace."""
    good = objects()
    bad = changed(good[fault["in"]], _place(fault), fault.get("to", DELETED))
    return text([bad] if fault["in"] == _NAMESPACE else [good[_NAMESPACE], bad])


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return what one run of the checker reports of each fault."""
    texts = {fault["fault"]: _faulty(fault) for fault in FAULTS}
    texts |= {name: content for name, (content, _) in TEXTS.items()}
    return faults(texts | {"good": GOOD.read_text()}, tmp_path_factory.mktemp("manifests"))


def test_the_good_manifests_have_no_fault(reported: dict[str, list[str]]) -> None:
    """Otherwise, what is reported of a change would prove nothing."""
    assert reported["good"] == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["fault"])
def test_a_planted_fault_is_reported(reported: dict[str, list[str]], fault: dict[str, Any]) -> None:
    """Every line names the object, and nothing else is reported."""
    metadata = yaml.safe_load_all(_faulty(fault))
    *_, bad = metadata
    lines = reported[fault["fault"]]
    starts = [f"{bad['kind']}/{bad['metadata']['name']}: {says}" for says in fault["says"]]
    assert [line[: len(start)] for line, start in zip(lines, starts, strict=True)] == starts


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_is_no_manifest_is_reported(reported: dict[str, list[str]], name: str) -> None:
    """A document without a name is called by its number."""
    start = TEXTS[name][1]
    assert [line[: len(start)] for line in reported[name]] == [start]


def test_every_name_of_a_fault_is_its_own() -> None:
    """It is also the name of its file."""
    names = [fault["fault"] for fault in FAULTS]
    assert len({*names, *TEXTS}) == len(names) + len(TEXTS)
    assert len(names) >= 23


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each value in an object."""
    if path:
        yield path
    steps: Iterable[str | int] = ()
    if isinstance(value, dict):
        steps = value
    elif isinstance(value, list):
        steps = range(len(value))
    for step in steps:
        yield from _places(value[step], (*path, step))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


def test_any_change_is_answered_with_lines(tmp_path: Path) -> None:
    """Nothing in a manifest can stop the checker or break its lines."""
    texts: dict[str, str] = {}

    @settings(
        max_examples=500, phases=[Phase.generate], database=None, derandomize=True, deadline=None
    )
    @given(
        st.sampled_from([(one, path) for one in objects().values() for path in _places(one)]),
        st.just(DELETED) | _VALUES,
    )
    def change(place: tuple[Any, tuple[str | int, ...]], value: Any) -> None:
        texts[f"{len(texts)}.yaml"] = text([changed(*place, value)])

    change()
    reported = faults(texts, tmp_path)
    lines = [line for each in reported.values() for line in each]
    assert len(lines) > 200
    assert [line for line in lines if not re.match(r"(\w+/|document 1: )", line)] == []
