"""The command line of the entrypoint: one verb and its arguments."""

import argparse
from collections.abc import Sequence
from functools import cache
from typing import NoReturn

from deploy.images import IMAGE_HELP
from deploy.kubernetes.options import KUBERNETES_HELP
from deploy.options import HELP, flag
from worker.errors import ConfigError, shown

# Maps each verb to its description, in the order of the help.
VERBS = {
    "start": "start Synapse (the default)",
    "check": "check the configuration as start does, and with Synapse's own parser",
    "print-config": "print the configuration that Synapse would get, with secrets masked",
    "healthcheck": "query the health port of this container",
    "wait": "wait until the database, Redis and the main process answer",
    "restart": "restart one process of a container that runs several",
    "rolling-restart": "restart all processes of a container that runs several, one after another",
    "drain": "make this process unready, and wait for its requests to finish before a stop",
    "doctor": "check the main process and every worker of a plan",
    "prometheus": "print Prometheus scrape targets for the processes of a plan (file_sd_configs)",
    "alerts": "print Prometheus alerting rules for the processes of a plan (rule_files)",
    "dashboard": "print a Grafana dashboard for the processes of a plan",
    "routes": "print the configuration of a reverse proxy that routes requests to the workers of a "
    "plan",
    "compose": "print a tar archive with a Compose file and a proxy configuration for a plan",
    "quadlet": "print a tar archive with quadlets (units for podman and systemd) for a plan",
    "kubernetes": "print a tar archive with a kustomize base and a Helm chart for a plan",
    "generate": "write a first homeserver.yaml, keys and secrets to the data folder",
}
_PLAN_HELP = (
    "a plan as in SYNAPSE_WORKERS, or the path of a file that contains one, such as ./plan.txt"
)
_NAME_HELP = "a process of a container that runs several (SYNAPSE_PROCESSES)"


class _UsageError(Exception):
    """The command line is invalid; the message comes from argparse."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise ``_UsageError``, where argparse would print the usage and exit."""
        raise _UsageError(message)


def alone_problem(options: argparse.Namespace) -> str:
    """Return a line that says why a command line does not fit a container with one process."""
    if getattr(options, "name", None) and options.verb != "restart":
        return (
            f"{options.verb}: {shown(repr(options.name))} names one process of several, but this "
            "container runs only one; leave it out, or set SYNAPSE_PROCESSES"
        )
    return (
        f"{options.verb}: this container runs only one process; restart the container, or set "
        "SYNAPSE_PROCESSES"
    )


@cache
def _parsers() -> tuple[_Parser, dict[str, _Parser]]:
    """Return the parser of the whole command line, and the parser of each verb by name."""
    parser = _Parser(
        prog="synapse-worker",
        description="Runs processes of a Synapse homeserver, configured by SYNAPSE_* variables.",
        epilog="Exit codes: 0 success, 1 unhealthy, 2 configuration error, 74 the output could not "
        "be written, 75 a service did not answer in time.",
        allow_abbrev=False,
    )
    subparsers = parser.add_subparsers(title="verbs", metavar="VERB", dest="verb")
    verb_parsers = {
        name: subparsers.add_parser(
            name, prog=name, help=description, description=description, allow_abbrev=False
        )
        for name, description in VERBS.items()
    }
    verb_parsers["healthcheck"].add_argument(
        "--ready", action="store_true", help="also query the database, Redis and the main process"
    )
    for verb in ("healthcheck", "print-config"):
        verb_parsers[verb].add_argument("name", metavar="NAME", nargs="?", help=_NAME_HELP)
    verb_parsers["restart"].add_argument("name", metavar="NAME", help=_NAME_HELP)
    verb_parsers["wait"].add_argument(
        "seconds",
        metavar="SECONDS",
        nargs="?",
        help="how many seconds to wait; the default is SYNAPSE_WAIT_SECONDS, or 60 without it",
    )
    verb_parsers["drain"].add_argument(
        "seconds", metavar="SECONDS", nargs="?", help="how many seconds to wait; the default is 15"
    )
    verb_parsers["drain"].add_argument(
        "--delay",
        metavar="SECONDS",
        help="how many seconds to wait first, until proxies send no new requests; the default is 0",
    )
    verb_parsers["drain"].add_argument(
        "--stop-anyway",
        action="store_true",
        help="exit with 0 even on failure, for an engine that would not stop the process otherwise",
    )
    for name in ("doctor", "prometheus", "alerts", "dashboard"):
        verb_parsers[name].add_argument("plan", metavar="PLAN", help=_PLAN_HELP)
    verb_parsers["prometheus"].add_argument(
        "--compose",
        action="store_true",
        help="print scrape configurations (scrape_config_files) for the containers of compose, "
        "with which Prometheus finds any number of replicas",
    )
    verb_parsers["routes"].add_argument(
        "format", metavar="FORMAT", help="json, nginx, haproxy, caddy or traefik"
    )
    verb_parsers["routes"].add_argument("plan", metavar="PLAN", help=_PLAN_HELP)
    for name, description in HELP.items():
        verb_parsers["routes"].add_argument(flag(name), help=description)
    for verb in ("compose", "quadlet"):
        verb_parsers[verb].add_argument("plan", metavar="PLAN", help=_PLAN_HELP)
        verb_parsers[verb].add_argument(
            "--host", help="the host in the plan whose processes the files are for"
        )
        verb_parsers[verb].add_argument(
            "--rootless", action="store_true", help="an unprivileged user runs the containers"
        )
    kubernetes = verb_parsers["kubernetes"]
    kubernetes.add_argument("plan", metavar="PLAN", help=_PLAN_HELP)
    kubernetes.add_argument(
        "--monitoring", action="store_true", help="also apply objects for the Prometheus operator"
    )
    for name, description in KUBERNETES_HELP.items():
        kubernetes.add_argument(flag(name), help=description)
    for verb in ("compose", "quadlet", "kubernetes"):
        verb_parsers[verb].add_argument(
            "--one-container",
            action="store_true",
            help="run all processes of the plan, or of each host, in one container",
        )
        for name, description in IMAGE_HELP.items():
            verb_parsers[verb].add_argument(flag(name), help=description)
    return parser, verb_parsers


def parse_command_line(arguments: Sequence[str]) -> argparse.Namespace | None:
    """Return the verb as ``verb``, and its arguments by name, such as ``ready`` or ``plan``.

    For ``--help``, print the help and return None.

    Args:
        arguments: the words after the program's name; if there are none, the verb is ``start``.

    Raises:
        ConfigError: if the arguments are invalid; the message has the usage or the list of verbs.
    """
    verb, *rest = arguments or ["start"]
    if verb.removeprefix("--") in VERBS:
        verb = verb.removeprefix("--")
    parser, verb_parsers = _parsers()
    if verb not in (*VERBS, "-h", "--help"):
        raise ConfigError([f"{shown(verb)!r} is not a verb; use one of {', '.join(VERBS)}"])
    try:
        return parser.parse_args([verb, *rest])
    except SystemExit:
        return None
    except _UsageError as error:
        usage = " ".join(verb_parsers[verb].format_usage().split()).replace(" [-h]", "")
        raise ConfigError([f"{verb}: {shown(str(error))}; {usage}"]) from None
