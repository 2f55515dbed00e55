"""The verbs in a container that runs several processes from one parent."""

import json
import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from itertools import chain

from supervisor.control import Order
from supervisor.control import ask as ask_parent
from supervisor.spec import CONTROL_SOCKET, MAIN, dumps
from worker.errors import ConfigError, NotReadyError, shown
from worker.examination import Examination
from worker.health import reason_of
from worker.launch import drop_rights, exec_parent
from worker.preparation import print_line, render, wait_for_services
from worker.settings import Settings, parse
from worker.together import container_spec, examine_share, make_folders, share_environs

Environ = Mapping[str, str]
_SPEC_FILE = "processes.json"  # In the runtime folder of the container.
_RESTART_SECONDS = 200.0  # More than the parent takes to drain, end and start one process.


def _prepare(environ: Environ) -> Examination:
    examination = examine_share(environ)
    count = len(examination.settings)
    for line in examination.warnings.attributed(count):
        print_line(f"warning: {line}")
    if examination.problems:
        raise ConfigError(examination.problems.attributed(count))
    return examination


def _parsed(environ: Environ) -> dict[str, Settings]:
    settings = {name: parse(one) for name, one in share_environs(environ).items()}
    drop_rights(next(iter(settings.values())))
    return settings


def _representative(settings: Mapping[str, Settings]) -> Settings:
    """Return the settings of a process that needs all services that any of them needs.

    A worker needs the main process as well, unless that is in this container, where the parent
    starts it first.
    """
    if MAIN in settings:
        return settings[MAIN]
    return next(iter(settings.values()))


def _start(environ: Environ, _: Namespace) -> int:
    from worker.binding import listening_problems
    from worker.documents import documents
    from worker.files import write_text

    examination = _prepare(environ)
    settings, homeserver = examination.settings, examination.homeserver
    make_folders(settings)
    files = {name: render(homeserver, one) for name, one in settings.items()}
    first = _representative(settings)
    if first.wait_seconds:
        wait_for_services(homeserver, first, first.wait_seconds)
    spec = container_spec(settings, homeserver, files)
    own = {"listeners": [{"port": spec.port, "bind_addresses": list(spec.bind_addresses)}]}
    rendered = [documents(homeserver, one).values() for one in settings.values()]
    problems = listening_problems([own, *chain.from_iterable(rendered)])
    if problems:
        raise ConfigError(problems)
    spec_path = first.container_dir / _SPEC_FILE
    write_text(spec_path, dumps(spec))
    exec_parent(first, spec_path, environ)
    return 2


def _check(environ: Environ, _: Namespace) -> int:
    from worker.doctor import ask_synapse_for_each
    from worker.worker_types import load_table

    examination = _prepare(environ)
    ask_synapse_for_each(examination)
    if examination.problems:
        raise ConfigError(examination.problems.attributed(len(examination.settings)))
    for name in examination.settings:
        print(f"ok: {name}: accepted by Synapse {load_table().version}")
    return 0


def _print_config(environ: Environ, options: Namespace) -> int:
    import yaml

    from worker.redaction import masked
    from worker.rendering import rendered_documents

    examination = _prepare(environ)
    for name in _chosen(list(examination.settings), options):
        documents = rendered_documents(examination.homeserver, examination.settings[name])
        for document_name, document in documents.items():
            print(f"--- # {name}: {document_name}")
            print(yaml.safe_dump(masked(document), sort_keys=False), end="")
    return 0


def _chosen(names: list[str], options: Namespace) -> list[str]:
    """Return the process that the command line names, or all.

    Raises:
        ConfigError: if it is not in this container.
    """
    if not getattr(options, "name", None):
        return names
    if options.name not in names:
        raise ConfigError(
            [
                f"{options.verb}: {shown(repr(options.name))} is not a process of this container; "
                f"choose one of {', '.join(names)}"
            ]
        )
    return [options.name]


def _ask(environ: Environ, order: Order, seconds: float) -> list[str]:
    """Ask the parent, and wait for each line of its answer for ``seconds``; return its problems."""
    folder = next(iter(_parsed(environ).values())).container_dir
    path = folder / CONTROL_SOCKET
    try:
        return ask_parent(path, order, print, seconds)
    except (OSError, json.JSONDecodeError) as error:
        return [f"the parent at {path} does not answer: {reason_of(error)}"]


def _healthcheck(environ: Environ, options: Namespace) -> int:
    from worker.asking import Probe, ask, healthcheck_seconds

    settings = _parsed(environ)
    name = _chosen(list(settings), options)[0] if options.name else ""
    verb = "ready" if options.ready else "health"

    def ask_for_health() -> str:
        return "; ".join(_ask(environ, Order(verb, name), healthcheck_seconds()))

    probes, mask = [Probe("the parent", ask_for_health)], str
    if options.ready:
        from worker.files import read_homeserver
        from worker.probes import secret_mask, service_probes

        # A worker needs all services; the main process does not need itself.
        one = settings[name or list(settings)[-1]]
        rendered_path = one.runtime_dir / "homeserver.yaml"
        document = read_homeserver(rendered_path) if os.path.exists(rendered_path) else {}
        probes += service_probes(document, one)
        problems = ask(probes, healthcheck_seconds(), secret_mask(document))
    else:
        problems = ask(probes, healthcheck_seconds(), mask)
    if problems:
        print_line(f"unhealthy: {'; '.join(problems)}")
        return 1
    print("ready" if options.ready else "healthy")
    return 0


def _drain(environ: Environ, options: Namespace) -> int:
    from worker.drain import drain_seconds

    seconds = drain_seconds(options.seconds)
    problems = _ask(environ, Order("drain", seconds=seconds), seconds + 10.0)
    if problems:
        raise NotReadyError([f"drain: {line}" for line in problems])
    print("drained")
    return 0


def _restart(environ: Environ, options: Namespace) -> int:
    """Render the files of the processes again, and let the parent restart them."""
    examination = _prepare(environ)
    names = _chosen(list(examination.settings), options)
    for name in names:
        render(examination.homeserver, examination.settings[name])
    problems = _ask(
        environ, Order("restart", getattr(options, "name", None) or ""), _RESTART_SECONDS
    )
    if problems:
        raise NotReadyError([f"{options.verb}: {line}" for line in problems])
    return 0


def _wait_verb(environ: Environ, options: Namespace) -> int:
    from worker.preparation import wait_seconds

    examination = _prepare(environ)
    first = _representative(examination.settings)
    wait_for_services(examination.homeserver, first, wait_seconds(options.seconds, first))
    print("ready")
    return 0


VERBS: dict[str, Callable[[Environ, Namespace], int]] = {
    "start": _start,
    "check": _check,
    "print-config": _print_config,
    "healthcheck": _healthcheck,
    "wait": _wait_verb,
    "drain": _drain,
    "restart": _restart,
    "rolling-restart": _restart,
}
