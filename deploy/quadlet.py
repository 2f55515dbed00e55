"""A plan as quadlets, units from which podman 5.2 or newer makes services of systemd.

The rules are from podman-systemd.unit(5), systemd.unit(5) and systemd.service(5).
"""

import json
from collections.abc import Iterable, Iterator, Mapping

from deploy.containers import (
    DRAIN,
    DRAIN_SECONDS,
    HEALTH,
    PASSWORD,
    PASSWORD_PATH,
    PROXY_FILES,
    PROXY_FOLDER,
    PROXY_OPTIONS,
    RESTART,
    SCRATCH,
    START_SECONDS,
    STOP_SECONDS,
    UID,
    Container,
    Deployment,
    proxy_configuration,
)
from deploy.images import Images
from deploy.options import bracketed
from deploy.support import (
    POSTGRES_DATA,
    POSTGRES_ENVIRON,
    POSTGRES_HEALTH,
    POSTGRES_RUNTIME,
    POSTGRES_STOP_SECONDS,
    REDIS_COMMAND,
    REDIS_DATA,
    REDIS_HEALTH,
    REDIS_UID,
    postgres_command,
)

_PULL_SECONDS = 600  # How long an image may take to arrive.
_UNITS = "containers/systemd/synapse"
_TARGET = "synapse.target"
_SECRET = f"synapse_{PASSWORD}"
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
    start = deployment.wait_seconds + START_SECONDS
    unit = [f"Description=Synapse: {container.name} ({container.runs})"]
    if container.members:
        exec_restart = " ".join(("podman", "exec", f"synapse-{container.name}", *RESTART))
        unit += [
            "# This checks the configuration anew and restarts one of them:",
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
        f"User={UID}",
        f"Group={UID}",
        *([f"UserNS=keep-id:uid={UID},gid={UID}"] if rootless else []),
        *(f"Tmpfs={folder}:mode=1777" for folder in SCRATCH),
        "Network=synapse.network",
        *([] if host else ["Network=synapse-services.network"]),
        f"NetworkAlias={container.name}",
        "Volume=%E/synapse/data:/data:ro,z",
        *(["Volume=synapse-media.volume:/synapse_media:U,z"] if container.media else []),
        f"Secret={_SECRET},type=mount,target={PASSWORD_PATH},uid={UID},gid={UID},mode=0400",
        *(f"PublishPort={bracketed(host)}:{port}:{port}" for port in container.ports if host),
        *_environ({**deployment.environ, **container.environ}),
        *_health(HEALTH, start),
        f"StopTimeout={STOP_SECONDS}",
    ]
    drain = " ".join(("/usr/bin/podman", "exec", f"synapse-{container.name}", *DRAIN))
    service = _service(
        start,
        DRAIN_SECONDS + STOP_SECONDS,
        "# 2 is an error of the configuration, which a restart does not mend.",
        "RestartPreventExitStatus=2",
        f"ExecStop=-{drain} {DRAIN_SECONDS}",
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
        f"Tmpfs={POSTGRES_RUNTIME}",
        "ShmSize=256m",
        "Network=synapse-services.network",
        "NetworkAlias=postgres",
        f"Volume=synapse-database.volume:{POSTGRES_DATA}:z",
        f"Secret={_SECRET},type=mount,target={PASSWORD_PATH},mode=0444",
        *_environ(POSTGRES_ENVIRON),
        *_health(POSTGRES_HEALTH, 120),
        f"StopTimeout={POSTGRES_STOP_SECONDS}",
    ]
    return _support("PostgreSQL of Synapse", lines, 120, POSTGRES_STOP_SECONDS)


def _redis(images: Images) -> str:
    lines = [
        "ContainerName=synapse-redis",
        f"Image={images.redis_image}",
        *_HARDENED,
        f"User={REDIS_UID}",
        f"Group={REDIS_UID}",
        "# Nothing is kept: Synapse uses it only to pass messages on.",
        f"Exec={' '.join(REDIS_COMMAND)}",
        f"Tmpfs={REDIS_DATA}",
        "Network=synapse-services.network",
        "NetworkAlias=redis",
        *_health(REDIS_HEALTH, 30),
    ]
    return _support("Redis of Synapse", lines, 30, 10)


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
            f"PublishPort={PROXY_OPTIONS.client_port}:{PROXY_OPTIONS.client_port}",
        ]
        if rootless
        else [f"PublishPort=443:{PROXY_OPTIONS.client_port}"]
    )
    lines = [
        "ContainerName=synapse-proxy",
        f"Image={images.proxy_image}",
        *_HARDENED,
        "User=99",
        "Group=99",
        *(["UserNS=keep-id:uid=99,gid=99"] if rootless else []),
        "Network=synapse.network",
        *(f"Volume=%E/synapse/{name}:{PROXY_FOLDER}/{name}:ro,z" for name in PROXY_FILES),
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
        networks["synapse-services"] = ["# PostgreSQL and Redis reach nobody.", "Internal=true"]
    if any(one.media for one in deployment.at(host)):
        texts["synapse-media.volume"] = _section("Volume", ["VolumeName=synapse-media"])
    for name, lines in networks.items():
        texts[f"{name}.network"] = _section("Network", [f"NetworkName={name}", *lines])
    with_proxy = deployment.has_main(host)
    if with_proxy:
        texts["synapse-proxy.container"] = _proxy(images, rootless=rootless)
    found = {f"{_UNITS}/{name}": text for name, text in texts.items()}
    if with_proxy:
        found["synapse/haproxy.cfg"] = proxy_configuration(deployment)
    target = _unit(
        _section("Unit", ["Description=All processes of a Synapse homeserver"]),
        _section("Install", [f"WantedBy={'default' if rootless else 'multi-user'}.target"]),
    )
    found[f"systemd/{'user' if rootless else 'system'}/{_TARGET}"] = target
    return dict(sorted(found.items()))
