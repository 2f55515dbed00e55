"""A real proxy in front of a server for each process, which answers with what it received."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.options import Options
from deploy.routing import MAIN, Routing
from testbed.site import make_data
from tests.deploy import proxies
from tests.deploy.recorder import Recorder


@dataclass(frozen=True)
class Served:
    """What runs.

    Attributes:
        routing: the routes of the proxy.
        recorder: the servers.
    """

    routing: Routing
    recorder: Recorder

    def names(self, method: str, target: str) -> frozenset[str]:
        """Return the names of the servers that may answer a request, according to the model."""
        path, _, query = target.partition("?")
        route = self.routing.find(method, path, query)
        return frozenset(server.name for server in route.servers) if route else frozenset({MAIN})


@contextmanager
def served(
    proxy: str,
    folder: Path,
    routing: Routing,
    sockets: Path | None = None,
    *,
    options: Options = proxies.OPTIONS,
) -> Iterator[Served]:
    """Run a proxy and the servers of its routes; print the end of its log after that.

    Args:
        proxy: its format.
        folder: an empty folder for the files of both.
        routing: the routes.
        sockets: the folder for Unix sockets, if the servers listen at any.
        options: the choices for the configuration; its ports must be those of `proxies.OPTIONS`.
    """
    data = make_data(folder / "data", "")
    root = Path(os.environ["SERVICES"]).resolve().parent / "root"
    with Recorder(routing, data, sockets) as recorder:
        process = proxies.start(proxy, root, folder, data, routing, sockets, options=options)
        try:
            yield Served(routing, recorder)
        finally:
            process.stop()
            print(f"----- {proxy}\n{process.tail(40)}")
