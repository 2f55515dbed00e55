"""The container engines for which the containers of a plan can be printed as files."""

import io
import ipaddress
import re
import tarfile
from collections.abc import Mapping
from importlib import import_module

from deploy.containers import SERVICES, Deployment
from deploy.images import IMAGE_HELP, Images
from deploy.options import flag

# Each has a module of this package with its name.
ENGINES = ("compose", "quadlet")
# Those that can start a container several times.
REPLICATING = ("compose",)
# The grammar of a reference: https://github.com/distribution/reference.
_REFERENCE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)


def image_problems(images: Images) -> list[str]:
    """Return a line for each image that is not a reference."""
    return [
        f"{flag(name)}={getattr(images, name)!r} is not an image reference; use "
        "HOST/NAME:TAG or HOST/NAME@sha256:DIGEST"
        for name in IMAGE_HELP
        if not _REFERENCE.fullmatch(getattr(images, name))
    ]


def _host_problems(deployment: Deployment, host: str) -> list[str]:
    """Return what is wrong with the choice of a machine."""
    hosts = deployment.hosts
    if not hosts:
        return [f"--host={host!r}: the plan names no hosts; remove the option"] if host else []
    without = [name for one in deployment.containers if one.own_host for name in one.processes]
    problems = []
    if "main" in without:
        problems.append(
            "SYNAPSE_REPLICATION_HOST is not set, but the plan names hosts; set it to the host of "
            "the main process"
        )
    workers = [name for name in without if name != "main"]
    if workers:
        problems.append(
            f"SYNAPSE_WORKERS: {', '.join(workers)} have no host, but other processes do; add "
            "@HOST to each of them, or to none"
        )
    if not problems and host not in hosts:
        given = f"--host={host!r} is not a host of the plan" if host else "--host is missing"
        problems.append(f"{given}; use one of {', '.join(hosts)}")
    if not problems and not _is_address(host) and any(one.ports for one in deployment.at(host)):
        problems.append(
            f"--host={host!r} is a name, but engines publish ports only at addresses; use the "
            "host's IP address in SYNAPSE_WORKERS and SYNAPSE_REPLICATION_HOST"
        )
    return problems


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _name_problems(deployment: Deployment) -> list[str]:
    return [
        f"SYNAPSE_WORKERS: {one.name} is the name of a worker and of the container of "
        f"{one.name.lower()}; give the worker another name"
        for one in deployment.containers
        if one.name.lower() in SERVICES
    ]


def engine_problems(deployment: Deployment, images: Images, host: str) -> list[str]:
    """Return a line for each thing that is wrong with the images, the names or the host."""
    return [
        *image_problems(images),
        *_name_problems(deployment),
        *_host_problems(deployment, host),
    ]


def engine_files(
    engine: str, deployment: Deployment, images: Images, host: str, *, rootless: bool
) -> Mapping[str, str]:
    """Return the files for an engine by path.

    Args:
        engine: one of `ENGINES`.
        deployment: the containers of the plan.
        images: the images.
        host: the machine whose processes they are for; "" if the plan names no machines.
        rootless: whether a user without privileges runs them.
    """
    module = import_module(f"deploy.{engine}")
    files: Mapping[str, str] = module.files(deployment, images, host, rootless=rootless)
    return files


def archive(files: Mapping[str, str]) -> bytes:
    """Return a tar archive of files; it depends on nothing but their paths and contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, text in sorted(files.items()):
            info = tarfile.TarInfo(path)
            data = text.encode()
            info.size = len(data)
            info.mode = 0o644
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
