"""The network policies, and how requests from outside reach the proxy."""

from collections.abc import Iterable, Sequence
from typing import Any

from deploy.kubernetes.common import (
    DNS_PORT,
    POSTGRES,
    POSTGRES_PORT,
    PROXY,
    PROXY_PORT,
    REDIS,
    REDIS_PORT,
    SYNAPSE,
    Request,
    labels,
    service_port,
)
from deploy.kubernetes.text import Object

# The paths that are reachable from outside. The admin API (/_synapse/admin) is not among them.
PATHS = ("/_matrix", "/_synapse/client", "/.well-known/matrix")
TLS_SECRET = "synapse-tls"
_MAX_BODY = "50m"
_SECONDS = "600"
# Other controllers than ingress-nginx ignore these.
_ANNOTATIONS = {
    "nginx.ingress.kubernetes.io/proxy-body-size": _MAX_BODY,
    "nginx.ingress.kubernetes.io/proxy-read-timeout": _SECONDS,
    "nginx.ingress.kubernetes.io/proxy-send-timeout": _SECONDS,
}


def _pods(program: str) -> Object:
    return {"podSelector": {"matchLabels": {"app.kubernetes.io/name": program}}}


def _tcp(numbers: Iterable[int]) -> list[Object]:
    return [{"protocol": "TCP", "port": number} for number in numbers]


def _policy(
    request: Request,
    name: str,
    program: str,
    ingress: Sequence[Object],
    egress: Sequence[Object] | None = None,
) -> Object:
    """Return a policy for the pods of a program; with ``egress``, they reach nothing else."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": request.metadata(name, labels(program, name)),
        "spec": {
            **_pods(program),
            "policyTypes": ["Ingress"] if egress is None else ["Ingress", "Egress"],
            "ingress": list(ingress),
            "egress": None if egress is None else list(egress),
        },
    }


def network_objects(request: Request) -> list[Object]:
    """Return the policies of the namespace, of Synapse and of the proxy."""
    ports = request.deployment.ports
    serving = sorted({server.port for server in request.deployment.routing.servers})
    namespace = request.values(
        "monitoring", "scraperNamespace", default=request.options.scraper_namespace
    )
    scraper = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    names = [{"protocol": protocol, "port": DNS_PORT} for protocol in ("UDP", "TCP")]
    nobody = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": request.metadata("nobody", labels(SYNAPSE, "nobody")),
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
    members = [one for group in request.groups for one in group.first.members]
    metrics = [one.metrics_port for one in members] or [ports["metrics"]]
    # Processes in one pod reach each other without a policy.
    calls = [] if request.together else [ports["replication"]]
    rules = [([_pods(PROXY)], serving), ([_pods(SYNAPSE)], calls), ([scraper], metrics)]
    synapse = _policy(
        request,
        "synapse",
        SYNAPSE,
        [{"from": peers, "ports": _tcp(numbers)} for peers, numbers in rules if numbers],
    )
    proxy = _policy(
        request,
        "proxy",
        PROXY,
        [{"ports": _tcp([PROXY_PORT])}],
        [{"to": [_pods(SYNAPSE)], "ports": _tcp(serving)}, {"ports": names}],
    )
    return [nobody, synapse, proxy]


def redis_policies(request: Request) -> list[Object]:
    """Return the policy of Redis, which only Synapse reaches, and which reaches nobody."""
    ingress = [{"from": [_pods(SYNAPSE)], "ports": _tcp([REDIS_PORT])}]
    return [_policy(request, "redis", REDIS, ingress, [])]


def postgres_policies(request: Request) -> list[Object]:
    """Return the policy of PostgreSQL, which only Synapse reaches, and which reaches nobody."""
    ingress = [{"from": [_pods(SYNAPSE)], "ports": _tcp([POSTGRES_PORT])}]
    return [_policy(request, "postgres", POSTGRES, ingress, [])]


def _domain(request: Request) -> Any:
    return request.values("domain", default=request.options.domain or "matrix.example.com")


def ingress_objects(request: Request) -> list[Object]:
    """Return the Ingress, which terminates TLS and passes everything on to the proxy."""
    domain, values = _domain(request), request.values
    backend = {"service": {"name": "proxy", "port": {"name": "http"}}}
    paths = [{"path": path, "pathType": "Prefix", "backend": backend} for path in PATHS]
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": request.metadata("synapse", labels(SYNAPSE, "ingress"))
            | {"annotations": values("ingress", "annotations", default=_ANNOTATIONS)},
            "spec": {
                # None is the cluster's default class.
                "ingressClassName": values("ingress", "className", default=None),
                "tls": [
                    {
                        "hosts": [domain],
                        "secretName": values("ingress", "tlsSecret", default=TLS_SECRET),
                    }
                ],
                "rules": [{"host": domain, "http": {"paths": paths}}],
            },
        }
    ]


def gateway_objects(request: Request) -> list[Object]:
    """Return the route, which passes everything on from a Gateway to the proxy.

    The time limits are those of the proxy: a request that waits for news takes up to minutes.
    """
    namespace, _, name = request.options.gateway.rpartition("/")
    values = request.values
    return [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": request.metadata("synapse", labels(SYNAPSE, "gateway")),
            "spec": {
                "parentRefs": [
                    {
                        "name": values("gateway", "name", default=name or "gateway"),
                        "namespace": values("gateway", "namespace", default=namespace or None),
                    }
                ],
                "hostnames": [_domain(request)],
                "rules": [
                    {
                        "matches": [
                            {"path": {"type": "PathPrefix", "value": path}} for path in PATHS
                        ],
                        "backendRefs": [
                            {"name": "proxy", "port": service_port("http", 80)["port"]}
                        ],
                        "timeouts": {"request": f"{_SECONDS}s"},
                    }
                ],
            },
        }
    ]
