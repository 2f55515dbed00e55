"""Any plan gives manifests that the API server accepts, and a chart that renders the same ones."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from deploy.images import Images
from deploy.kubernetes.manifests import files, problems
from deploy.kubernetes.options import INGRESS, KubernetesOptions
from deploy.kubernetes.text import without_none
from tests.deploy.random_plans import plans
from tests.kubernetes.manifests import faults, run_checker
from worker.deployment import deployment
from worker.errors import ConfigError

IMAGES = Images(image="quay.io/example/synapse@sha256:" + "0" * 64)
_CHECKSUM = "synapse-worker/configuration-sha256"
# Values that readers of YAML or Helm's templates could take for something else.
_ENVIRONS = st.fixed_dictionaries(
    {},
    optional={
        "SYNAPSE_X": st.text().filter(str.isprintable),
        "SYNAPSE_Y": st.sampled_from(["{{ x }}", "1e3", "on", "0x1f", "~", "a: b", "$(X)"]),
    },
)
FEW = settings(
    max_examples=25,
    phases=[Phase.generate],
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def _options(ingress: str) -> KubernetesOptions:
    """Return options with everything that fits."""
    return KubernetesOptions(
        ingress=ingress,
        domain="" if ingress == "none" else "matrix.example.com",
        gateway="infrastructure/web" if ingress == "gateway" else "",
        monitoring=True,
    )


def _written(texts: Mapping[str, str], folder: Path) -> Path:
    """Write the files into a folder, and return it."""
    for path, content in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return folder


def _rendered(*words: str | Path) -> str:
    """Return what the checker renders."""
    done = run_checker(*words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def _comparable(text: str) -> dict[str, Any]:
    """Return the objects in YAML by kind and name, without what Helm adds or computes itself.

    The namespace is not part of a chart, and Helm puts the objects into that of the release. The
    checksum of the proxy's configuration is of the chart's own template. To the API server, null is
    the same as no value.
    """
    objects: list[dict[str, Any]] = [without_none(one) for one in yaml.safe_load_all(text) if one]
    for one in objects:
        one["metadata"].pop("namespace", None)
        pods = one.get("spec", {}).get("template", {}).get("metadata", {})
        pods.get("annotations", {}).pop(_CHECKSUM, None)
    found = {f"{one['kind']}/{one['metadata']['name']}": one for one in objects}
    assert len(found) == len(objects)
    found.pop("Namespace/synapse", None)
    return found


def test_the_api_server_accepts_any_plan(tmp_path_factory: pytest.TempPathFactory) -> None:
    """kustomize and Helm render the same objects, without a fault under the level restricted."""
    texts: dict[str, str] = {}

    @FEW
    @given(plan=plans(), environ=_ENVIRONS, ingress=st.sampled_from(INGRESS))
    def render(plan: str, environ: dict[str, str], ingress: str) -> None:
        # Kubernetes refuses hosts in a plan.
        plan = re.sub("@[^,]*", "", plan)
        try:
            parsed = deployment(environ, plan, with_replicas=True)
        except ConfigError:
            assume(False)
            raise
        assume(problems(parsed) == [])
        folder = tmp_path_factory.mktemp("plan")
        _written(files(parsed, IMAGES, _options(ingress)), folder)
        base = _rendered("kustomize", folder)
        chart = _rendered("helm-template", "-namespace", "synapse", folder / "chart")
        assert _comparable(base) == _comparable(chart), json.dumps(plan)
        texts[f"{len(texts)}.yaml"] = f"# {plan}\n{base}"

    render()
    assert len(texts) > 10
    reported = faults(texts, tmp_path_factory.mktemp("manifests"))
    assert {
        texts[name].partition("\n")[0]: lines for name, lines in reported.items() if lines
    } == {}
