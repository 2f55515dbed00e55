"""What the objects have in common: labels, metadata, and pods that the level "restricted" allows.

The rules are from "Pod Security Standards" in the Kubernetes documentation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from deploy.containers import Deployment
from deploy.images import Images
from deploy.kubernetes.names import Group, groups
from deploy.kubernetes.options import KubernetesOptions
from deploy.kubernetes.text import Object
from deploy.kubernetes.values import Values

SYNAPSE, PROXY, REDIS, POSTGRES = "synapse", "haproxy", "redis", "postgresql"
DATABASE_SECRET = "synapse-database"
DATA_SECRET = "synapse-data"
MEDIA_CLAIM = "synapse-media"
PROXY_PORT = 8080
REDIS_PORT, POSTGRES_PORT, DNS_PORT = 6379, 5432, 53


@dataclass(frozen=True)
class Request:
    """What the objects are made of.

    Attributes:
        deployment: the containers of the plan.
        images: the images.
        options: the administrator's choices.
        values: gives each value that may be changed later.
        namespace: the namespace as it appears in the objects; "" to leave it out of them.
        own_namespace: the namespace as it appears in host names.
    """

    deployment: Deployment
    images: Images
    options: KubernetesOptions
    values: Values
    namespace: str
    own_namespace: str

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The groups of the containers; that of the main process is the first."""
        return groups(self.deployment)

    @property
    def together(self) -> bool:
        """Whether one pod runs all processes of the plan."""
        return bool(self.groups[0].first.members)

    @property
    def domain(self) -> str:
        """What follows the name of a Service in its complete host name."""
        cluster = self.values("clusterDomain", default=self.options.cluster_domain)
        return f"{self.own_namespace}.svc.{cluster}"

    def metadata(self, name: str, labels: Mapping[str, str]) -> Object:
        """Return the metadata of an object."""
        return {"name": name, "namespace": self.namespace or None, "labels": dict(labels)}


def labels(program: str, component: str) -> dict[str, str]:
    """Return the labels of the objects and pods of one component."""
    return {
        "app.kubernetes.io/name": program,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "matrix-homeserver",
    }


def selected(program: str, component: str) -> dict[str, str]:
    """Return the labels by which the pods of one component are selected."""
    return {"app.kubernetes.io/name": program, "app.kubernetes.io/component": component}


def pod_security(user: int) -> Object:
    """Return the security context of a pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Object:
    """Return the security context of a container."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def pod(user: int, container: Object, volumes: Sequence[Object], **fields: Any) -> Object:
    """Return the specification of a pod with one container, without access to the API server."""
    return {
        "automountServiceAccountToken": False,
        # The variables of other Services, such as REDIS_PORT, mean nothing to these programs.
        "enableServiceLinks": False,
        **fields,
        "securityContext": pod_security(user),
        "containers": [container],
        "volumes": list(volumes) or None,
    }


def resources(request: Request, name: str, cpu: str, memory: str, limit: str) -> Any:
    """Return what a container needs; there is no limit of its CPU time, which would only delay it.

    Args:
        request: the request.
        name: the name of the values.
        cpu: the CPU time that is reserved.
        memory: the memory that is reserved.
        limit: the memory with which it is ended.
    """
    default = {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": limit}}
    return request.values("resources", name, default=default)


def budget(request: Request, name: str, program: str) -> Object:
    """Return the budget of disruptions of a component.

    One pod may be away at a time. For a component with a single pod, this lets a node be drained,
    which a minimum of one would always prevent; requests then wait for the pod. A pod that is not
    ready does not prevent it either.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": request.metadata(name, labels(program, name)),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selected(program, name)},
        },
    }


def spread(program: str, component: str) -> list[Object]:
    """Return constraints that spread the pods of a component over zones and nodes, if possible."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selected(program, component)},
        }
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]


def port(name: str, number: int) -> Object:
    """Return a port of a container."""
    return {"name": name, "containerPort": number}


def service_port(name: str, number: int, target: str = "") -> Object:
    """Return a port of a Service, which has the name of the container's port."""
    return {"name": name, "port": number, "targetPort": target or name}
