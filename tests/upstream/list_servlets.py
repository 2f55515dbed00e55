"""Prints which requests one Synapse process serves, as JSON; run by the Python of an image.

    python3 list_servlets.py CONFIG

CONFIG is a file with the process's whole configuration, as JSON. The program builds each listener
as Synapse does, but listens on no port. For each listener's tag it prints a list of rows: method,
start of the path, regular expression that the path must match, and class that handles the request.
This module imports nothing but Synapse and works with every release from 1.66 on.
"""

import json
import os
import sys
from typing import Any

import synapse.util.httpresourcetree
from synapse.http import server

Row = tuple[str, str, str, str]
_METHODS = ("GET", "POST", "PUT", "DELETE")


class _Built(Exception):
    """Raised with the resources of a listener in place of listening."""


def _stop(desired_tree: dict[str, Any], root_resource: Any) -> None:
    """Replace `create_resource_tree`, with which both applications make a listener's site."""
    raise _Built(desired_tree)


def _register_paths(
    self: Any, method: str, path_patterns: Any, callback: Any, servlet_classname: str
) -> None:
    """Replace `JsonResource.register_paths`; how this keeps servlets has changed over time."""
    rows = self.__dict__.setdefault("registered", [])
    rows += [(method, pattern.pattern, servlet_classname) for pattern in path_patterns]


def _served(prefix: str, resource: Any) -> list[Row]:
    """Return the rows of a twisted.web resource at ``prefix``, and of its children."""
    name = type(resource).__name__
    if isinstance(resource, server.JsonResource):
        registered = resource.__dict__.get("registered", [])
        return [(method, prefix, pattern, servlet) for method, pattern, servlet in registered]
    methods = [
        method
        for method in _METHODS
        if hasattr(resource, f"_async_render_{method}")
        or f"render_{method}" in vars(type(resource))
    ]
    end = "(/.*)?$" if resource.isLeaf else "$"
    rows = [(method, prefix, f"^{prefix}{end}", name) for method in methods]
    for child, below in resource.children.items():
        rows += _served(f"{prefix}/{child.decode()}", below)
    return rows


def main(path: str) -> int:
    """Print the rows of the process that the configuration in ``path`` describes."""
    synapse.util.httpresourcetree.create_resource_tree = _stop
    server.JsonResource.register_paths = _register_paths
    # Only now, since both import create_resource_tree by name.
    from synapse.app.generic_worker import GenericWorkerServer
    from synapse.app.homeserver import SynapseHomeServer
    from synapse.config.homeserver import HomeServerConfig

    config = HomeServerConfig()
    with open(path, encoding="utf-8") as file:
        config.parse_config_dict(json.load(file), "", "")
    is_main = config.worker.worker_app is None
    homeserver = (SynapseHomeServer if is_main else GenericWorkerServer)(
        config.server.server_name, config=config
    )
    homeserver.setup()
    listeners = config.server.listeners if is_main else config.worker.worker_listeners
    rows_by_tag = {}
    for listener in listeners:
        try:
            if is_main:
                list(homeserver._listener_http(config, listener))
            else:
                homeserver._listen_http(listener)
        except _Built as built:
            (resources,) = built.args
        rows = {row for prefix, one in resources.items() for row in _served(prefix, one)}
        rows_by_tag[listener.http_options.tag] = sorted(rows)
    json.dump(rows_by_tag, sys.stdout)
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    # Not sys.exit: the database's threads would keep the process alive.
    os._exit(main(sys.argv[1]))
