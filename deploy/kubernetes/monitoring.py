"""Objects for the Prometheus operator: what to scrape, and what to alert on.

The rules are from the operator's API reference (monitoring.coreos.com/v1).
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from deploy.kubernetes.common import SYNAPSE, Request, labels
from deploy.kubernetes.processes import ANNOTATION
from deploy.kubernetes.text import Object

_META = "__meta_kubernetes_pod_"
_ANNOTATION = f"{_META}annotation_{ANNOTATION.replace('-', '_')}"
_INDEX = f"{_META}label_apps_kubernetes_io_pod_index"


def _relabeled(target: str, sources: Sequence[str], regex: str = "", result: str = "") -> Object:
    """Return a rule that gives ``target`` a value if ``sources`` match."""
    return {
        "sourceLabels": list(sources),
        "separator": ";",
        "regex": regex or "(.+)",
        "targetLabel": target,
        "replacement": result or "$1",
        "action": "replace",
    }


def _relabelings() -> list[Object]:
    """Return the rules for the labels that the verb ``prometheus`` prints for each process.

    The label ``instance`` is its ``worker_name``, which for replicas is the name of the pod;
    ``job`` has its worker types; ``index`` is the number at the end of its name, or what is last in
    the name of a pod.
    """
    return [
        _relabeled("instance", [f"{_META}name"]),
        _relabeled("instance", [f"{_ANNOTATION}_prefix", _INDEX], "(.+);(.+)", "$1$2"),
        _relabeled("instance", [f"{_ANNOTATION}_name"]),
        _relabeled("job", [f"{_ANNOTATION}_types"]),
        _relabeled("index", ["instance"], ".*", "1"),
        _relabeled("index", ["instance"], ".*?([0-9]+)"),
        _relabeled("index", [f"{_ANNOTATION}_prefix", f"{_ANNOTATION}_name", f"{_META}name"])
        | {"regex": ";;.*-([^-]+)"},
    ]


def _rule_groups(request: Request) -> Sequence[Mapping[str, Any]]:
    """Return the groups of rules for the plan; none without the module that knows them."""
    if find_spec("deploy.alerts") is None:
        return ()
    groups: Sequence[Mapping[str, Any]] = import_module("deploy.alerts").rule_groups(
        request.deployment
    )
    return groups


def monitoring_objects(request: Request) -> list[Object]:
    """Return the ServiceMonitor and, if there are rules, the PrometheusRule."""
    monitor = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": _metadata(request),
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": SYNAPSE}},
            "endpoints": [
                {
                    "port": "metrics",
                    "path": "/_synapse/metrics",
                    "interval": request.values("monitoring", "interval", default="15s"),
                    "relabelings": _relabelings(),
                }
            ],
        },
    }
    groups = _rule_groups(request)
    if not groups:
        return [monitor]
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": _metadata(request),
        "spec": {"groups": [dict(group) for group in groups]},
    }
    return [monitor, rule]


def _metadata(request: Request) -> Object:
    """Return metadata with a label by which operators choose the objects that they follow."""
    release = request.values("monitoring", "release", default=None)
    return request.metadata("synapse", labels(SYNAPSE, "monitoring") | {"release": release})
