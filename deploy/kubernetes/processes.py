"""The processes of Synapse: StatefulSets for those with a name, Deployments for replicas."""

from collections.abc import Iterator
from typing import Any

from deploy.containers import most_replicas
from deploy.kubernetes.common import (
    DATA_SECRET,
    DATABASE_SECRET,
    MEDIA_CLAIM,
    SYNAPSE,
    Request,
    budget,
    container_security,
    labels,
    pod,
    port,
    resources,
    selected,
    service_port,
    spread,
)
from deploy.kubernetes.names import Group, plan_text
from deploy.kubernetes.text import Object
from deploy.routing import MAIN
from deploy.synapse import DRAIN, DRAIN_SECONDS, HEALTH, PASSWORD, SCRATCH, STOP_SECONDS, UID

_NUMBER = "WORKER_NUMBER"
# How long the cluster's DNS and the proxy take to forget a pod that is to be stopped: CoreDNS keeps
# answers for 5 s, HAProxy asks every 2 s.
_DELAY_SECONDS = 10
_PROBE_SECONDS = 5
_OWN_HEALTH = {"httpGet": {"path": "/health", "port": "health"}}
_READY = {"exec": {"command": list(HEALTH)}}
# Prometheus takes the names of the processes from these: see deploy/kubernetes/monitoring.py.
ANNOTATION = "synapse-worker"


