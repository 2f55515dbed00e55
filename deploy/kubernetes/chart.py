"""The Helm chart, made of the same objects as the base for kustomize, with values in them."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from deploy.containers import Deployment
from deploy.images import Images
from deploy.kubernetes.common import DATA_SECRET, DATABASE_SECRET, Request
from deploy.kubernetes.objects import base_objects, component_objects
from deploy.kubernetes.options import KubernetesOptions
from deploy.kubernetes.text import comments, documents
from deploy.kubernetes.values import Placeholders

_NAMESPACE = ".Release.Namespace"
# Maps each value, or each group of values, to its description.
_DESCRIPTIONS = {
    "clusterDomain": "The domain of the cluster's own names.",
    "domain": "The host name that clients use.",
    "gateway": "The HTTPRoute of a Gateway.",
    "image": "The image of Synapse, preferably with its digest.",
    "ingress": "The Ingress; className null selects the cluster's default.",
    "media": "The volume for media; several media workers need ReadWriteMany.",
    "monitoring": "Objects for the Prometheus operator, and the namespace that may scrape metrics.",
    "postgres": "PostgreSQL; not needed if homeserver.yaml names another one.",
    "redis": "Redis; not needed if homeserver.yaml names another one.",
    "resources": "The resource requests of each container, and its memory limit.",
    "targetCPU": "The average CPU usage of the replicas above which more are added.",
    "workers": "The number of replicas of each worker that can have several.",
}


def _values_file(values: Mapping[str, Any]) -> str:
    """Return ``values.yaml``; None is kept, since it is a value to Helm."""
    parts = []
    for name, value in sorted(values.items()):
        description = comments(_DESCRIPTIONS[name]) if name in _DESCRIPTIONS else ""
        parts.append(description + yaml.safe_dump({name: value}, sort_keys=False, width=1000))
    return "\n".join(parts)


def _schema(value: Any, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a JSON schema of a value like ``value``, which refuses values with unknown names."""
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int):
        # The proxy has room for twice as many as the default.
        most = {"maximum": 2 * value} if path[-1:] == ("maxReplicas",) else {}
        return {"type": "integer", "minimum": 1, **most}
    if value is None or isinstance(value, str):
        return {"type": ["string", "null"] if value is None else "string"}
    if isinstance(value, list):
        return {"type": "array", "items": {"type": "string"}}
    if (path[:1] == ("resources",) and len(path) > 1) or path[-1:] == ("annotations",):
        return {"type": "object"}
    properties = {name: _schema(one, (*path, name)) for name, one in value.items()}
    # Helm adds these to every chart's values.
    if not path:
        properties["global"] = {"type": "object"}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _notes() -> str:
    return (
        "Synapse starts once these Secrets are in the namespace {{ .Release.Namespace }}:\n"
        f"  {DATA_SECRET} (homeserver.yaml, signing.key and the files that they name)\n"
        f"  {DATABASE_SECRET} (database_password)\n\n"
        'The pods comply with the Pod Security Standard "restricted". To enforce it:\n'
        "  kubectl label namespace {{ .Release.Namespace }} "
        "pod-security.kubernetes.io/enforce=restricted\n"
    )


def files(
    deployment: Deployment, images: Images, options: KubernetesOptions, chosen: Iterable[str]
) -> dict[str, str]:
    """Return the files of the chart by path.

    Args:
        deployment: the containers of the plan, with replicas.
        images: the images.
        options: the administrator's choices.
        chosen: the components that are enabled.
    """
    values = Placeholders()
    own_namespace = values.expression(_NAMESPACE)
    request = Request(deployment, images, options, values, "", own_namespace)
    templates = {}
    for path, comment, objects in base_objects(request):
        templates[path.replace("/", "-")] = values.template(documents(comment, objects))
    for name, comment, objects in component_objects(request):
        text = values.template(documents(comment, objects))
        values(name, "enabled", default=name in chosen)
        condition = f'index .Values {json.dumps(name)} "enabled"'
        templates[f"component-{name}"] = f"{{{{- if {condition} }}}}\n{text}{{{{- end }}}}\n"
    chart = {
        "apiVersion": "v2",
        "name": "synapse",
        "description": "A Synapse homeserver with workers, made from a plan",
        "type": "application",
        "version": "0.1.0",
        "kubeVersion": ">=1.30.0-0",
    }
    return {
        "chart/Chart.yaml": documents("", [chart]),
        "chart/values.yaml": _values_file(values.defaults),
        "chart/values.schema.json": json.dumps(_schema(values.defaults), indent=1) + "\n",
        "chart/templates/NOTES.txt": _notes(),
        **{f"chart/templates/{name}.yaml": text for name, text in templates.items()},
    }
