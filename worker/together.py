"""The processes of a container that runs several of them from one parent."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor.spec import MAIN, Address, ContainerSpec, ProcessSpec
from worker.doctor import environs, planned, target_labels
from worker.documents import instance_map
from worker.errors import ConfigError, shown
from worker.examination import Examination, examine
from worker.files import make_folder
from worker.launch import cpu_problems
from worker.listeners import listener, listener_kinds, own_address
from worker.settings import Settings
from worker.shares import share, share_problem, unknown_names


def share_environs(environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the environment of each process of this container by name, in the order of the plan.

    Raises:
        ConfigError: if the plan or ``SYNAPSE_PROCESSES`` is invalid.
    """
    problems = [
        f"{name} contradicts SYNAPSE_PROCESSES, which names the processes of this container; unset "
        "one of them"
        for name in ("SYNAPSE_WORKER", "SYNAPSE_WORKER_NAME")
        if environ.get(name)
    ]
    text, plan_text = environ["SYNAPSE_PROCESSES"], environ.get("SYNAPSE_WORKERS", "")
    plan = planned(plan_text)
    if plan is None or share_problem(text, plan):
        problems.append(f"SYNAPSE_PROCESSES={shown(repr(text))} {share_problem(text, plan)}")
    if plan is not None:
        problems += unknown_names(environ, plan)
    if plan is None or problems:
        raise ConfigError(problems)
    of_all = environs(environ, plan_text, plan)
    if not environ.get("SYNAPSE_REPLICATION_HOST"):
        for one in of_all.values():
            del one["SYNAPSE_REPLICATION_HOST"]
    return {name: of_all[name] for name in share(text, plan)}


def examine_share(environ: Mapping[str, str]) -> Examination:
    """Examine all processes of this container with the privileges of Synapse.

    Raises:
        ConfigError: if the plan or ``SYNAPSE_PROCESSES`` is invalid.
    """
    examination = examine(share_environs(environ), plan=planned(environ["SYNAPSE_WORKERS"]))
    for name, settings in examination.settings.items():
        examination.problems.add(cpu_problems(settings), [name])
    return examination


def make_folders(settings: Mapping[str, Settings]) -> None:
    """Create the folders of the processes, and that of their sockets if it is ours.

    Raises:
        ConfigError: if one of them cannot be created.
    """
    for one in settings.values():
        make_folder(one.runtime_dir.parent, 0o700)
        make_folder(one.runtime_dir, 0o700)
        if one.sockets_dir == one.own_sockets_dir:
            # A reverse proxy has another user.
            make_folder(one.own_sockets_dir, 0o755)


def _address(document: Mapping[str, Any], host: str) -> Address:
    if "path" in document:
        return Address(path=document["path"])
    return Address(host=host, port=document["port"])


def process_spec(
    name: str, settings: Settings, homeserver: Mapping[str, Any], files: list[Path]
) -> ProcessSpec:
    """Return what the parent needs to know about one process.

    Args:
        name: its name in the plan.
        settings: its settings.
        homeserver: homeserver.yaml.
        files: its rendered files.
    """
    kinds = listener_kinds(settings, instance_map(homeserver, settings))
    listeners = {kind: listener(kind, settings) for kind in kinds}
    host = own_address(settings)
    private = "127.0.0.1" if settings.share else host
    return ProcessSpec(
        name=name,
        app=settings.process.app,
        arguments=tuple(
            word for path in files if path.name != "log.yaml" for word in ("-c", str(path))
        ),
        folder=str(settings.runtime_dir),
        health=_address(listeners["health"], private),
        metrics=_address(listeners["metrics"], host),
        sockets=tuple(one["path"] for one in listeners.values() if "path" in one),
        cpus=tuple(sorted(settings.cpus)),
        oom_score=settings.oom_score,
        labels=target_labels(name, settings.process.joined or MAIN),
    )


def container_spec(
    settings: Mapping[str, Settings],
    homeserver: Mapping[str, Any],
    files: Mapping[str, list[Path]],
) -> ContainerSpec:
    """Return what the parent is to run.

    Args:
        settings: the settings of each process by name.
        homeserver: homeserver.yaml.
        files: the rendered files of each process by name.
    """
    first = next(iter(settings.values()))
    return ContainerSpec(
        processes=tuple(
            process_spec(name, one, homeserver, files[name]) for name, one in settings.items()
        ),
        folder=str(first.container_dir),
        bind_addresses=first.bind_addresses,
        port=first.table.ports["health"],
        log_json=first.log_json,
        modules_dir=str(first.modules_dir or ""),
    )
