"""The files for container engines, as text: references, rights, order, and bad input."""

import io
import re
import tarfile
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from deploy.engines import ENGINES, REPLICATING, archive, engine_files, engine_problems
from deploy.images import Images
from worker.deployment import deployment
from worker.errors import ConfigError

PLAN = "synchrotron:2, typing, media_repository, both=federation_sender+pusher"
NAMES = ["main", "synchrotron1", "synchrotron2", "typing", "media_repository", "both"]
SERVICES = ["main", "synchrotron", "typing", "media_repository", "both"]
IMAGES = Images(image="quay.io/example/synapse@sha256:" + "0" * 64)
HOSTS = "typing@10.0.0.7, media_repository@10.0.0.8, event_persister@10.0.0.7"
UNITS = "containers/systemd/synapse/"


def files(
    engine: str,
    plan: str = PLAN,
    host: str = "",
    *,
    rootless: bool = False,
    environ: Mapping[str, str] = {},
) -> Mapping[str, str]:
    """Return the files of an engine by path."""
    found = deployment(environ, plan, with_replicas=engine in REPLICATING)
    assert engine_problems(found, IMAGES, host) == []
    return engine_files(engine, found, IMAGES, host, rootless=rootless)


def compose(**options: Any) -> dict[str, Any]:
    """Return the Compose file as data."""
    document: dict[str, Any] = yaml.safe_load(files("compose", **options)["compose.yaml"])
    return document


def units(**options: Any) -> dict[str, dict[str, list[tuple[str, str]]]]:
    """Return the units by name: the settings of each section, in their order."""
    found: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for path, text in files("quadlet", **options).items():
        if path.endswith(".cfg"):
            continue
        sections = found.setdefault(path.removeprefix(UNITS), {})
        for line in text.splitlines():
            if line.startswith("["):
                settings = sections.setdefault(line.strip("[]"), [])
            elif line and not line.startswith("#"):
                key, equals, value = line.partition("=")
                assert equals, line
                settings.append((key, value))
    return found


def values(unit: Mapping[str, list[tuple[str, str]]], section: str, name: str) -> list[str]:
    """Return the values of a setting."""
    return [value for key, value in unit.get(section, []) if key == name]


def test_compose_has_every_process_and_service() -> None:
    """The plan, PostgreSQL, Redis and the proxy, and nothing else."""
    assert list(compose()["services"]) == ["postgres", "redis", *SERVICES, "proxy"]


def test_compose_refers_to_what_it_defines() -> None:
    """Networks, volumes, secrets and services that are named exist."""
    document = compose()
    for name, service in document["services"].items():
        assert set(service["networks"]) <= set(document["networks"]), name
        assert set(service.get("secrets", [])) <= set(document["secrets"]), name
        assert set(service.get("depends_on", {})) <= set(document["services"]), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source.startswith("./") or source in document["volumes"], name


def test_compose_starts_main_after_its_services_and_workers_after_main() -> None:
    """A worker must not run while the main process migrates the database."""
    services = compose()["services"]
    healthy = {"condition": "service_healthy"}
    assert services["main"]["depends_on"] == {"postgres": healthy, "redis": healthy}
    for name in SERVICES[1:]:
        assert services[name]["depends_on"] == {"main": healthy | {"restart": True}}


def test_compose_gives_no_rights_that_are_not_needed() -> None:
    """The root is read-only, and no process can get more rights."""
    for name, service in compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert name == "postgres" or ("cap_add" not in service and "user" in service), name


@pytest.mark.parametrize("engine", ENGINES)
def test_redis_answers_other_containers(engine: str) -> None:
    """In its protected mode, a Redis without a password answers only its own host."""
    (line,) = [
        line for text in files(engine).values() for line in text.splitlines() if "--save" in line
    ]
    assert re.search(r"--protected-mode\"?,? \"?no", line)


