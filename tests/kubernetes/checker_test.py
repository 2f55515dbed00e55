"""The checker's command line, its levels of Pod Security, and its two renderers."""

from pathlib import Path

import pytest
import yaml

from tests.kubernetes.manifests import GOOD, Object, objects, run_checker, text

_USAGE = """\
usage: checker validate [-definitions FOLDER] [-enforce LEVEL] FILE...
       checker helm-template [-name RELEASE] [-namespace NAMESPACE] CHART [VALUES]
       checker kustomize FOLDER

A FILE of validate may be - for the standard input.
"""
_POD = """\
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: %s}
spec:
  containers: [{name: a, image: a}]
"""
_NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: matrix
  labels: {pod-security.kubernetes.io/enforce: %s}
---
"""
_TEMPLATE = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-plan, namespace: {{ .Release.Namespace }}}
data: {plan: {{ .Values.plan | quote }}}
"""


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """Return a chart whose values have a schema."""
    folder = tmp_path / "chart"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: synapse\nversion: 1.0.0\n")
    (folder / "values.yaml").write_text("plan: typing\n")
    schema = '{"type": "object", "properties": {"plan": {"type": "string"}}}'
    (folder / "values.schema.json").write_text(schema)
    (folder / "templates/plan.yaml").write_text(_TEMPLATE)
    (folder / "templates/NOTES.txt").write_text("Installed.\n")
    return folder


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("check",),
        ("validate",),
        ("kustomize",),
        ("kustomize", "a", "b"),
        ("helm-template", "a", "b", "c"),
    ],
    ids=" ".join,
)
def test_wrong_arguments_print_the_usage(words: tuple[str, ...]) -> None:
    """The exit code differs from that of faults."""
    done = run_checker(*words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", _USAGE)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.yaml"], "error: open none.yaml: no such file or directory\n"),
        (
            ["-enforce", "strict", "-"],
            "error: -enforce=strict: must be one of privileged, baseline, restricted\n",
        ),
        (
            ["-definitions", "none", "-"],
            "error: -definitions=none: there is no *.yaml in it\n",
        ),
    ],
    ids=["file", "level", "definitions"],
)
def test_what_cannot_be_read_is_no_fault(words: list[str], message: str) -> None:
    """One line says what is wrong with the arguments."""
    done = run_checker("validate", *words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)


@pytest.mark.parametrize(
    ("namespace", "words", "lines"),
    [
        ("", [], 0),
        ("", ["-enforce", "restricted"], 4),
        (_NAMESPACE % "privileged", ["-enforce", "restricted"], 0),
        (_NAMESPACE % "baseline", [], 0),
        (_NAMESPACE % "restricted", [], 4),
    ],
    ids=["none", "restricted by default", "privileged", "baseline", "restricted"],
)
def test_the_label_of_the_namespace_decides(namespace: str, words: list[str], lines: int) -> None:
    """-enforce is only for namespaces that are not among the manifests."""
    done = run_checker("validate", *words, "-", stdin=namespace + _POD % "matrix")
    assert done.returncode == (1 if lines else 0)
    assert done.stdout.count('violates PodSecurity "restricted:latest"') == lines


_DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.org}
spec:
  group: example.org
  scope: Cluster
  names: {kind: Thing, plural: things}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
  - {name: v2, served: true, storage: false}
  - {name: v3, served: false, storage: false}
