"""The Compose file, as text: references, order, rights, replicas and names."""

import re
from typing import Any

import pytest
import yaml

from tests.deploy.engine_plans import PLAN, files
from worker.deployment import deployment
from worker.errors import ConfigError

SERVICES = ["main", "synchrotron", "typing", "media_repository", "both"]


def compose(**options: Any) -> dict[str, Any]:
    """Return the Compose file as data."""
    document: dict[str, Any] = yaml.safe_load(files("compose", **options)["compose.yaml"])
    return document


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
    """Their number is that of all entries together."""
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
    """The plan becomes one line, without comments."""
    variables = compose(plan="typing # one\n\npusher")["services"]["main"]["environment"]
    assert variables["SYNAPSE_WORKERS"] == "typing, pusher"


@pytest.mark.parametrize("name", ["on", "1", "null", "1e3", "a.b-c_d", "NO"])
def test_compose_keeps_every_name(name: str) -> None:
    """YAML would take some of them for a truth value or a number."""
    environ = {"SYNAPSE_REPLICATION_HOST": "m"}
    read = compose(plan=f"{name}=typing@10.0.0.7", host="10.0.0.7", environ=environ)
    assert list(read["services"]) == [name]
