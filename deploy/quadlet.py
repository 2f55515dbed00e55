"""A plan as quadlets, units from which podman 5.2 or newer makes services of systemd.

The rules are from podman-systemd.unit(5), systemd.unit(5) and systemd.service(5).
"""

import json
from collections.abc import Iterable, Iterator, Mapping

from deploy import proxy, synapse
from deploy.containers import Container, Deployment
from deploy.images import Images
from deploy.options import bracketed
from deploy.support import POSTGRES, REDIS, postgres_command

_PULL_SECONDS = 600  # How long an image may take to arrive.
_UNITS = "containers/systemd/synapse"
_TARGET = "synapse.target"
_SECRET = f"synapse_{synapse.PASSWORD}"
_HARDENED = ("ReadOnly=true", "DropCapability=all", "NoNewPrivileges=true")


def _value(text: str) -> str:
    """Return ``text`` as one word of a unit, in which systemd replaces nothing."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _section(name: str, lines: Iterable[str]) -> str:
    return "\n".join([f"[{name}]", *lines, ""])


def _unit(*sections: str) -> str:
    return "\n".join(sections)


def _health(test: Iterable[str], start: int) -> Iterator[str]:
    """Yield the checks of a container: often while it starts, and then every 30 seconds."""
    words = json.dumps(list(test))
    yield f"HealthCmd={words}"
    yield "HealthInterval=30s"
    yield "HealthTimeout=10s"
    yield f"HealthStartupCmd={words}"
    yield "HealthStartupInterval=2s"
    yield f"HealthStartupRetries={start // 2}"
    yield "HealthStartupTimeout=10s"
    yield "# The service is started once the check succeeds."
    yield "Notify=healthy"


def _service(start: int, stop: int, *lines: str) -> str:
    return _section(
        "Service",
        [
            "Restart=always",
            f"TimeoutStartSec={start + _PULL_SECONDS}",
            f"TimeoutStopSec={stop + 15}",
            *lines,
        ],
    )


def _install() -> str:
    return _section("Install", [f"WantedBy={_TARGET}"])


def _environ(variables: Mapping[str, str]) -> Iterator[str]:
    for name, value in sorted(variables.items()):
        yield f"Environment={_value(f'{name}={value}')}"


def _synapse(
    deployment: Deployment, images: Images, container: Container, host: str, *, rootless: bool
) -> str:
    start = deployment.start_seconds
    owner = f"uid={synapse.UID},gid={synapse.UID}"
    unit = [f"Description=Synapse: {container.name} ({container.runs})"]
    if container.members:
        exec_restart = " ".join(("podman", "exec", f"synapse-{container.name}", *synapse.RESTART))
        unit += [
            "# This command checks the configuration again and restarts one of them:",
            f"# {exec_restart}",
        ]
    if container.is_main:
        unit.append(f"PartOf={_TARGET}")
        if not host:
            unit += [
                f"{word}=synapse-postgres.service synapse-redis.service"
                for word in ("Wants", "After")
            ]
    elif deployment.has_main(host):
        unit += [
            "# Workers must not run while the main process changes the database.",
            f"PartOf={_TARGET} synapse-main.service",
            "Wants=synapse-main.service",
            "After=synapse-main.service",
        ]
    else:
        unit.append(f"PartOf={_TARGET}")
    lines = [
        f"ContainerName=synapse-{container.name}",
        f"Image={images.image}",
        *_HARDENED,
        f"User={synapse.UID}",
        f"Group={synapse.UID}",
        *([f"UserNS=keep-id:{owner}"] if rootless else []),
        *(f"Tmpfs={folder}:mode=1777" for folder in synapse.SCRATCH),
        "Network=synapse.network",
        *([] if host else ["Network=synapse-services.network"]),
        f"NetworkAlias={container.name}",
        "Volume=%E/synapse/data:/data:ro,z",
        *(["Volume=synapse-media.volume:/synapse_media:U,z"] if container.media else []),
        f"Secret={_SECRET},type=mount,target={synapse.PASSWORD_PATH},{owner},mode=0400",
        *(f"PublishPort={bracketed(host)}:{port}:{port}" for port in container.ports if host),
        *_environ({**deployment.environ, **container.environ}),
        *_health(synapse.HEALTH, start),
        *([f"PidsLimit={container.pids_limit}"] if container.pids_limit else []),
        f"StopTimeout={synapse.STOP_SECONDS}",
    ]
    drain = " ".join(("/usr/bin/podman", "exec", f"synapse-{container.name}", *synapse.DRAIN))
    service = _service(
        start,
        synapse.DRAIN_SECONDS + synapse.STOP_SECONDS,
        "# 2 is a configuration error, which a restart does not fix.",
        "RestartPreventExitStatus=2",
        f"ExecStop=-{drain} {synapse.DRAIN_SECONDS}",
    )
    return _unit(_section("Unit", unit), _section("Container", lines), service, _install())


def _postgres(deployment: Deployment, images: Images) -> str:
    lines = [
        "ContainerName=synapse-postgres",
        f"Image={images.postgres_image}",
        f"Exec={' '.join(postgres_command(deployment))}",
        *_HARDENED,
        "# It starts as root to prepare its folder, and then changes its user.",
        "AddCapability=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_SETGID CAP_SETUID",
        "Tmpfs=/tmp",
        f"Tmpfs={POSTGRES.runtime}",
        "ShmSize=256m",
        "Network=synapse-services.network",
        "NetworkAlias=postgres",
        f"Volume=synapse-database.volume:{POSTGRES.data}:z",
        f"Secret={_SECRET},type=mount,target={synapse.PASSWORD_PATH},mode=0444",
        *_environ(POSTGRES.environ),
        *_health(POSTGRES.health, 120),
        f"StopTimeout={POSTGRES.stop_seconds}",
    ]
    return _support("PostgreSQL of Synapse", lines, 120, POSTGRES.stop_seconds)


def _redis(images: Images) -> str:
    lines = [
        "ContainerName=synapse-redis",
        f"Image={images.redis_image}",
        *_HARDENED,
        f"User={REDIS.uid}",
        f"Group={REDIS.uid}",
        "# No persistence: Synapse uses Redis only to pass messages on.",
        f"Exec={' '.join(REDIS.command)}",
        f"Tmpfs={REDIS.data}",
        "Network=synapse-services.network",
        "NetworkAlias=redis",
        *_health(REDIS.health, 30),
    ]
    return _support("Redis of Synapse", lines, 30, REDIS.stop_seconds)


def _support(description: str, lines: Iterable[str], start: int, stop: int) -> str:
    return _unit(
        _section("Unit", [f"Description={description}", f"PartOf={_TARGET}"]),
        _section("Container", lines),
        _service(start, stop),
        _install(),
    )


def _proxy(images: Images, *, rootless: bool) -> str:
    client = (
        [
            "# Only root can listen at 443: forward it to this port, or lower the first port for",
            "# all users with the sysctl net.ipv4.ip_unprivileged_port_start.",
            f"PublishPort={proxy.OPTIONS.client_port}:{proxy.OPTIONS.client_port}",
        ]
        if rootless
        else [f"PublishPort=443:{proxy.OPTIONS.client_port}"]
    )
    lines = [
        "ContainerName=synapse-proxy",
        f"Image={images.proxy_image}",
        "# Its master process tells systemd when the other one listens at all ports.",
        f"Exec={' '.join(proxy.COMMAND)}",
        "Notify=true",
        *_HARDENED,
        f"User={proxy.UID}",
        f"Group={proxy.UID}",
        *([f"UserNS=keep-id:uid={proxy.UID},gid={proxy.UID}"] if rootless else []),
        "Network=synapse.network",
        *(f"Volume=%E/synapse/{name}:{proxy.FOLDER}/{name}:ro,z" for name in proxy.FILES),
        *client,
        "PublishPort=8448:8448",
    ]
    unit = [
        "Description=HAProxy of Synapse",
        f"PartOf={_TARGET}",
        "Wants=synapse-main.service",
        "After=synapse-main.service",
    ]
    return _unit(_section("Unit", unit), _section("Container", lines), _service(30, 10), _install())


def files(deployment: Deployment, images: Images, host: str, *, rootless: bool) -> dict[str, str]:
    """Return the units by path, below /etc or, rootless, below ~/.config.

    Args:
        deployment: the containers of the plan.
        images: the images.
        host: the machine whose processes they are for; "" if the plan names no machines.
        rootless: whether a user's own systemd runs them.
    """
    texts = {
        f"synapse-{one.name}.container": _synapse(deployment, images, one, host, rootless=rootless)
        for one in deployment.at(host)
    }
    networks: dict[str, list[str]] = {"synapse": []}
    if not host:
        texts["synapse-postgres.container"] = _postgres(deployment, images)
        texts["synapse-redis.container"] = _redis(images)
        texts["synapse-database.volume"] = _section("Volume", ["VolumeName=synapse-database"])
        networks["synapse-services"] = ["# Without access to other networks.", "Internal=true"]
    if any(one.media for one in deployment.at(host)):
        texts["synapse-media.volume"] = _section("Volume", ["VolumeName=synapse-media"])
    for name, lines in networks.items():
        texts[f"{name}.network"] = _section("Network", [f"NetworkName={name}", *lines])
    with_proxy = deployment.has_main(host)
    if with_proxy:
        texts["synapse-proxy.container"] = _proxy(images, rootless=rootless)
    found = {f"{_UNITS}/{name}": text for name, text in texts.items()}
    if with_proxy:
        found[f"synapse/{proxy.CONFIGURATION}"] = proxy.configuration(deployment.routing)
    target = _unit(
        _section("Unit", ["Description=All processes of a Synapse homeserver"]),
        _section("Install", [f"WantedBy={'default' if rootless else 'multi-user'}.target"]),
    )
    found[f"systemd/{'user' if rootless else 'system'}/{_TARGET}"] = target
    return dict(sorted(found.items()))