"""


def test_custom_kinds_are_those_of_the_definitions(tmp_path: Path) -> None:
    """A version that is not served is unknown, as it is to a server."""
    (tmp_path / "things.yaml").write_text(_DEFINITION)
    things: list[Object] = [
        {"apiVersion": f"example.org/v{number}", "kind": "Thing", "metadata": {"name": "a"}}
        for number in (1, 2, 3)
    ]
    things.append(things[0] | {"metadata": {"name": "a", "namespace": "b"}, "size": 1})
    done = run_checker("validate", "-definitions", tmp_path, "-", stdin=text(things))
    assert done.stdout.splitlines() == [
        "-: Thing/a: the definition of example.org/v2, Kind=Thing: it has no schema",
        '-: Thing/a: no matches for kind "Thing" in version "example.org/v3"',
        "-: Thing/a: size: unknown field",
        "-: Thing/a: metadata.namespace: Forbidden: not allowed on this type",
    ]


def test_what_a_server_warns_of_is_a_fault() -> None:
    """The label `warn` is about templates, and `enforce` is about the pods that they give."""
    labels = "{pod-security.kubernetes.io/enforce: baseline, pod-security.kubernetes.io/warn: %s}"
    namespace = _NAMESPACE.replace("{pod-security.kubernetes.io/enforce: %s}", labels)
    for level, lines in (("privileged", 0), ("baseline", 0), ("restricted", 4)):
        text = namespace % level + _POD % "matrix"
        done = run_checker("validate", "-", stdin=text)
        assert done.stdout.count('violates PodSecurity "restricted:latest"') == lines
        assert len(done.stdout.splitlines()) == lines


def test_a_namespace_counts_for_the_other_files(tmp_path: Path) -> None:
    """Files are often applied together, but each may also have its own namespace."""
    files = {"a": _NAMESPACE % "restricted", "b": _POD % "matrix", "c": _POD % "other"}
    files["d"] = _NAMESPACE % "privileged" + _POD % "matrix"
    for order in ("abcd", "dcba"):
        for name in files:
            (tmp_path / name).write_text(files[name])
        done = run_checker("validate", *(tmp_path / name for name in order if name != "d"))
        assert {line.partition(":")[0] for line in done.stdout.splitlines()} == {
            str(tmp_path / "b")
        }
        done = run_checker("validate", *(tmp_path / name for name in order))
        assert str(tmp_path / "d") not in done.stdout


def test_a_chart_is_rendered(chart: Path, tmp_path: Path) -> None:
    """The user's values replace the chart's own, and the notes are left out."""
    values = tmp_path / "values.yaml"
    values.write_text("plan: 'pusher: 2'\n")
    done = run_checker("helm-template", "-name", "one", "-namespace", "matrix", chart, values)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("---\n# Source: synapse/templates/plan.yaml\n")
    assert list(yaml.safe_load_all(done.stdout)) == [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "one-plan", "namespace": "matrix"},
            "data": {"plan": "pusher: 2"},
        }
    ]
    default = yaml.safe_load(run_checker("helm-template", chart).stdout)
    assert default["metadata"] == {"name": "release-plan", "namespace": "default"}
    assert default["data"] == {"plan": "typing"}


def test_values_are_checked_against_the_schema(chart: Path, tmp_path: Path) -> None:
    """The message has one line."""
    values = tmp_path / "values.yaml"
    values.write_text("plan: 2\n")
    done = run_checker("helm-template", chart, values)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: values don't meet the specifications of the schema")
    assert done.stderr.count("\n") == 1


def test_a_kustomization_is_built(tmp_path: Path) -> None:
    """All good manifests pass through it, in another namespace, and are still good."""
    (tmp_path / "good.yaml").write_text(GOOD.read_text())
    kustomization = {"namespace": "other", "resources": ["good.yaml"]}
    (tmp_path / "kustomization.yaml").write_text(text([kustomization]))
    done = run_checker("kustomize", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    built = list(yaml.safe_load_all(done.stdout))
    assert len(built) == len(objects())
    assert {one["metadata"].get("namespace", "other") for one in built} == {"other"}
    checked = run_checker("validate", "-enforce", "restricted", "-", stdin=done.stdout)
    custom = [line for line in checked.stdout.splitlines() if "no matches for kind" in line]
    assert (checked.stdout.splitlines(), len(custom)) == (custom, 4)


def test_a_folder_without_a_kustomization_is_an_error(tmp_path: Path) -> None:
    """The message has one line and names the folder."""
    done = run_checker("kustomize", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: unable to find one of 'kustomization.yaml'")
    assert str(tmp_path) in done.stderr
    assert done.stderr.count("\n") == 1
