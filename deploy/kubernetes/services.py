"""PostgreSQL, Redis, the proxy, and the storage of the media."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from deploy import haproxy, proxy, support
from deploy.kubernetes.common import (
    DATABASE_SECRET,
    MEDIA_CLAIM,
    POSTGRES,
    POSTGRES_PORT,
    PROXY,
    PROXY_PORT,
    REDIS,
    REDIS_PORT,
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
from deploy.kubernetes.text import Object
from deploy.options import Options
from deploy.routing import Routing, Server
from deploy.synapse import PASSWORD

_POSTGRES_USER = 70  # Of the official image on Alpine Linux.
_PROXY_STOP_SECONDS = 5  # Until the nodes send no new connections to a proxy that is to be stopped.


def _routing(request: Request) -> Routing:
    """Return the routes with complete host names, since HAProxy uses no search domains."""
    hosts = {
        name: f"{group.host(one)}.{request.domain}"
        for group in request.groups
        for one in group.containers
        for name in one.processes
    }

    def moved(server: Server) -> Server:
        return replace(server, host=hosts[server.name])

    routing = request.deployment.routing
    routes = tuple(
        replace(route, servers=tuple(map(moved, route.servers))) for route in routing.routes
    )
    return Routing(routes, moved(routing.main))


def _proxy_configuration(request: Request) -> str:
    # TLS ends before this proxy, so another one is in front of it.
    options = Options(
        client_port=0,
        federation_port=0,
        plain_port=PROXY_PORT,
        # A pod takes longer to come back than a container whose engine need not look for a node.
        hold_seconds=60,
        trusts_peer=True,
    )
    return haproxy.configuration(_routing(request), options)


def _workload(
    request: Request, kind: str, name: str, program: str, spec: Object, annotations: Any = None
) -> Object:
    """Return a StatefulSet or Deployment, whose ``spec`` has the specification of its pods."""
    template = {
        "metadata": {"labels": labels(program, name), "annotations": annotations},
        "spec": spec.pop("pod"),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": request.metadata(name, labels(program, name)),
        "spec": {
            **spec,
            "selector": {"matchLabels": selected(program, name)},
            "template": template,
        },
    }


def _service(
    request: Request, name: str, program: str, ports: Sequence[Object], **fields: Any
) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": request.metadata(name, labels(program, name)),
        "spec": {**fields, "selector": selected(program, name), "ports": list(ports)},
    }


def _probe(command: Sequence[str], **fields: int) -> Object:
    return {"exec": {"command": list(command)}, "periodSeconds": 10, "timeoutSeconds": 5, **fields}


def proxy_objects(request: Request) -> list[Object]:
    """Return the proxy, which has the routes of the plan."""
    configuration = _proxy_configuration(request)
    listens = {"tcpSocket": {"port": "http"}, "periodSeconds": 5, "timeoutSeconds": 5}
    container = {
        "name": "haproxy",
        "image": request.values("proxyImage", default=request.images.proxy_image),
        "ports": [port("http", PROXY_PORT)],
        # Not a request to Synapse: while no process answers, the proxy lets requests wait.
        # It listens once it has looked up all names, which takes long while the DNS is away.
        "startupProbe": {**listens, "failureThreshold": 60},
        "livenessProbe": {**listens, "periodSeconds": 10, "failureThreshold": 6},
        "readinessProbe": listens,
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(_PROXY_STOP_SECONDS)]}}},
        "resources": resources(request, "proxy", "50m", "64Mi", "512Mi"),
        "securityContext": container_security(),
        "volumeMounts": [{"name": "configuration", "mountPath": proxy.FOLDER, "readOnly": True}],
    }
    volume = {"name": "configuration", "configMap": {"name": "proxy"}}
    # Its digest starts new pods when it changes.
    digest = hashlib.sha256(configuration.encode()).hexdigest()
    spec = {
        "replicas": request.values("proxyReplicas", default=2),
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
        "pod": pod(
            proxy.UID,
            container,
            [volume],
            terminationGracePeriodSeconds=60,
            topologySpreadConstraints=spread(PROXY, "proxy"),
        ),
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": request.metadata("proxy", labels(PROXY, "proxy")),
            "data": {"haproxy.cfg": configuration},
        },
        _workload(
            request,
            "Deployment",
            "proxy",
            PROXY,
            spec,
            {"synapse-worker/configuration-sha256": digest},
        ),
        _service(request, "proxy", PROXY, [service_port("http", 80)]),
        budget(request, "proxy", PROXY),
    ]


def redis_objects(request: Request) -> list[Object]:
    """Return Redis, which keeps nothing: Synapse uses it only to pass messages on."""
    container = {
        "name": "redis",
        "image": request.values("redisImage", default=request.images.redis_image),
        "args": list(support.REDIS.command),
        "ports": [port("redis", REDIS_PORT)],
        "livenessProbe": _probe(support.REDIS.health, failureThreshold=6),
        "readinessProbe": _probe(support.REDIS.health),
        "resources": resources(request, "redis", "50m", "64Mi", "512Mi"),
        "securityContext": container_security(),
        "volumeMounts": [{"name": "data", "mountPath": support.REDIS.data}],
    }
    spec = {
        "replicas": 1,
        # Two of them at a time would each pass on only a part of the messages.
        "strategy": {"type": "Recreate"},
        "pod": pod(support.REDIS.uid, container, [{"name": "data", "emptyDir": {}}]),
    }
    return [
        _workload(request, "Deployment", "redis", REDIS, spec),
        _service(request, "redis", REDIS, [service_port("redis", REDIS_PORT)]),
    ]


def postgres_objects(request: Request) -> list[Object]:
    """Return PostgreSQL with a volume."""
    postgres = support.POSTGRES
    secret = {
        "secretName": DATABASE_SECRET,
        "defaultMode": 0o440,
        "items": [{"key": PASSWORD, "path": PASSWORD}],
    }
    # A folder in the volume, which may contain lost+found.
    environ = {**postgres.environ, "PGDATA": f"{postgres.data}/pgdata"}
    mounts = {"data": postgres.data, "runtime": postgres.runtime, "shm": "/dev/shm", "tmp": "/tmp"}
    container = {
        "name": "postgres",
        "image": request.values("postgresImage", default=request.images.postgres_image),
        "args": list(support.postgres_command(request.deployment)),
        "env": [{"name": name, "value": value} for name, value in environ.items()],
        "ports": [port("postgresql", POSTGRES_PORT)],
        "startupProbe": _probe(postgres.health, failureThreshold=60),
        "livenessProbe": _probe(postgres.health, failureThreshold=6),
        "readinessProbe": _probe(postgres.health),
        "resources": resources(request, "postgres", "250m", "256Mi", "4Gi"),
        "securityContext": container_security(),
        "volumeMounts": [
            *({"name": name, "mountPath": path} for name, path in mounts.items()),
            {"name": "password", "mountPath": "/run/secrets", "readOnly": True},
        ],
    }
    volumes = [
        {"name": "runtime", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "password", "secret": secret},
    ]
    claim = {
        "metadata": {"name": "data"},
        "spec": _claim(request, "postgres", "20Gi", shared=False),
    }
    spec = {
        "replicas": 1,
        "serviceName": "postgres",
        "pod": pod(_POSTGRES_USER, container, volumes, terminationGracePeriodSeconds=120),
        "volumeClaimTemplates": [claim],
    }
    ports = [service_port("postgresql", POSTGRES_PORT)]
    return [
        _workload(request, "StatefulSet", "postgres", POSTGRES, spec),
        _service(request, "postgres", POSTGRES, ports, clusterIP="None"),
    ]


def _claim(request: Request, name: str, size: str, *, shared: bool) -> Object:
    """Return the specification of a claim of a volume.

    Args:
        request: the request.
        name: the name of its values.
        size: its default size.
        shared: whether pods at different nodes write to it.
    """
    values = request.values
    mode = "ReadWriteMany" if shared else "ReadWriteOnce"
    return {
        "accessModes": values(name, "accessModes", default=[mode]),
        # None is the cluster's default class.
        "storageClassName": values(name, "storageClass", default=None),
        "resources": {"requests": {"storage": values(name, "size", default=size)}},
    }


def media_objects(request: Request) -> list[Object]:
    """Return the claim of the volume for the media; several processes need one that all can use."""
    writers = sum(one.media for one in request.deployment.containers)
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            # `helm uninstall` leaves it, as it leaves the claims of a StatefulSet.
            "metadata": request.metadata(MEDIA_CLAIM, labels(SYNAPSE, "media"))
            | {"annotations": {"helm.sh/resource-policy": "keep"}},
            "spec": _claim(request, "media", "50Gi", shared=writers > 1),
        }
    ]