def test_postgresql_has_connections_for_all_processes() -> None:
    """Each process may open ten; of replicas, there may be more than the plan says."""
    plan = "synchrotron:2, media_repository:30"
    replicas = {"compose": 10, "quadlet": 2}
    commands = {
        "compose": compose(plan=plan)["services"]["postgres"]["command"],
        "quadlet": values(units(plan=plan)["synapse-postgres.container"], "Container", "Exec")[
            0
        ].split(),
    }
    for engine, command in commands.items():
        connections = 10 * (1 + replicas[engine] + 30) + 20
        assert command == ["postgres", "-c", f"max_connections={connections}"]


def test_compose_mounts_the_media_only_where_they_are_served() -> None:
    """In a plan without a media worker, main serves them."""

    def with_media(plan: str) -> list[str]:
        services = compose(plan=plan)["services"]
        return [
            name
            for name, service in services.items()
            if any("synapse_media" in volume for volume in service.get("volumes", []))
        ]

    assert with_media(PLAN) == ["media_repository"]
    assert with_media("typing") == ["main"]


def test_compose_can_scale_what_nothing_names() -> None:
    """Each container takes its host name as its name, and the proxy finds all of them."""
    services = compose(plan="synchrotron:2, reader=client_reader+frontend_proxy, pusher:2")[
        "services"
    ]
    expected = {"synchrotron": (2, "synchrotron"), "reader": (None, "client_reader+frontend_proxy")}
    for name, (scale, types) in expected.items():
        variables = services[name]["environment"]
        assert services[name].get("scale") == scale
        assert variables["SYNAPSE_WORKER"] == types
        assert variables["SYNAPSE_WORKER_NAME_FROM"] == "hostname"
        assert "SYNAPSE_WORKER_NAME" not in variables
    assert {"pusher1", "pusher2"} < services.keys()
    proxy = files("compose", "synchrotron:2")["haproxy.cfg"]
    assert "server-template synchrotron-replica 1-20 'synchrotron:8008' " in proxy


def test_unix_sockets_are_not_replicated() -> None:
    """Their paths have the names of workers, which the proxy must know."""
    environ = {"SYNAPSE_UNIX_SOCKETS": "/sockets"}
    services = compose(plan="synchrotron:2", environ=environ)["services"]
    assert {"synchrotron1", "synchrotron2"} < services.keys()


def test_a_single_sign_on_stays_in_one_process() -> None:
    """Two proxies, or one that was restarted, would not agree on the first of several replicas."""
    proxy = files("compose", "client_reader:2")["haproxy.cfg"]
    section = proxy.split("\nbackend synapse_sso ")[1].split("\nbackend ")[0]
    assert re.findall("server(?:-template)? (\\S+)", section) == ["main", ":wait"]


@pytest.mark.parametrize(
    ("plan", "line"),
    [
        (
            "x=synchrotron:2, x=client_reader",
            "SYNAPSE_WORKERS: x is the name of several entries with different worker types; give "
            "each of them its own name",
        ),
        (
            "x=synchrotron:2, x=typing",
            "SYNAPSE_WORKERS: x is the name of several entries with different worker types; give "
            "each of them its own name",
        ),
        (
            "x=synchrotron:2, x-replica1=synchrotron+pusher",
            "SYNAPSE_WORKERS: x-replica1 is the proxy's name for a replica of x; give the worker "
            "another name",
        ),
        (
            "a-=synchrotron:2",
            "SYNAPSE_WORKERS: 'a-' is also the host of these workers, but it is not a host name; "
            "use labels of at most 63 characters of A-Z a-z 0-9 _ -, separated by dots, without a "
            "scheme, port or path",
        ),
    ],
)
def test_replicas_with_a_name_that_they_cannot_have_are_refused(plan: str, line: str) -> None:
    """As single workers, they have numbers at the ends of their names."""
    deployment({}, plan)
    with pytest.raises(ConfigError) as caught:
        deployment({}, plan, with_replicas=True)
    assert caught.value.problems == (line,)


