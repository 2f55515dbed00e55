"""A plan as a Compose file, for Docker Compose 2.30 or newer, or podman-compose.

The rules are from the Compose Specification (https://github.com/compose-spec/compose-spec).
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from deploy import proxy, synapse
from deploy.containers import Container, Deployment
from deploy.images import Images
from deploy.options import bracketed
from deploy.support import POSTGRES, REDIS, postgres_command

# What YAML 1.1 takes for a truth value or for nothing.
_YAML_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
_HARDENED = (
    "restart: unless-stopped",
    "read_only: true",
    "cap_drop: [ALL]",
    "security_opt: [no-new-privileges:true]",
)


def _scalar(text: str) -> str:
    """Return a YAML string in which Compose replaces nothing."""
    return json.dumps(text.replace("$", "$$"), ensure_ascii=False)


def _list(words: Iterable[str]) -> str:
    return f"[{', '.join(map(_scalar, words))}]"


def _environ(variables: Mapping[str, str], indent: str) -> Iterator[str]:
    for name, value in sorted(variables.items()):
        yield f"{indent}{name}: {_scalar(value)}"


def _comments(*lines: str) -> Iterator[str]:
    return (f"# {line}" if line else "#" for line in lines)


def _header(deployment: Deployment, host: str) -> Iterator[str]:
    where = f" at {host}" if host else ""
    beside = [
        (
            "data/",
            f"homeserver.yaml, signing.key, and files that they name, for user {synapse.UID}",
        ),
        (f"secrets/{synapse.PASSWORD}", f"the password of PostgreSQL, for user {synapse.UID}"),
    ]
    if any(one.media for one in deployment.at(host)):
        beside.append(("media/", f"media; user {synapse.UID} writes to it"))
    if deployment.has_main(host):
        beside.append(("tls.crt, tls.key", f"the homeserver's certificate, for user {proxy.UID}"))
    yield from _comments(
        f"The processes of a Synapse homeserver{where}: docker compose up --detach --wait",
        "",
        "Beside this file, readable only by the user of the container that mounts them:",
        *(f"  {name:28}{text}" for name, text in beside),
    )
    if host:
        yield from _comments(
            "", "homeserver.yaml names PostgreSQL and Redis, which all hosts must reach."
        )
    yield from _comments("", *_order(deployment, host))
    replicated = [one.name for one in deployment.at(host) if one.replicas]
    if replicated:
        yield from _comments(
            "",
            "Any number of these can be started, for example: docker compose up --detach --scale "
            f"{replicated[0]}=5",
            *(f"  {name}" for name in replicated),
        )


def _order(deployment: Deployment, host: str) -> tuple[str, ...]:
    """Return lines about the order in which processes start and stop."""
    (*_, last) = deployment.at(host)
    if not last.members:
        return (
            "Compose starts the main process once its services answer, and the workers once the "
            "main",
            "process is ready; it stops them in the reverse order. Before a process is stopped, it",
            "finishes its requests.",
        )
    first = ("It starts the main process, and the workers once that is healthy.",)
    return (
        "One container runs all of them; its parent process restarts those that end.",
        *(first if last.is_main else ()),
        "When it is stopped, the processes first finish their requests.",
    )


def _templates(deployment: Deployment, images: Images, host: str) -> Iterator[str]:
    start = deployment.start_seconds
    yield "x-synapse: &synapse"
    yield f"  image: {_scalar(images.image)}"
    yield from (f"  {line}" for line in _HARDENED)
    yield f'  user: "{synapse.UID}:{synapse.UID}"'
    yield f"  tmpfs: [{', '.join(synapse.SCRATCH)}]"
    yield f"  networks: [{'synapse' if host else 'synapse, services'}]"
    yield f"  secrets: [{synapse.PASSWORD}]"
    yield f"  stop_grace_period: {synapse.DRAIN_SECONDS + synapse.STOP_SECONDS}s"
    yield "  pre_stop:"
    # Compose stops nothing, and reports a failure, if a hook fails.
    yield f"    - command: {_list((*synapse.DRAIN, '--stop-anyway'))}"
    yield "  healthcheck:"
    yield f"    test: {_list(('CMD', *synapse.HEALTH))}"
    yield "    interval: 30s"
    yield "    timeout: 10s"
    yield f"    start_period: {start}s"
    yield "    start_interval: 2s"
    yield ""
    yield "x-environment: &environment"
    yield from _environ(deployment.environ, "  ")


def _synapse(container: Container, with_main: bool, host: str) -> Iterator[str]:
    """Yield the service of one process, or of all processes at the host."""
    yield f"  # {container.runs}"
    if container.members:
        yield "  # This command checks the configuration again and restarts one of them:"
        yield f"  # docker compose exec {container.name} {' '.join(synapse.RESTART)}"
    yield f"  {_key(container.name)}:"
    yield "    <<: *synapse"
    if container.replicas > 1:
        yield f"    scale: {container.replicas}"
    if container.pids_limit:
        yield f"    pids_limit: {container.pids_limit}"
    yield "    environment:"
    yield "      <<: *environment"
    yield from _environ(container.environ, "      ")
    volumes = ["./data:/data:ro"]
    if container.media:
        volumes.append("./media:/synapse_media")
    yield f"    volumes: {_list(volumes)}"
    if host:
        ports = [f"{bracketed(host)}:{port}:{port}" for port in container.ports]
        if ports:
            yield f"    ports: {_list(ports)}"
    if container.is_main and not host:
        yield "    depends_on:"
        yield "      postgres: {condition: service_healthy}"
        yield "      redis: {condition: service_healthy}"
    elif not container.is_main and with_main:
        # Workers must not run while the main process changes the database.
        yield "    depends_on:"
        yield "      main: {condition: service_healthy, restart: true}"


def _key(name: str) -> str:
    """Return the name of a worker as a YAML key, which must not look like another type."""
    plain = re.fullmatch("[A-Za-z_][A-Za-z0-9_.-]*", name)
    return name if plain and name.lower() not in _YAML_WORDS else f'"{name}"'


def _services(deployment: Deployment, images: Images) -> Iterator[str]:
    """Yield the services that Synapse needs."""
    yield "  postgres:"
    yield f"    image: {_scalar(images.postgres_image)}"
    yield from (f"    {line}" for line in _HARDENED)
    yield "    # It starts as root to prepare its folder, and then changes its user."
    yield "    cap_add: [CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID]"
    yield f"    command: {_list(postgres_command(deployment))}"
    yield f"    tmpfs: [/tmp, {POSTGRES.runtime}]"
    yield "    shm_size: 256m"
    yield "    networks: [services]"
    yield f"    secrets: [{synapse.PASSWORD}]"
    yield "    environment:"
    yield from _environ(POSTGRES.environ, "      ")
    yield f"    volumes: [database:{POSTGRES.data}]"
    yield f"    stop_grace_period: {POSTGRES.stop_seconds}s"
    yield "    healthcheck:"
    yield f"      test: {_list(('CMD', *POSTGRES.health))}"
    yield "      interval: 10s"
    yield "      start_period: 60s"
    yield "      start_interval: 1s"
    yield "  redis:"
    yield f"    image: {_scalar(images.redis_image)}"
    yield from (f"    {line}" for line in _HARDENED)
    yield f'    user: "{REDIS.uid}:{REDIS.uid}"'
    yield "    # No persistence: Synapse uses Redis only to pass messages on."
    yield f"    command: {_list(REDIS.command)}"
    yield f"    tmpfs: [{REDIS.data}]"
    yield "    networks: [services]"
    yield "    healthcheck:"
    yield f"      test: {_list(('CMD', *REDIS.health))}"
    yield "      interval: 10s"
    yield "      start_interval: 1s"
    yield "      start_period: 10s"


def _proxy(images: Images, *, rootless: bool) -> Iterator[str]:
    volumes = [f"./{name}:{proxy.FOLDER}/{name}:ro" for name in proxy.FILES]
    yield "  proxy:"
    yield f"    image: {_scalar(images.proxy_image)}"
    yield from (f"    {line}" for line in _HARDENED)
    yield f'    user: "{proxy.UID}:{proxy.UID}"'
    yield "    networks: [synapse]"
    yield f"    volumes: {_list(volumes)}"
    if rootless:
        yield "    # Only root can listen at 443: forward it to this port."
    client = proxy.OPTIONS.client_port
    yield f"    ports: {_list([f'{client if rootless else 443}:{client}', '8448:8448'])}"
    yield "    depends_on:"
    yield "      main: {condition: service_healthy}"


def files(deployment: Deployment, images: Images, host: str, *, rootless: bool) -> dict[str, str]:
    """Return the files by name.

    Args:
        deployment: the containers of the plan.
        images: the images.
        host: the machine whose processes they are for; "" if the plan names no machines.
        rootless: whether a user without privileges runs them.
    """
    with_proxy = deployment.has_main(host)
    lines = [*_header(deployment, host), "name: synapse", ""]
    lines += [*_templates(deployment, images, host), "", "services:"]
    if not host:
        lines += _services(deployment, images)
    for container in deployment.at(host):
        lines += _synapse(container, deployment.has_main(host), host)
    if with_proxy:
        lines += _proxy(images, rootless=rootless)
    lines += ["", "networks:", "  synapse:"]
    if not host:
        lines += ["  # Without access to other networks.", "  services:", "    internal: true"]
        lines += ["", "volumes:", "  database:"]
    lines += [
        "",
        "secrets:",
        f"  {synapse.PASSWORD}:",
        f"    file: ./secrets/{synapse.PASSWORD}",
        "",
    ]
    found = {"compose.yaml": "\n".join(lines)}
    if with_proxy:
        found[proxy.CONFIGURATION] = proxy.configuration(deployment.routing)
    return found
