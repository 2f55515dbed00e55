"""Plans as objects for Kubernetes, and the pods and processes that a cluster makes of them."""

import re
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from deploy.images import Images
from deploy.kubernetes.manifests import files, problems
from deploy.kubernetes.options import KubernetesOptions
from tests.deploy.kubernetes_objects import (
    Object,
    containers,
    loaded,
    of_kind,
)
from worker.deployment import deployment
from worker.settings import Settings, parse
from worker.worker_types import load_table

PLAN = "synchrotron:2, typing, event_persister:2, pusher_1=pusher, reader=client_reader"
IMAGES = Images(image="quay.io/example/synapse@sha256:" + "0" * 64)
EVERYTHING = KubernetesOptions(ingress="ingress", domain="matrix.example.com", monitoring=True)
TABLE = load_table()


def made(
    plan: str = PLAN,
    options: KubernetesOptions = EVERYTHING,
    environ: Mapping[str, str] = {},
) -> dict[str, str]:
    """Return the files for a plan."""
    found = deployment(environ, plan, with_replicas=True)
    assert problems(found) == []
    return files(found, IMAGES, options)


def objects(plan: str = PLAN, **options: Any) -> list[Object]:
    """Return the objects for a plan."""
    return loaded(made(plan, **options))


def expanded(text: str, environ: Mapping[str, str]) -> str:
    """Return a value as Kubernetes makes it with the variables before it."""

    def replacement(match: re.Match[str]) -> str:
        return environ.get(match[1], match[0]) if match[1] else "$"

    return re.sub(r"\$\$|\$\((\w+)\)", replacement, text)


def pods(workload: Object) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the name and the environment of each pod of a workload, as Kubernetes makes them."""
    name, spec = workload["metadata"]["name"], workload["spec"]
    first = spec.get("ordinals", {}).get("start", 0)
    for number in range(first, first + spec.get("replicas", 2)):
        pod = f"{name}-6d5f4c-{number}" if workload["kind"] == "Deployment" else f"{name}-{number}"
        environ: dict[str, str] = {}
        for variable in containers(workload)[0]["env"]:
            if "value" in variable:
                environ[variable["name"]] = expanded(variable["value"], environ)
            else:
                path = variable["valueFrom"]["fieldRef"]["fieldPath"]
                assert path == "metadata.labels['apps.kubernetes.io/pod-index']"
                environ[variable["name"]] = str(number)
        yield pod, environ


def processes(found: list[Object]) -> Iterator[tuple[str, Object, Settings]]:
    """Yield each process of Synapse: the name of its pod, its workload, and its settings."""
    for workload in of_kind(found, "Deployment", "StatefulSet"):
        if workload["metadata"]["labels"]["app.kubernetes.io/name"] != "synapse":
            continue
        for pod, environ in pods(workload):
            with pytest.MonkeyPatch.context() as monkeypatch:
                monkeypatch.setattr(socket, "gethostname", lambda pod=pod: pod)
                yield pod, workload, parse(environ)
