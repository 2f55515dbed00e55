"""The Helm chart: with its own values, it gives the objects of the base for kustomize.

Only what the templates use of Helm's language is read here: values as JSON or as they are, the
namespace, quoted braces, and conditions around whole files and around fields that may be null.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import reduce
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.images import Images
from deploy.kubernetes.manifests import files
from deploy.kubernetes.options import KubernetesOptions
from tests.deploy.kubernetes_objects import Object, loaded
from tests.deploy.random_plans import examples
from worker.deployment import deployment

PLAN = "synchrotron:2, typing, event_persister:2, media_repository:2, client_reader"
OPTIONS = KubernetesOptions(
    ingress="gateway", domain="matrix.example.com", gateway="infra/web", monitoring=True
)
_ACTION = re.compile(r"{{-? *(.*?) *-?}}")
_FIELD = re.compile(r"(?m)^{{- if not \(kindIs \"invalid\" \((.*)\)\) }}\n(.*\n){{- end }}\n")
_VALUE = re.compile(r'index \.Values((?: "[\w-]+")+)( \| toJson)?')


def made(
    options: KubernetesOptions = OPTIONS, *, one_container: bool = False, **environ: str
) -> dict[str, str]:
    """Return the files for a plan."""
    found = deployment(environ, PLAN, with_replicas=True, one_container=one_container)
    return files(found, Images(), options)


def value(values: Mapping[str, Any], path: str) -> Any:
    """Return a value by its path, as in ``index``."""
    return reduce(lambda found, name: found[name], re.findall('"([^"]+)"', path), values)


def rendered(text: str, values: Mapping[str, Any]) -> list[Object]:
    """Return the objects of a template."""
    lines = text.splitlines(keepends=True)
    condition = re.fullmatch(r"{{- if (index .*) }}\n", lines[0])
    if condition:
        assert lines[-1] == "{{- end }}\n"
        if not value(values, condition[1]):
            return []
        text = "".join(lines[1:-1])

    def field(match: re.Match[str]) -> str:
        return "" if value(values, match[1]) is None else match[2]

    def action(match: re.Match[str]) -> str:
        if match[1] == '"{{"':
            return "{{"
        if match[1] == ".Release.Namespace":
            return "synapse"
        found = _VALUE.fullmatch(match[1])
        assert found, match[0]
        one = value(values, found[1])
        return json.dumps(one) if found[2] else str(one)

    return list(yaml.safe_load_all(_ACTION.sub(action, _FIELD.sub(field, text))))


def chart_objects(found: Mapping[str, str]) -> list[Object]:
    """Return the objects that the chart gives with its own values."""
    values = yaml.safe_load(found["chart/values.yaml"])
    return [
        one
        for path, text in found.items()
        if path.startswith("chart/templates/") and path.endswith(".yaml")
        for one in rendered(text, values)
    ]


def comparable(objects: list[Object]) -> dict[tuple[str, str], Any]:
    """Return objects by kind and name, without what may differ between base and chart."""

    def cut(one: Any) -> Any:
        if isinstance(one, dict):
            differs = ("namespace", "synapse-worker/configuration-sha256")
            return {name: cut(part) for name, part in one.items() if name not in differs}
        return [cut(part) for part in one] if isinstance(one, list) else one

    return {(one["kind"], one["metadata"]["name"]): cut(one) for one in objects}


@settings(max_examples=examples(4), deadline=None, derandomize=True, database=None)
@given(
    ingress=st.sampled_from(["none", "ingress", "gateway"]),
    monitoring=st.booleans(),
    one_container=st.booleans(),
    text=st.one_of(
        st.sampled_from(["{{ .Values.image }}", "}}", "{{", "{{- end }}", '{{ "{{" }}', "a{{b"]),
        st.text().filter(str.isprintable),
    ),
)
def test_the_chart_gives_the_objects_of_the_base(
    ingress: str, monitoring: bool, one_container: bool, text: str
) -> None:
    """Nothing that a variable contains means anything to Helm."""
    options = KubernetesOptions(
        ingress=ingress,
        domain="" if ingress == "none" else "a.example.com",
        gateway="a/b" if ingress == "gateway" else "",
        monitoring=monitoring,
    )
    found = made(options, one_container=one_container, SYNAPSE_X=text)
    applied = yaml.safe_load(found["kustomization.yaml"])["components"]
    base = loaded(
        {
            path: content
            for path, content in found.items()
            if path.startswith(("base/", *(f"{one}/" for one in applied)))
        }
    )
    expected = comparable(base)
    del expected["Namespace", "synapse"]
    assert comparable(chart_objects(found)) == expected


def fields(one: Any) -> Iterator[Any]:
    """Yield the values of all fields."""
    parts = one.values() if isinstance(one, dict) else one if isinstance(one, list) else []
    for part in parts:
        yield part
        yield from fields(part)


@pytest.mark.parametrize("ingress", ["ingress", "gateway"])
def test_no_field_is_null(ingress: str) -> None:
    """The second ``helm upgrade`` would change it to null if the API server has set it."""
    gateway = "web" if ingress == "gateway" else ""
    options = replace(OPTIONS, ingress=ingress, gateway=gateway)
    assert None not in list(fields(chart_objects(made(options))))


def test_each_value_is_used_and_has_a_schema() -> None:
    """A value without effect, or a misspelt one, would go unnoticed."""
    found = made()
    templates = "".join(text for path, text in found.items() if path.startswith("chart/templates/"))
    used = {tuple(re.findall('"([^"]+)"', path)) for path, _ in _VALUE.findall(templates)}
    schema = json.loads(found["chart/values.schema.json"])

    def check(values: Mapping[str, Any], own: Mapping[str, Any], path: tuple[str, ...]) -> None:
        assert own["additionalProperties"] is False
        assert values.keys() == own["properties"].keys() - {"global"}
        for name, one in values.items():
            if (*path, name) not in used:
                check(one, own["properties"][name], (*path, name))

    check(yaml.safe_load(found["chart/values.yaml"]), schema, ())


@pytest.mark.parametrize("count", [1, 3, 8])
def test_the_proxy_has_room_for_the_most_replicas(count: int) -> None:
    """A pod beyond it would get no requests."""
    found = files(
        deployment({}, f"synchrotron:{count}", with_replicas=True), Images(), KubernetesOptions()
    )
    schema = json.loads(found["chart/values.schema.json"])
    workers = schema["properties"]["workers"]["properties"]["synchrotron"]["properties"]
    slots = re.findall("server-template synchrotron-replica 1-([0-9]+) ", found["base/proxy.yaml"])
    assert {int(one) for one in slots} == {workers["maxReplicas"]["maximum"]}


def test_helm_uninstall_leaves_the_media() -> None:
    """Helm deletes what a chart has made, unless its annotation says otherwise."""
    texts = made()
    values = yaml.safe_load(texts["chart/values.yaml"])
    (claim,) = rendered(texts["chart/templates/media.yaml"], values)
    assert claim["kind"] == "PersistentVolumeClaim"
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
