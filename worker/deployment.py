"""The containers of a plan, for the verbs that print files for container engines."""

import re
from argparse import Namespace
from collections.abc import Mapping

from deploy.containers import PASSWORD_PATH, Container, Deployment
from deploy.engines import archive, engine_files, engine_problems
from deploy.images import IMAGE_HELP, Images
from worker.doctor import MAIN, environs, main_host, planned, read_plan
from worker.errors import ConfigError, shown
from worker.hosts import unbracketed
from worker.plan import PlannedWorker, replicates
from worker.routes import routing_of, server
from worker.settings import Settings, parse
from worker.worker_types import load_table

_PREFIX = "SYNAPSE_"
_NAME = re.compile("[A-Z0-9_]+")
# What a container must be told if the administrator does not say otherwise.
_DEFAULTS = {
    "SYNAPSE_DATABASE_PASSWORD_FILE": PASSWORD_PATH,
    "SYNAPSE_FEDERATION_TLS": "off",  # The proxy terminates TLS.
    "SYNAPSE_WAIT_SECONDS": "60",
}


def one_line(plan_text: str) -> str:
    """Return a plan without its comments and line ends."""
    lines = (line.partition("#")[0] for line in plan_text.splitlines())
    entries = (entry.strip() for line in lines for entry in line.split(","))
    return ", ".join(entry for entry in entries if entry)


def _container(
    name: str, host: str, settings: Settings, worker: PlannedWorker | None, *, media: bool
) -> Container:
    table = load_table()
    serves = server(name, host, settings)
    ports: tuple[int, ...] = (serves.port,) if serves else ()
    if worker is None or replicates(worker.process, table):
        ports += (table.ports["replication"],)
    if worker is None:
        variables = {"SYNAPSE_WORKER": "synapse.app.homeserver"}
    else:
        variables = {"SYNAPSE_WORKER_NAME": name}
    return Container(
        name=name,
        runs=worker.process.joined if worker else "the main process",
        host=host,
        environ=variables,
        ports=ports,
        media=media,
    )


def deployment(environ: Mapping[str, str], plan_text: str) -> Deployment:
    """Return the containers of a plan.

    Args:
        environ: the variables that every process shall get, among others; only those whose names
            begin with ``SYNAPSE_`` count.
        plan_text: the plan.

    Raises:
        ConfigError: if the plan or a variable is invalid.
    """
    plan_text = one_line(plan_text)
    plan = planned(plan_text) or ()
    own = ("SYNAPSE_WORKER", "SYNAPSE_WORKER_NAME")
    given = {
        name: value
        for name, value in environ.items()
        if name.startswith(_PREFIX) and name not in (*own, "SYNAPSE_WORKERS")
    }
    problems = [
        f"{shown(name)} contains a character that is not printable; use one line of text"
        for name, value in given.items()
        if not (_NAME.fullmatch(name) and value.isprintable())
    ]
    if environ.get("SYNAPSE_PROCESSES"):
        problems.append(
            "SYNAPSE_PROCESSES is set, but these files start each process in a container of its "
            "own; unset it"
        )
    if problems:
        raise ConfigError(problems)
    process_environs = environs(_DEFAULTS | given, plan_text, plan)
    settings = {name: parse(one) for name, one in process_environs.items()}
    workers = {worker.name: worker for worker in plan}
    hosts = {MAIN: unbracketed(main_host(environ))} | {one.name: one.host for one in plan}
    media = {
        name
        for name, worker in workers.items()
        if any("media" in one.resources for one in worker.process.types)
    } or {MAIN}
    shared = {name: value for name, value in process_environs[MAIN].items() if name not in own}
    if not plan_text:
        del shared["SYNAPSE_WORKERS"]
    return Deployment(
        containers=[
            _container(name, hosts[name], one, workers.get(name), media=name in media)
            for name, one in settings.items()
        ],
        environ=shared,
        wait_seconds=int(shared["SYNAPSE_WAIT_SECONDS"]),
        routing=routing_of((name, hosts[name], one) for name, one in settings.items()),
    )


def engine_archive(environ: Mapping[str, str], arguments: Namespace) -> tuple[bytes, list[str]]:
    """Return what the verb ``compose`` or ``quadlet`` prints, and warnings.

    Args:
        environ: the variables that every process shall get.
        arguments: ``verb``, ``plan``, ``host``, ``rootless``, and the images by name.

    Raises:
        ConfigError: if an argument, the plan or a variable is invalid.
    """
    given = {name: getattr(arguments, name) for name in IMAGE_HELP}
    images = Images(**{name: value for name, value in given.items() if value is not None})
    found = deployment(environ, read_plan(arguments.plan))
    host = unbracketed(arguments.host or "")
    problems = engine_problems(found, images, host)
    if problems:
        raise ConfigError([shown(problem) for problem in problems])
    warnings = []
    if "@sha256:" not in images.image:
        warnings.append(
            f"--image={images.image!r} has no digest, so a later start can run another image; use "
            "NAME@sha256:DIGEST"
        )
    files = engine_files(arguments.verb, found, images, host, rootless=arguments.rootless)
    return archive(files), warnings
