"""The main program of the entrypoint, with a function for each verb of the command line."""

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# Each verb imports what it needs, since `healthcheck` runs every few seconds in each container.
from worker.command_line import alone_problem, parse_command_line
from worker.errors import ConfigError, ReportedError
from worker.launch import choose_cpus, drop_rights, exec_synapse
from worker.preparation import print_line, render, wait_for_services, wait_seconds
from worker.settings import DRAINING, Settings, parse
from worker.signals import end_on_signals, run

Environ = Mapping[str, str]


def _prepare(environ: Environ) -> tuple[Settings, dict[str, Any]]:
    """Examine this process with the privileges of Synapse; return settings and homeserver.yaml."""
    from worker.examination import examine

    examination = examine({"": environ})
    for line in examination.warnings.lines():
        print_line(f"warning: {line}")
    if examination.problems:
        raise ConfigError(examination.problems.lines())
    return examination.settings[""], examination.homeserver


def _start(environ: Environ, _: Namespace) -> int:
    from worker.binding import listening_problems
    from worker.documents import documents

    settings, homeserver = _prepare(environ)
    files = render(homeserver, settings)
    (settings.runtime_dir / DRAINING).unlink(missing_ok=True)
    if settings.wait_seconds:
        wait_for_services(homeserver, settings, settings.wait_seconds)
    problems = listening_problems(documents(homeserver, settings).values())
    if problems:
        raise ConfigError(problems)
    exec_synapse(settings, files, environ)
    return 2


def _check(environ: Environ, _: Namespace) -> int:
    from worker.synapse_check import ask_synapse

    settings, homeserver = _prepare(environ)
    choose_cpus(settings)
    print(ask_synapse(homeserver, settings))
    return 0


def _print_config(environ: Environ, _: Namespace) -> int:
    import yaml

    from worker.redaction import masked
    from worker.rendering import rendered_documents

    settings, homeserver = _prepare(environ)
    for name, document in rendered_documents(homeserver, settings).items():
        print(f"--- # {name}")
        print(yaml.safe_dump(masked(document), sort_keys=False), end="")
    return 0


def _healthcheck(environ: Environ, options: Namespace) -> int:
    from worker.asking import ask, healthcheck_seconds
    from worker.health import health_probe

    settings = parse(environ)
    drop_rights(settings)  # So that no file is read that Synapse itself may not read.
    if options.ready and os.path.exists(settings.runtime_dir / DRAINING):
        problems = ["this process is being drained before its stop"]
    elif not options.ready:
        problems = ask([health_probe(settings)], healthcheck_seconds())
    else:
        from worker.files import read_homeserver
        from worker.probes import secret_mask, service_probes

        rendered_path = settings.runtime_dir / "homeserver.yaml"
        # Until this file exists, the process itself is not up.
        document = read_homeserver(rendered_path) if os.path.exists(rendered_path) else {}
        probes = [health_probe(settings), *service_probes(document, settings)]
        problems = ask(probes, healthcheck_seconds(), secret_mask(document))
    if problems:
        print_line(f"unhealthy: {'; '.join(problems)}")
        return 1
    print("ready" if options.ready else "healthy")
    return 0


def _drain(environ: Environ, options: Namespace) -> int:
    from worker.drain import delay_seconds, drain, drain_seconds

    seconds, delay = drain_seconds(options.seconds), delay_seconds(options.delay)
    settings = parse(environ)
    drop_rights(settings)
    drain(settings, seconds, delay)
    print("drained")
    return 0


def _wait_verb(environ: Environ, options: Namespace) -> int:
    settings, homeserver = _prepare(environ)
    wait_for_services(homeserver, settings, wait_seconds(options.seconds, settings))
    print("ready")
    return 0


def _doctor(environ: Environ, options: Namespace) -> int:
    from worker.doctor import MAIN, ask_synapse_for_each, describe, environs, planned, read_plan
    from worker.examination import examine
    from worker.shares import unknown_names
    from worker.worker_types import load_table

    plan_text = read_plan(options.plan)
    try:
        plan = planned(plan_text)
    except ConfigError:
        plan = None  # The main process gets the same plan, so `examine` reports its problems.
    process_environs = environs(environ, plan_text, plan or ())
    examination = examine(process_environs, plan=plan)
    if environ.get("SYNAPSE_PROCESSES") and plan is not None:
        examination.problems.add(unknown_names(environ, plan), [*process_environs])
    for line in examination.warnings.attributed(len(process_environs)):
        print_line(f"warning: {line}")
    if not examination.problems:
        choose_cpus(examination.settings[MAIN])
        if load_table().version:
            ask_synapse_for_each(examination)
    if examination.problems:
        raise ConfigError(examination.problems.attributed(len(process_environs)))
    print("\n".join(describe(plan or ())))
    return 0


