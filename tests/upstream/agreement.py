"""Compares config/routes.bzl with the servlets that the processes of an image register."""

import re
from collections.abc import Iterable, Iterator, Mapping

from deploy.routing import Routing, Server, routing
from tests.upstream.servlets import Served
from worker.worker_types import Table, WorkerType

# Requests that a worker serves too, but that go to the main process, each with the reason.
STAYS_WITH_MAIN = {
    r"GET /health.*": "a load balancer asks about the process, not about a worker behind a proxy",
    r"GET /\.well-known/matrix/.*": "a fixed text, and asked for rarely",
    r"GET /_matrix/key/v2/server.*": "a fixed text, and not on the page",
    r"POST /_matrix/federation/v1/3pid/onbind": "rare, and not on the page",
    r"POST /_matrix/federation/unstable/org.matrix.msc3720/.*": "experimental",
    r"POST /_matrix/client/unstable/org.matrix.msc3720/.*": "experimental",
    r"GET /_matrix/client/unstable/org.matrix.msc1763/.*": "experimental, a fixed text",
    r"GET /_matrix/client/unstable/org.matrix.msc4143/.*": "experimental, a fixed text",
    r"GET /_matrix/client/unstable/io.element.msc4502/.*": "experimental",
    r"POST /_matrix/client/unstable/io.element.msc4512/.*": "experimental",
    # Reading these messages deletes those read before.
    r"(GET|POST) /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device/.*": (
        "experimental"
    ),
    # The page has these paths with r0 and v3; no client uses the prefix unstable for them.
    r"GET /_matrix/client/unstable/(sync|events|initialSync|rooms/[^/]+/initialSync)": "not in use",
    r"POST /_matrix/client/unstable/delete_devices": "not in use",
    r"GET /_matrix/client/unstable/register/m.login.registration_token/validity": "not in use",
    r"POST /_matrix/client/(v1|unstable)/appservice/[^/]+/ping": "rare, and not on the page",
    r"GET /_matrix/client/(v1|unstable|unstable/org.matrix.msc2965)/auth_metadata": "a fixed text",
    r"GET /_matrix/client/(api/v1|r0|v3|unstable)/login/cas/redirect": "replaced by login/sso",
    # A part of single sign-on that the page omits, without a session in the process.
    r"POST /_synapse/client/oidc/backchannel_logout.*": "rare, and not on the page",
    r"(GET|POST) /_synapse/client/oidc/callback/.*": "providers are given the path without more",
    r"(GET|POST) /_synapse/client/unsubscribe": "rare, and not on the page",
    r"GET /_synapse/client/media_upload_limit_exceeded": "a fixed text",
}
# The same for what only Synapse before the default pin has.
STAYED_WITH_MAIN = {
    r"(PUT|DELETE) /_matrix/client/[^/]+(/v1)?/pushrules/.*": "workers refuse it before 1.105",
    r"(GET|POST|PUT) /_matrix/client/unstable/org.matrix.msc2716/.*": "experimental, and removed",
    r"GET /_matrix/client/unstable/org.matrix.msc2965/auth_issuer": "a fixed text",
    r"GET /_matrix/client/unstable/org.matrix.msc3575/sync/e2ee": "experimental, and removed",
    r"(GET|PUT|DELETE) /_matrix/client/[^/]+/devices/.*": "workers changed devices from 1.130 on, "
    "but only since 1.135 without main",
    r"POST /_matrix/client/(v1|r0|v3|unstable)/refresh": "not on the page, and gone since 1.79",
}
_GENERIC = "generic_worker"
_MAIN = Server("main", "main", 8008)


def served_types(table: Table) -> list[WorkerType]:
    """Return the worker types of this Synapse that serve requests."""
    return [
        worker_type
        for worker_type in table.types.values()
        if worker_type.resources and worker_type.since <= table.minor
    ]


def kinds(table: Table) -> list[tuple[str, ...]]:
    """Return each set of resources that some worker type has."""
    return sorted({_kind(worker_type) for worker_type in served_types(table)})


def _kind(worker_type: WorkerType) -> tuple[str, ...]:
    return tuple(sorted(worker_type.resources))


def _routing(table: Table, names: Iterable[str]) -> Routing:
    """Return the routes of a plan with one worker of each of these types."""
    workers = [(Server(name, name, 8008), frozenset({name})) for name in names]
    return routing(table.routes, table.minor, workers, _MAIN)


def _requests(served: Served) -> set[tuple[str, str]]:
    """Return the method and a path of everything that some process serves."""
    servlets = served.main.union(*served.workers.values())
    return {(servlet.method, path) for servlet in servlets for path in servlet.paths}


def unrouted(table: Table, served: Served, reasons: Mapping[str, str]) -> Iterator[str]:
    """Yield each request that a worker serves, but that goes to main without a reason.

    The plan has one worker of each type, apart from generic_worker, so that a path is missed that
    only the generic worker would get.
    """
    names = [
        worker_type.name for worker_type in served_types(table) if worker_type.name != _GENERIC
    ]
    routes = _routing(table, names)
    for method, path in sorted(_requests(Served(frozenset(), served.workers))):
        request = f"{method} {path}"
        if not routes.find(method, path) and not any(re.fullmatch(one, request) for one in reasons):
            yield request


def unserved(table: Table, served: Served) -> Iterator[str]:
    """Yield each request of a plan with one worker that goes to it, but that it does not serve."""
    for worker_type in served_types(table):
        routes = _routing(table, [worker_type.name])
        servlets = served.workers[_kind(worker_type)]
        for method, path in sorted(_requests(served)):
            route = routes.find(method, path)
            if route and not any(servlet.serves(method, path) for servlet in servlets):
                yield f"{method} {path}: {worker_type.name} ({route.name})"


def without_main(table: Table, served: Served) -> Iterator[str]:
    """Yield each request for which main stands in for its worker, but that main does not serve."""
    names = [worker_type.name for worker_type in served_types(table)]
    routes = _routing(table, names)
    for method, path in sorted(_requests(served)):
        route = routes.find(method, path)
        if route and route.main and not any(one.serves(method, path) for one in served.main):
            yield f"{method} {path}: {route.name}"