def test_entries_with_one_name_and_type_are_the_same_replicas() -> None:
    """Together they are as many as the plan has."""
    services = compose(plan="synchrotron:2, synchrotron")["services"]
    assert services["synchrotron"]["scale"] == 3


def test_compose_replaces_nothing_in_a_value() -> None:
    """Compose would replace a dollar sign with a variable of the shell."""
    environ = {"SYNAPSE_HOSTNAME": "a$b", "HOME": "/root", "SYNAPSE_WORKER": "typing"}
    variables = compose(environ=environ)["services"]["typing"]["environment"]
    assert variables["SYNAPSE_HOSTNAME"] == "a$$b"
    assert "HOME" not in variables
    assert variables["SYNAPSE_WORKER_NAME"] == "typing"
    assert variables["SYNAPSE_WORKERS"] == PLAN


def test_a_plan_may_be_a_file_with_comments() -> None:
    """It becomes one line."""
    variables = compose(plan="typing # one\n\npusher")["services"]["main"]["environment"]
    assert variables["SYNAPSE_WORKERS"] == "typing, pusher"


@pytest.mark.parametrize("engine", ENGINES)
def test_each_host_gets_its_own_processes(engine: str) -> None:
    """PostgreSQL and Redis are then the administrator's own."""
    environ = {"SYNAPSE_REPLICATION_HOST": "10.0.0.1"}
    plan = "typing@10.0.0.7, media_repository@10.0.0.8"
    at_main = "".join(files(engine, plan, "10.0.0.1", environ=environ).values())
    at_seven = "".join(files(engine, plan, "10.0.0.7", environ=environ).values())
    assert "10.0.0.1:9093:9093" in at_main
    assert "10.0.0.7:9093:9093" in at_seven
    assert "haproxy" in at_main
    assert "haproxy" not in at_seven
    assert "SYNAPSE_WORKER_NAME" not in at_main
    assert "media_repository: " not in at_seven
    assert "postgres" not in at_main.split("# HAProxy")[0].lower().replace("postgresql", "")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_published_ipv6_address_has_brackets(engine: str) -> None:
    """Otherwise, engines would take its last group for a port."""
    environ = {"SYNAPSE_REPLICATION_HOST": "fd00::1"}
    texts = files(engine, "typing@[fd00::7]", "fd00::7", environ=environ).values()
    assert "[fd00::7]:9093:9093" in "".join(texts)


@pytest.mark.parametrize(
    ("plan", "environ", "host", "lines"),
    [
        ("typing", {}, "h", ["--host='h': the plan names no hosts; remove the option"]),
        (
            "typing@h, pusher",
            {},
            "h",
            [
                "SYNAPSE_REPLICATION_HOST is not set, but the plan names hosts; set it to the host "
                "of the main process",
                "SYNAPSE_WORKERS: pusher have no host, but other processes do; add @HOST to each "
                "of them, or to none",
            ],
        ),
        (
            "typing@h",
            {"SYNAPSE_REPLICATION_HOST": "m"},
            "",
            ["--host is missing; use one of m, h"],
        ),
        (
            "typing@h",
            {"SYNAPSE_REPLICATION_HOST": "m"},
            "x",
            ["--host='x' is not a host of the plan; use one of m, h"],
        ),
    ],
)
def test_a_wrong_host_is_named(
    plan: str, environ: dict[str, str], host: str, lines: list[str]
) -> None:
    """A file for a machine needs the addresses of all machines."""
    assert engine_problems(deployment(environ, plan), IMAGES, host) == lines


@pytest.mark.parametrize("image", ["", "a b", "x\ny", "-x", "a@sha256:12", "a:b:c"])
def test_a_wrong_image_is_named(image: str) -> None:
    """A reference is one word, which no engine takes for something else."""
    assert engine_problems(deployment({}, "typing"), Images(image=image), "") == [
        f"--image={image!r} is not the reference of an image; use HOST/NAME:TAG or "
        "HOST/NAME@sha256:DIGEST"
    ]


