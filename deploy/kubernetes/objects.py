"""The objects in each file, for the base and its components as well as for the chart."""

import textwrap
from collections.abc import Iterator

from deploy.kubernetes import network, processes, services
from deploy.kubernetes.common import Request
from deploy.kubernetes.monitoring import monitoring_objects
from deploy.kubernetes.names import Group
from deploy.kubernetes.text import Object
from deploy.synapse import RESTART

# Maps the name of each file to its comment. Those of the processes are in `base_objects`.
_COMMENTS = {
    "media": "The volume for media. It uses the cluster's default StorageClass.",
    "network": "All connections to pods of this namespace are denied, except those listed here; a "
    "node can always reach its own pods for probes. Synapse itself may connect to other "
    "homeservers, push gateways and so on; the proxy only to Synapse.",
    "proxy": "HAProxy, with the routes that neither Ingress nor Gateway API can express: all "
    "requests of a user or for a room go to one worker, the main process stands in for workers "
    "that are down, and requests wait for a process that restarts.",
}
# Maps each component to its comment.
_COMPONENTS = {
    "postgres": "PostgreSQL with one volume. Remove it if homeserver.yaml names another one.",
    "redis": "Redis, without persistence. Remove it if homeserver.yaml names another one.",
    "ingress": "The Ingress. Its controller terminates TLS, and must accept requests of 50 MiB. "
    "Other homeservers find it through /.well-known/matrix/server, which must name port 443.",
    "gateway": "The HTTPRoute of a Gateway, whose listeners terminate TLS. Other homeservers use "
    "port 8448 unless /.well-known/matrix/server names another one.",
    "monitoring": "For the Prometheus operator, whose CustomResourceDefinitions the cluster needs.",
}
# The comments of Synapse's workloads: of named processes, of replicas, and of one pod for all.
_NAMED = (
    "Pods are replaced one by one, so that there are never two processes with the same name. One "
    "pod may be evicted at a time: a PodDisruptionBudget with a minimum would prevent the node of "
    "a single pod from being drained. Requests wait meanwhile. Readiness also shows whether the "
    "services that the process needs answer; the proxy does not depend on it, and checks the "
    "processes itself."
)
_REPLICAS = (
    "Each pod is a worker with the name of the pod. The autoscaler sets the number of pods. Their "
    "readiness does not depend on the main process; otherwise, all of them would disappear from "
    "DNS while it restarts. Before a pod stops, it waits until DNS and the proxy have forgotten it."
)
_TOGETHER = (
    "One parent starts the main process, and the workers once that is healthy, and restarts "
    "processes that end. There is never a second pod, since it would run processes with the same "
    "names, so requests wait while the pod is replaced or its node is drained. This command checks "
    "the configuration again and restarts one process:"
)
_RESTART = f"kubectl exec main-0 -- {' '.join(RESTART)}"


def _comment(group: Group) -> str:
    """Return the comment of a workload of Synapse."""
    if group.first.members:
        return _wrapped(f"{group.first.runs} in one pod. {_TOGETHER}") + f"\n\n{_RESTART}"
    if group.first.is_main:
        return f"The main process.\n{_wrapped(_NAMED)}"
    if group.replicas:
        return f"Replicas with the worker types {group.first.runs}.\n{_wrapped(_REPLICAS)}"
    names = ", ".join(one.name for one in group.containers)
    return f"{_wrapped(f'{names}: {group.first.runs}.')}\n{_wrapped(_NAMED)}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 98, break_long_words=False, break_on_hyphens=False)


def base_objects(request: Request) -> Iterator[tuple[str, str, list[Object]]]:
    """Yield the files of the base: the path without its ending, a comment, and the objects."""
    yield "network", _wrapped(_COMMENTS["network"]), network.network_objects(request)
    yield "media", _wrapped(_COMMENTS["media"]), services.media_objects(request)
    yield "proxy", _wrapped(_COMMENTS["proxy"]), services.proxy_objects(request)
    for group in request.groups:
        folder = "" if group.first.is_main else "workers/"
        yield f"{folder}{group.name}", _comment(group), processes.process_objects(request, group)


def component_objects(request: Request) -> Iterator[tuple[str, str, list[Object]]]:
    """Yield the components: the name, a comment, and the objects."""
    objects = {
        "postgres": [*services.postgres_objects(request), *network.postgres_policies(request)],
        "redis": [*services.redis_objects(request), *network.redis_policies(request)],
        "ingress": network.ingress_objects(request),
        "gateway": network.gateway_objects(request),
        "monitoring": monitoring_objects(request),
    }
    for name, comment in _COMPONENTS.items():
        yield name, _wrapped(comment), objects[name]
