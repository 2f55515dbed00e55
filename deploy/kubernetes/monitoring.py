"""Objects for the Prometheus operator: what to scrape, and what to alert on.

The rules are from the operator's API reference (monitoring.coreos.com/v1).
"""

from collections.abc import Sequence

from deploy.alerts import rule_groups
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


def _endpoint(request: Request, port: Object, relabelings: Sequence[Object]) -> Object:
    return {
        **port,
        "path": "/_synapse/metrics",
        "interval": request.values("monitoring", "interval", default="15s"),
        "relabelings": list(relabelings),
    }


def _endpoints(request: Request) -> list[Object]:
    """Return what to scrape: the port with the usual name, or that of each process of one pod."""
    members = request.groups[0].first.members
    if not members:
        return [_endpoint(request, {"port": "metrics"}, _relabelings())]
    return [
        _endpoint(
            request,
            {"targetPort": one.metrics_port},
            [{"targetLabel": name, "replacement": text} for name, text in one.labels.items()],
        )
        for one in members
    ]


def monitoring_objects(request: Request) -> list[Object]:
    """Return the ServiceMonitor and the PrometheusRule."""
    monitor = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": _metadata(request),
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": SYNAPSE}},
            "endpoints": _endpoints(request),
        },
    }
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": _metadata(request),
        "spec": {"groups": rule_groups(request.deployment.monitored)},
    }
    return [monitor, rule]


def _metadata(request: Request) -> Object:
    """Return metadata with a label by which operators choose the objects that they follow."""
    release = request.values("monitoring", "release", default=None)
    return request.metadata("synapse", labels(SYNAPSE, "monitoring") | {"release": release})