@pytest.mark.parametrize("name", ["postgres", "Redis", "proxy"])
def test_a_worker_with_the_name_of_a_service_is_refused(name: str) -> None:
    """Each container needs a name of its own, which some engines compare without case."""
    assert engine_problems(deployment({}, f"{name}=typing"), IMAGES, "") == [
        f"SYNAPSE_WORKERS: {name} is the name of a worker and of the container of "
        f"{name.lower()}; give the worker another name"
    ]


@pytest.mark.parametrize("name", ["on", "1", "null", "1e3", "a.b-c_d", "NO"])
def test_compose_keeps_every_name(name: str) -> None:
    """YAML would take some of them for a truth value or a number."""
    environ = {"SYNAPSE_REPLICATION_HOST": "m"}
    assert list(compose(plan=f"{name}=typing@h", host="h", environ=environ)["services"]) == [name]


def test_two_processes_at_one_host_are_refused() -> None:
    """The ports of a host can be published once."""
    with pytest.raises(ConfigError, match="have the same address"):
        deployment({"SYNAPSE_REPLICATION_HOST": "m"}, "synchrotron@h, client_reader@h")


def test_quadlet_refers_to_what_it_defines() -> None:
    """Networks, volumes and services that are named exist."""
    found = units()
    services = {name.removesuffix(".container") + ".service" for name in found}
    for name, unit in found.items():
        if not name.endswith(".container"):
            continue
        assert all(one in found for one in values(unit, "Container", "Network")), name
        for volume in values(unit, "Container", "Volume"):
            source = volume.split(":")[0]
            assert source.startswith("%E/synapse/") or source in found, name
        named = [
            word
            for key in ("After", "Wants", "PartOf")
            for value in values(unit, "Unit", key)
            for word in value.split()
        ]
        assert set(named) - {"synapse.target"} <= services, name
        assert values(unit, "Install", "WantedBy") == ["synapse.target"], name


def test_quadlet_stops_workers_with_main() -> None:
    """`systemctl restart synapse-main` restarts them too, after it."""
    found = units()
    for name in NAMES[1:]:
        unit = found[f"synapse-{name}.container"]
        assert values(unit, "Unit", "PartOf") == ["synapse.target synapse-main.service"]
        assert values(unit, "Unit", "After") == ["synapse-main.service"]
        assert values(unit, "Container", "Notify") == ["healthy"]


def test_quadlet_quotes_values() -> None:
    """systemd replaces percent signs, and takes quotes and backslashes as its own."""
    environ = {"SYNAPSE_HOSTNAME": 'a%b"c\\d'}
    unit = units(environ=environ)["synapse-main.container"]
    assert '"SYNAPSE_HOSTNAME=a%%b\\"c\\\\d"' in values(unit, "Container", "Environment")


def test_rootless_quadlets_are_for_a_users_own_systemd() -> None:
    """They publish no port below 1024, and map the user to that of the image."""
    found = units(rootless=True)
    assert "systemd/user/synapse.target" in found
    assert values(found["synapse-main.container"], "Container", "UserNS") == [
        "keep-id:uid=991,gid=991"
    ]
    for unit in found.values():
        for port in values(unit, "Container", "PublishPort"):
            assert int(port.split(":")[0]) > 1023


@pytest.mark.parametrize("engine", ENGINES)
def test_the_archive_depends_on_the_plan_alone(engine: str) -> None:
    """It can be kept in a repository and compared."""
    first = archive(files(engine))
    assert first == archive(files(engine))
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        members = tar.getmembers()
    assert [one.name for one in members] == sorted(files(engine))
    assert {(one.mtime, one.uid, one.gid, one.mode) for one in members} == {(0, 0, 0, 0o644)}