def _prometheus(environ: Environ, options: Namespace) -> int:
    import json

    from worker.doctor import main_host, planned, read_plan, scrape_targets

    plan_text = read_plan(options.plan)
    document: object
    if options.compose:
        from worker.scraping import compose_scraping

        document = compose_scraping(environ, plan_text)
    else:
        names = environ.get("SYNAPSE_PROCESSES", "")
        document = scrape_targets(planned(plan_text) or (), main_host(environ), names)
    print(json.dumps(document, indent=1))
    return 0


def _alerts(_: Environ, options: Namespace) -> int:
    from worker.monitoring import alerts

    print(alerts(options.plan), end="")
    return 0


def _dashboard(_: Environ, options: Namespace) -> int:
    from worker.monitoring import dashboard

    print(dashboard(options.plan), end="")
    return 0


def _routes(environ: Environ, options: Namespace) -> int:
    from worker.routes import routes

    print(routes(environ, options), end="")
    return 0


def _engine_archive(environ: Environ, options: Namespace) -> int:
    from worker.archives import engine_archive, kubernetes_archive

    if sys.stdout.isatty():
        raise ConfigError(
            [f"{options.verb}: the output is a tar archive; pipe it to tar, as in: ... | tar -x"]
        )
    archive_of = kubernetes_archive if options.verb == "kubernetes" else engine_archive
    archive, warnings = archive_of(environ, options)
    for line in warnings:
        print_line(f"warning: {line}")
    sys.stdout.buffer.write(archive)
    return 0


def _generate(environ: Environ, _: Namespace) -> int:
    from worker.generate import generate

    alone = {"SYNAPSE_WORKER": "synapse.app.homeserver", "SYNAPSE_PROCESSES": ""}
    drop_rights(parse({**environ, **alone}))
    for path in generate(environ):
        print(f"wrote {path}")
    return 0


_VERBS: dict[str, Callable[[Environ, Namespace], int]] = {
    "start": _start,
    "check": _check,
    "print-config": _print_config,
    "healthcheck": _healthcheck,
    "wait": _wait_verb,
    "drain": _drain,
    "doctor": _doctor,
    "prometheus": _prometheus,
    "alerts": _alerts,
    "dashboard": _dashboard,
    "routes": _routes,
    "compose": _engine_archive,
    "quadlet": _engine_archive,
    "kubernetes": _engine_archive,
    "generate": _generate,
}


def _function(environ: Environ, options: Namespace) -> Callable[[Environ, Namespace], int]:
    """Return the function of the verb, which depends on how many processes this container runs.

    Raises:
        ConfigError: if the command line is only for a container that runs several.
    """
    if environ.get("SYNAPSE_PROCESSES"):
        from worker.together_verbs import VERBS

        return VERBS.get(options.verb) or _VERBS[options.verb]
    if options.verb not in _VERBS or getattr(options, "name", None):
        raise ConfigError([alone_problem(options)])
    return _VERBS[options.verb]


def main(arguments: Sequence[str], environ: Environ) -> int:
    """Run the verb of the command line; ``start``, the default, replaces this process with Synapse.

    Returns:
        The exit code: 0 for success; 1 if ``healthcheck`` finds something unhealthy; 2 for wrong
        settings; 75 if the database, Redis or the main process did not answer in time, or if
        ``drain`` fails. With ``--stop-anyway``, it is 0 for each failure of ``drain``.
    """
    options = None
    try:
        options = parse_command_line(arguments)
        return _function(environ, options)(environ, options) if options else 0
    except ReportedError as error:
        for line in error.problems:
            print_line(f"error: {line}")
        return 0 if getattr(options, "stop_anyway", False) else error.exit_code


def _program() -> int:
    end_on_signals()
    return main(sys.argv[1:], os.environ)


if __name__ == "__main__":
    run(_program)
