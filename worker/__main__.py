"""The main program of the entrypoint, with a function for each verb of the command line."""

import os
import re
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

# Each verb imports what it needs, since `healthcheck` runs every few seconds in each container.
from worker.command_line import parse_command_line
from worker.environ import LONGEST_WAIT
from worker.errors import ConfigError, NotReadyError, ReportedError, one_line, shown
from worker.launch import choose_cpus, drop_rights, exec_synapse
from worker.settings import Settings, parse
from worker.signals import end_on_signals, run

Environ = Mapping[str, str]


def _say(line: str) -> None:
    print(one_line(line), file=sys.stderr)


def _prepare(environ: Environ) -> tuple[Settings, dict[str, Any]]:
    """Examine this process with the privileges of Synapse; return settings and homeserver.yaml."""
    from worker.examination import examine

    found = examine({"": environ})
    for line in found.warnings.lines():
        _say(f"warning: {line}")
    if found.problems:
        raise ConfigError(found.problems.lines())
    return found.settings[""], found.homeserver


def _render(homeserver: Mapping[str, Any], settings: Settings) -> list[Path]:
    """Write the files that Synapse reads; return the paths of the documents."""
    from worker.documents import SECRET_FILE, derives_secret
    from worker.files import write_documents, write_text
    from worker.rendering import rendered_documents

    if derives_secret(homeserver, settings):
        from worker.replication_secret import derived_secret

        secret = derived_secret(settings.data / "signing.key")
        write_text(settings.runtime / SECRET_FILE, secret + "\n")
    return write_documents(settings.runtime, rendered_documents(homeserver, settings))


def _wait(homeserver: Mapping[str, Any], settings: Settings, seconds: int) -> None:
    from worker.asking import wait
    from worker.probes import around, without_secrets_of
    from worker.rendering import rendered_shared

    document = rendered_shared(homeserver, settings)
    missing = wait(around(document, settings), seconds, _say, without_secrets_of(document))
    if missing:
        raise NotReadyError([f"after {seconds} s: {line}" for line in missing])


def _start(environ: Environ, _: Namespace) -> int:
    from worker.binding import listening_problems
    from worker.documents import documents

    settings, homeserver = _prepare(environ)
    files = _render(homeserver, settings)
    if settings.wait_seconds:
        _wait(homeserver, settings, settings.wait_seconds)
    taken = listening_problems(documents(homeserver, settings).values())
    if taken:
        raise ConfigError(taken)
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
    from worker.health import itself

    settings = parse(environ)
    drop_rights(settings)  # So that no file is read that Synapse itself may not read.
    if not options.ready:
        problems = ask([itself(settings)], healthcheck_seconds())
    else:
        from worker.files import read_homeserver
        from worker.probes import around, without_secrets_of

        rendered = settings.runtime / "homeserver.yaml"
        # Until this file exists, the process itself is not up.
        document = read_homeserver(rendered) if os.path.exists(rendered) else {}
        probes = [itself(settings), *around(document, settings)]
        problems = ask(probes, healthcheck_seconds(), without_secrets_of(document))
    if problems:
        _say(f"unhealthy: {'; '.join(problems)}")
        return 1
    print("ready" if options.ready else "healthy")
    return 0


def _wait_verb(environ: Environ, options: Namespace) -> int:
    settings, homeserver = _prepare(environ)
    seconds = options.seconds
    if seconds is None:
        seconds = str(settings.wait_seconds or 60)
    if not re.fullmatch("[0-9]{1,5}", seconds) or not 0 < int(seconds) <= LONGEST_WAIT:
        raise ConfigError(
            [
                f"wait {shown(seconds)!r} is not a number of seconds from 1 to {LONGEST_WAIT}; "
                "give one, for example 60"
            ]
        )
    _wait(homeserver, settings, int(seconds))
    print("ready")
    return 0


def _doctor(environ: Environ, options: Namespace) -> int:
    from worker.doctor import MAIN, ask_synapse_for_each, describe, environs, planned, read_plan
    from worker.examination import examine
    from worker.worker_types import load_table

    text = read_plan(options.plan)
    try:
        plan = planned(text)
    except ConfigError:
        plan = None  # The main process gets the same plan, so `examine` reports its problems.
    processes = environs(environ, text, plan or ())
    found = examine(processes, plan=plan)
    for line in found.warnings.attributed(len(processes)):
        _say(f"warning: {line}")
    if not found.problems:
        choose_cpus(found.settings[MAIN])
        if load_table().version:
            ask_synapse_for_each(found)
    if found.problems:
        raise ConfigError(found.problems.attributed(len(processes)))
    print("\n".join(describe(plan or ())))
    return 0


def _prometheus(environ: Environ, options: Namespace) -> int:
    import json

    from worker.doctor import main_host, planned, read_plan, scrape_targets

    plan = planned(read_plan(options.plan))
    print(json.dumps(scrape_targets(plan or (), main_host(environ)), indent=1))
    return 0


def _generate(environ: Environ, _: Namespace) -> int:
    from worker.generate import generate

    drop_rights(parse({**environ, "SYNAPSE_WORKER": "synapse.app.homeserver"}))
    for path in generate(environ):
        print(f"wrote {path}")
    return 0


_VERBS: dict[str, Callable[[Environ, Namespace], int]] = {
    "start": _start,
    "check": _check,
    "print-config": _print_config,
    "healthcheck": _healthcheck,
    "wait": _wait_verb,
    "doctor": _doctor,
    "prometheus": _prometheus,
    "generate": _generate,
}


def main(arguments: Sequence[str], environ: Environ) -> int:
    """Run the verb of the command line; ``start``, the default, replaces this process with Synapse.

    Returns:
        The exit code: 0 for success; 1 if ``healthcheck`` finds something unhealthy; 2 for wrong
        settings; 75 if the database, Redis or the main process did not answer in time.
    """
    try:
        options = parse_command_line(arguments)
        return _VERBS[options.verb](environ, options) if options else 0
    except ReportedError as error:
        for line in error.problems:
            _say(f"error: {line}")
        return error.exit_code


def _program() -> int:
    end_on_signals()
    return main(sys.argv[1:], os.environ)


if __name__ == "__main__":
    run(_program)
