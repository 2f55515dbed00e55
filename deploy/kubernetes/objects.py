"""Which file has which objects, for the base and its components as well as for the chart."""

import textwrap
from collections.abc import Iterator

from deploy.kubernetes import network, processes, services
from deploy.kubernetes.common import Request
from deploy.kubernetes.monitoring import monitoring_objects
from deploy.kubernetes.names import Group
from deploy.kubernetes.text import Object
from deploy.synapse import RESTART

# Maps the name of each file to what is in it. Those of the processes are in `base_objects`.
_COMMENTS = {
    "media": "The volume of the media. The default class of storage of the cluster is used.",
    "network": "Who may connect to whom. All connections to pods of this namespace are refused, "
    "except those listed here; a node reaches its own pods for probes in any case. Synapse itself "
    "may connect to other homeservers, push gateways and so on; the proxy only to Synapse.",
    "proxy": "HAProxy, which has the routes that neither Ingress nor Gateway API can express: all "
    "requests of a user or for a room go to one worker, the main process stands in for workers, "
    "and requests wait for a process that is restarted.",
}
# Maps each component to what it is for.
_COMPONENTS = {
    "postgres": "PostgreSQL with one volume. Leave it out if homeserver.yaml names another one.",
    "redis": "Redis, which keeps nothing. Leave it out if homeserver.yaml names another one.",
    "ingress": "The Ingress. Its controller terminates TLS, and must accept requests of 50 MiB. "
    "Other homeservers find it through /.well-known/matrix/server, which must name port 443.",
    "gateway": "The route from a Gateway, whose listeners terminate TLS. Other homeservers use "
    "port 8448 unless /.well-known/matrix/server names another one.",
    "monitoring": "For the Prometheus operator; the cluster must have its types of objects.",
}
# What is said of each workload of Synapse: of those with names, and of replicas.
_NAMED = (
    "Pods are replaced one by one, so that there are never two processes with one name. Each may "
    "be evicted, one at a time: a budget with a minimum would keep the node of a single pod from "
    "being drained. Requests wait for it. Readiness also says whether its services answer; it "
    "decides nothing about requests, which the proxy sends to whatever answers."
)
_REPLICAS = (
    "Each pod is a worker with the name of the pod. The autoscaler sets the number of pods. They "
    "are ready as long as they answer: if they asked the main process, all of them would leave the "
    "DNS while it restarts. A pod that is to be stopped waits until the DNS and the proxy forget "
    "it."
)
_TOGETHER = (
    "One parent starts the main process, and the workers once that is healthy; it starts again "
    "what ends. There is never a second pod, which would have processes with the same names, so "
    "that requests wait while it is replaced or its node is drained. This checks the configuration "
    "anew, and restarts one process:"
)
_RESTART = f"kubectl exec main-0 -- {' '.join(RESTART)}"


def _comment(group: Group) -> str:
    """Return what a workload of Synapse is, and why."""
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
