"""The formats in which the routes of a plan can be printed."""

import json
from importlib import import_module

from deploy.options import Options
from deploy.routing import Routing, document

# Each proxy has a module of this package with its name.
PROXIES = ("nginx", "haproxy", "caddy", "traefik")
FORMATS = ("json", *PROXIES)
_SCRIPT = "script"  # The part of a proxy's configuration that is a script.


def format_problems(name: str, options: Options) -> list[str]:
    """Return a line if there is no format called ``name``, or if it does not have the part."""
    if name not in FORMATS:
        return [f"routes: {name!r} is not a format; use one of {', '.join(FORMATS)}"]
    parts = () if name == "json" else import_module(f"deploy.{name}").PARTS
    if options.script and _SCRIPT not in parts:
        return [
            f"--script={options.script!r}: the {name} format has no script; use nginx or haproxy, "
            "or remove the option"
        ]
    if options.include and options.include not in parts:
        choices = f"use {' or '.join(parts)}" if parts else "remove the option"
        return [f"--include={options.include!r} is not a part of the {name} format; {choices}"]
    return []


def routes_text(name: str, routing: Routing, options: Options) -> tuple[str, list[str]]:
    """Return the routes in a format, and a line for each thing that it cannot express.

    Args:
        name: the format, one of `FORMATS`.
        routing: the routes.
        options: the choices for the proxy; the JSON has none of them.
    """
    if name == "json":
        return json.dumps(document(routing), indent=1) + "\n", []
    module = import_module(f"deploy.{name}")
    problems: list[str] = module.problems(routing, options)
    text: str = "" if problems else module.configuration(routing, options)
    return text, problems
