"""The files of a plan for Kubernetes 1.30 or newer: a base for kustomize, and a Helm chart.

The rules are from the Kubernetes documentation and API reference, kustomize's "kustomization file"
and Helm's "Charts".
"""

from deploy.containers import Deployment
from deploy.images import Images
from deploy.kubernetes import chart
from deploy.kubernetes.common import DATA_SECRET, DATABASE_SECRET, Request
from deploy.kubernetes.names import name_problems
from deploy.kubernetes.objects import base_objects, component_objects
from deploy.kubernetes.options import KubernetesOptions
from deploy.kubernetes.text import Object, comments, document, documents
from deploy.kubernetes.values import literal

_KUSTOMIZE = "kustomize.config.k8s.io"
_LEVELS = ("enforce", "audit", "warn")


def problems(deployment: Deployment) -> list[str]:
    """Return a line for each part of the plan or its variables that is impossible in Kubernetes."""
    main, *workers = deployment.containers
    placed = [name for one in workers if one.host != one.name for name in one.processes]
    lines = [] if main.members else [*name_problems(deployment)]
    if placed:
        reason = "all are in one pod" if main.members else "Kubernetes gives each process its own"
        lines.append(
            f"SYNAPSE_WORKERS: {', '.join(placed)} have a host, but {reason}; remove @HOST"
        )
    if not main.own_host:
        lines.append(
            f"SYNAPSE_REPLICATION_HOST={main.host!r}: Kubernetes gives the main process its own "
            "host; unset it"
        )
    if deployment.environ.get("SYNAPSE_UNIX_SOCKETS", "off") != "off":
        lines.append(
            "SYNAPSE_UNIX_SOCKETS: processes in different pods cannot share sockets; unset it"
        )
    return lines


def _namespace(options: KubernetesOptions) -> Object:
    restricted = {f"pod-security.kubernetes.io/{level}": "restricted" for level in _LEVELS}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": options.namespace, "labels": restricted},
    }


def _kustomization(kind: str, version: str, **lists: list[str]) -> Object:
    return {"apiVersion": f"{_KUSTOMIZE}/{version}", "kind": kind, **lists}


def _chosen(options: KubernetesOptions) -> list[str]:
    """Return the names of the components that are applied."""
    ingress = [options.ingress] if options.ingress != "none" else []
    return ["postgres", "redis", *ingress, *(["monitoring"] if options.monitoring else [])]


def _overview(options: KubernetesOptions) -> str:
    return comments(
        "The processes of a Synapse homeserver: kubectl apply -k .\n\n"
        f"Before that, create the namespace, and two Secrets, which are not in these files:\n\n"
        "  kubectl apply -f base/namespace.yaml\n"
        f"  kubectl -n {options.namespace} create secret generic {DATA_SECRET} --from-file=data\n"
        f"  kubectl -n {options.namespace} create secret generic {DATABASE_SECRET} "
        "--from-file=database_password\n\n"
        "The folder data contains homeserver.yaml, signing.key and all files that homeserver.yaml\n"
        "names. Remove components that you do not need, and put your own changes into a\n"
        "kustomization that has this folder among its resources."
    )


def files(deployment: Deployment, images: Images, options: KubernetesOptions) -> dict[str, str]:
    """Return the files by path: a kustomization, its base and components, and a Helm chart.

    Args:
        deployment: the containers of the plan, with replicas.
        images: the images.
        options: the administrator's choices.
    """
    name = options.namespace
    request = Request(deployment, images, options, literal, name, name)
    texts = {"base/namespace.yaml": documents("", [_namespace(options)])}
    for path, comment, objects in base_objects(request):
        texts[f"base/{path}.yaml"] = documents(comment, objects)
    resources = [path.removeprefix("base/") for path in texts]
    texts["base/kustomization.yaml"] = document(
        _kustomization("Kustomization", "v1beta1", resources=resources)
    )
    chosen = _chosen(options)
    for name, comment, objects in component_objects(request):
        if name in ("ingress", "gateway") and name not in chosen:
            continue
        texts[f"components/{name}/{name}.yaml"] = documents(comment, objects)
        texts[f"components/{name}/kustomization.yaml"] = document(
            _kustomization("Component", "v1alpha1", resources=[f"{name}.yaml"])
        )
    texts["kustomization.yaml"] = _overview(options) + document(
        _kustomization(
            "Kustomization",
            "v1beta1",
            resources=["base"],
            components=[f"components/{one}" for one in chosen],
        )
    )
    return texts | chart.files(deployment, images, options, chosen)
