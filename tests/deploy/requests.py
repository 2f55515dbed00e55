"""Requests that clients, other servers and administrators send, and who may answer, says upstream.

The facts are from docs/workers.md of the pinned Synapse, from the official image, from the Matrix
specification and from Synapse's own servlets; none is from config/routes.bzl.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.upstream.servlets import samples
from tests.upstream.workers_page import Documented

_FOLDER = Path(__file__).parent
_PARAMETERS = {
    "roomId": "%21room%3Ax.test",
    "roomIdOrAlias": "%23alias%3Ax.test",
    "roomAlias": "%23alias%3Ax.test",
    "userId": "%40user%3Ax.test",
    "eventId": "%24event",
}
_GENERIC = "generic_worker"
# Requests that upstream sends to workers and we leave to the main process, each with the reason.
LEFT_TO_MAIN = {
    r"(POST|PUT) .*/(sync|events|initialSync)": "Synapse has only GET there",
    r"(POST|PUT) .*/m.login.registration_token/validity": "Synapse has only GET there",
    r"(POST|PUT) .*/delayed_events(/x1)?": "workers serve no other requests to change them",
}
# Requests that get another worker type than upstream names, each with the types and the reason.
SENT_TO_A_WORKER = {
    r"\w+ .*/createRoom": ({"event_creator"}, "it sends the room's first events"),
    r"GET .*/events/%24event": ({"client_reader", "generic_worker"}, "every worker serves it"),
    r"GET .*/v1/openid/userinfo": ({"federation_reader", "generic_worker"}, "with the federation"),
    r"POST .*/v1/user/keys/(query|claim)": (
        {"federation_reader", "generic_worker"},
        "as user/devices/ on the page",
    ),
}


@dataclass(frozen=True, order=True)
class Request:
    """The method and the path of a request."""

    path: str
    method: str


def _listed(name: str) -> list[Request]:
    lines = (_FOLDER / name).read_text(encoding="utf-8").splitlines()
    pairs = [line.split(" ", 1) for line in lines if not line.startswith("#")]
    return [Request(_filled(path), method) for method, path in pairs]


def _filled(template: str) -> str:
    return re.sub(r"{(\w+)}", lambda match: _PARAMETERS.get(match[1], "x1"), template)


def _documented(page: Iterable[Documented]) -> list[Request]:
    """Return requests for each line of the page; a pattern without ``$`` also matches longer."""
    found = []
    for line in page:
        methods = [method for method in line.methods if method != "HEAD"] or ["GET", "POST", "PUT"]
        for path in samples(line.pattern):
            paths = [path + "x1"] if path.endswith("/") else [path]
            if not line.pattern.endswith("$") and not path.endswith("/"):
                paths.append(path + "/x1")
            found += [Request(one, method) for one in paths for method in methods]
    return found


def requests(page: Iterable[Documented]) -> list[Request]:
    """Return the requests of all sources, each once."""
    listed = [*_listed("specification.txt"), *_listed("admin_api.txt")]
    return sorted({*_documented(page), *listed})


def official_image() -> list[tuple[str, str]]:
    """Return the worker types of the official image, each with a pattern for its paths."""
    lines = (_FOLDER / "official_image.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split(" ", 1) for line in lines if not line.startswith("#")]
    return [(worker_type, pattern) for worker_type, pattern in pairs]


class Upstream:
    """Which worker types may answer a request, according to the page and the official image."""

    def __init__(self, page: Sequence[Documented]) -> None:
        """Take the lines of the page."""
        self._page = page
        self._image = official_image()

    def types(self, request: Request) -> frozenset[str]:
        """Return the worker types; if empty, only the main process may answer."""
        lines = [
            line
            for line in self._page
            if re.search(line.pattern, request.path)
            and (not line.methods or request.method in line.methods)
        ]
        types = {line.worker_type for line in lines}
        if any(line.any_worker for line in lines):
            types |= {kind for kind, pattern in self._image if re.search(pattern, request.path)}
            types.add(_GENERIC)
        if "synchrotron" in types:
            types.add("initial_synchrotron")  # Our own type, for some of these requests.
        return frozenset(types)


def difference(
    upstream: Upstream, request: Request, planned: Collection[str], answered: Collection[str]
) -> str:
    """Return what is wrong with the process that answered a request, or "".

    Args:
        upstream: who may answer.
        request: the request.
        planned: the worker types of all workers.
        answered: those of the worker that answered; empty for the main process.
    """
    types = upstream.types(request)
    text = f"{request.method} {request.path}"
    if not answered:
        named = types.intersection(planned)
        if named and not any(re.fullmatch(reason, text) for reason in LEFT_TO_MAIN):
            return f"{text}: main answered, not {' or '.join(sorted(named))}"
    elif types.isdisjoint(answered):
        ours = [
            also for reason, (also, _) in SENT_TO_A_WORKER.items() if re.fullmatch(reason, text)
        ]
        if all(also.isdisjoint(answered) for also in ours):
            return f"{text}: {'+'.join(sorted(answered))} answered, not {sorted(types) or 'main'}"
    return ""