def _probes(request: Request, group: Group) -> Object:
    """Return the probes.

    Whether a process that is named is ready decides nothing about its requests, since no other one
    has its work. It says what its services are, for those who watch it and for the next update.

    Replicas are different: one that is not ready gets no requests. All of them would stop being
    ready together while the main process or Redis is away, and one after the other, so that the
    last ones would get all requests. So only their start asks for other services, which stops an
    update with wrong settings; later, they are ready as long as they answer.
    """
    start = request.deployment.start_seconds
    starts, ready = (_READY, _OWN_HEALTH) if group.replicas else (_OWN_HEALTH, _READY)
    return {
        "startupProbe": {
            **starts,
            "periodSeconds": _PROBE_SECONDS,
            "timeoutSeconds": 10,
            "failureThreshold": -(-start // _PROBE_SECONDS),
        },
        "livenessProbe": {
            **_OWN_HEALTH,
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        "readinessProbe": {**ready, "periodSeconds": 10, "timeoutSeconds": 10},
    }


def _environ(request: Request, group: Group) -> Iterator[Object]:
    """Yield the variables; Kubernetes replaces ``$(NAME)`` in values, and ``$$`` by ``$``."""
    variables = dict(request.deployment.environ)
    plan = plan_text(request.groups)
    if plan:
        variables["SYNAPSE_WORKERS"] = plan
    first = group.first
    escaped = {name: value.replace("$", "$$") for name, value in variables.items()}
    escaped |= first.environ
    if group.numbered:
        index = "metadata.labels['apps.kubernetes.io/pod-index']"
        yield {"name": _NUMBER, "valueFrom": {"fieldRef": {"fieldPath": index}}}
        escaped["SYNAPSE_WORKER_NAME"] = f"{first.entry}$({_NUMBER})"
    for name, value in sorted(escaped.items()):
        yield {"name": name, "value": value}


def _mounts(group: Group) -> tuple[list[Object], list[Object]]:
    """Return the volumes of a pod and their mounts."""
    password = {"key": PASSWORD, "path": PASSWORD}
    secrets = {
        "data": ("/data", {"secretName": DATA_SECRET, "defaultMode": 0o440}),
        "password": (
            "/run/secrets",
            {"secretName": DATABASE_SECRET, "defaultMode": 0o440, "items": [password]},
        ),
    }
    volumes: list[Object] = []
    mounts: list[Object] = []
    for name, (path, secret) in secrets.items():
        volumes.append({"name": name, "secret": secret})
        mounts.append({"name": name, "mountPath": path, "readOnly": True})
    # The rendered files of each process.
    runtime = {"medium": "Memory", "sizeLimit": f"{15 + len(group.first.processes)}Mi"}
    for path in SCRATCH:
        name = path.strip("/").replace("synapse_", "")
        volumes.append({"name": name, "emptyDir": runtime if name == "runtime" else {}})
        mounts.append({"name": name, "mountPath": path})
    if group.first.media:
        volumes.append({"name": "media", "persistentVolumeClaim": {"claimName": MEDIA_CLAIM}})
        mounts.append({"name": "media", "mountPath": "/synapse_media"})
    return volumes, mounts


def _ports(request: Request, group: Group) -> dict[str, int]:
    """Return the ports of a pod by name, except that of its health, which only probes use.

    The first process of several has the usual ports, with the usual names.
    """
    names = {number: name for name, number in request.deployment.ports.items()}
    metrics = [one.metrics_port for one in group.first.members]
    numbers = sorted({*group.first.ports, *(metrics or [request.deployment.ports["metrics"]])})
    return {names.get(number, f"worker-{number}"): number for number in numbers}


def _annotations(group: Group) -> dict[str, str] | None:
    """Return what Prometheus needs for the labels of a process; its port tells one of several."""
    if group.first.members:
        return None
    annotations = {f"{ANNOTATION}/types": MAIN if group.first.is_main else group.first.runs}
    if not group.replicas:
        base = group.first.entry if group.numbered else group.first.name
        annotations[f"{ANNOTATION}/{'prefix' if group.numbered else 'name'}"] = base
    return annotations


def _resources(request: Request, group: Group) -> Any:
    """Return what the processes of a pod need; with several, the sum of what each needs.

    Those that are forked from one parent share about 80 MiB of imported code.
    """
    if not group.first.is_main:
        return resources(request, "worker", "100m", "192Mi", "2Gi")
    workers = len(group.first.processes) - 1
    cpu, memory, limit = 500 + 100 * workers, 384 + 112 * workers, 4 + 2 * workers
    return resources(request, "main", f"{cpu}m", f"{memory}Mi", f"{limit}Gi")


def _template(request: Request, group: Group) -> Object:
    volumes, mounts = _mounts(group)
    drain = [*DRAIN, *([f"--delay={_DELAY_SECONDS}"] if group.replicas else [])]
    container = {
        "name": "synapse",
        "image": request.values("image", default=request.images.image),
        "env": list(_environ(request, group)),
        "ports": [
            *(port(name, number) for name, number in _ports(request, group).items()),
            port("health", request.deployment.ports["health"]),
        ],
        **_probes(request, group),
        "lifecycle": {"preStop": {"exec": {"command": drain}}},
        "resources": _resources(request, group),
        "securityContext": container_security(),
        "volumeMounts": mounts,
    }
    grace = DRAIN_SECONDS + STOP_SECONDS + (_DELAY_SECONDS if group.replicas else 0)
    several = group.replicas or len(group.containers) > 1
    return {
        "metadata": {"labels": labels(SYNAPSE, group.name), "annotations": _annotations(group)},
        "spec": pod(
            UID,
            container,
            volumes,
            terminationGracePeriodSeconds=grace,
            topologySpreadConstraints=spread(SYNAPSE, group.name) if several else None,
        ),
    }


def _workload(request: Request, group: Group) -> Object:
    spec: dict[str, Any] = {
        "selector": {"matchLabels": selected(SYNAPSE, group.name)},
        "template": _template(request, group),
    }
    if group.replicas:
        # The autoscaler sets the number of pods; here, it would be reset by each update.
        kind = "Deployment"
        update = {"maxUnavailable": 0, "maxSurge": "25%"}
        spec = {"strategy": {"type": "RollingUpdate", "rollingUpdate": update}} | spec
    else:
        # Pods are replaced one by one, each only after the one before it has ended: there are never
        # two processes with one name.
        kind = "StatefulSet"
        spec = {
            "replicas": len(group.containers),
            "ordinals": {"start": group.first_number} if group.first_number else None,
            "serviceName": group.name,
            "podManagementPolicy": "Parallel",
        } | spec
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": request.metadata(group.name, labels(SYNAPSE, group.name)),
        "spec": spec,
    }


def _service(request: Request, group: Group) -> Object:
    """Return the Service, whose name has the addresses of the pods.

    That of a named process also has them while it is not ready: workers need the main process to
    become ready themselves, and the proxy checks for itself whether a process answers.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": request.metadata(group.name, labels(SYNAPSE, group.name)),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True if not group.replicas else None,
            "selector": selected(SYNAPSE, group.name),
            "ports": [
                service_port(name, number) for name, number in _ports(request, group).items()
            ],
        },
    }


def _autoscaler(request: Request, group: Group) -> Object:
    """Return the autoscaler of replicas.

    A process of Synapse uses one CPU at most, so the limit is a part of that and not of what the
    container has reserved.
    """
    most = most_replicas(group.replicas)
    values, worker = request.values, ("workers", group.name)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": request.metadata(group.name, labels(SYNAPSE, group.name)),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": group.name},
            "minReplicas": values(*worker, "minReplicas", default=group.replicas),
            "maxReplicas": values(*worker, "maxReplicas", default=most),
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {
                            "type": "AverageValue",
                            "averageValue": values("targetCPU", default="700m"),
                        },
                    },
                }
            ],
        },
    }


def process_objects(request: Request, group: Group) -> list[Object]:
    """Return the objects of a group of processes."""
    objects = [
        _workload(request, group),
        _service(request, group),
        budget(request, group.name, SYNAPSE),
    ]
    return [*objects, _autoscaler(request, group)] if group.replicas else objects
