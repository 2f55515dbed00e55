"""One container for all processes of a host: what it gets is what the entrypoint and others need.

The environments of the containers are read by the entrypoint's own code, as at a start.
"""

import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from deploy import proxy
from deploy.containers import Container, Deployment
from deploy.engines import ENGINES, engine_files, engine_problems
from tests.deploy.engine_plans import IMAGES
from tests.deploy.random_plans import plans
from worker.deployment import deployment
from worker.doctor import scrape_targets
from worker.errors import ConfigError
from worker.listeners import listener, listener_kinds, location
from worker.plan import parse_plan
from worker.routes import plan_routing
from worker.settings import Settings, parse
from worker.together import share_environs
from worker.worker_types import load_table

PLAN = "synchrotron:2, typing, media_repository"
HOSTED = "sync=synchrotron@10.0.0.7, typing@10.0.0.7, pusher@10.0.0.1, media_repository@10.0.0.8"
MAIN_HOST = {"SYNAPSE_REPLICATION_HOST": "10.0.0.1"}
TABLE = load_table()


def made(plan: str = PLAN, environ: Mapping[str, str] = {}) -> Deployment:
    """Return the containers of a plan."""
    return deployment(environ, plan, one_container=True)


def started(found: Deployment, container: Container) -> dict[str, Settings]:
    """Return the settings of the processes that a container starts, by name."""
    environ = {**found.environ, **container.environ}
    return {name: parse(one) for name, one in share_environs(environ).items()}


def compose(plan: str = PLAN, environ: Mapping[str, str] = {}, host: str = "") -> dict[str, Any]:
    """Return the Compose file as data."""
    found = made(plan, environ)
    assert engine_problems(found, IMAGES, host) == []
    text = engine_files("compose", found, IMAGES, host, rootless=False)["compose.yaml"]
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def check_ports(found: Deployment) -> None:
    """Assert that all processes are started once, and are called where they listen."""
    by_name: dict[str, Settings] = {}
    hosts, published = {}, {}
    for container in found.containers:
        for name, own in started(found, container).items():
            assert name not in by_name
            by_name[name], hosts[name] = own, container.host
            published[name] = container.ports
        assert set(container.processes) <= by_name.keys()
    plan = next(iter(by_name.values())).plan or ()
    assert by_name.keys() == {"main", *(worker.name for worker in plan)}
    listening: dict[tuple[str, int], str] = {}
    for name, own in by_name.items():
        for kind in listener_kinds(own, None):
            one = listener(kind, own)
            if one.get("bind_addresses", []) != ["127.0.0.1"] and "port" in one:
                assert listening.setdefault((hosts[name], one["port"]), name) == name
    servers = re.findall(r"server (\S+) '([^']+):([0-9]+)'", proxy.configuration(found.routing))
    assert servers
    for name, host, port in servers:
        address = host.strip("[]"), int(port)
        assert listening[address] == name
        assert address[0] == hosts[name]
        assert address[1] in published[name]
    for own in by_name.values():
        for worker in ("main", *(other.name for other in plan)):
            kinds = listener_kinds(by_name[worker], None)
            if "replication" not in kinds:
                continue
            called = location(own, "" if worker == "main" else worker, hosts[worker])
            assert listening[hosts[worker], called["port"]] == worker
            if not own.is_local(worker):
                assert called["host"] == hosts[worker]
                assert called["port"] in published[worker]


@pytest.mark.parametrize(("workers", "limit"), [(31, None), (32, 33 * 64), (99, 100 * 64)])
def test_many_processes_may_have_their_threads(workers: int, limit: int | None) -> None:
    """Podman allows a container 2,048 process IDs, which are enough for 32 processes of 64."""
    plan = f"synchrotron:{workers}"
    service = compose(plan)["services"]["main"]
    assert service.get("pids_limit") == limit
    files = engine_files("quadlet", made(plan), IMAGES, "", rootless=False)
    unit = files["containers/systemd/synapse/synapse-main.container"]
    assert re.findall("^PidsLimit=(.*)$", unit, re.MULTILINE) == ([str(limit)] if limit else [])


def check_metrics(found: Deployment) -> None:
    """Assert that the metrics of each process are where the verb ``prometheus`` says."""
    plan = parse_plan(found.environ["SYNAPSE_WORKERS"], TABLE)
    texts = {one.environ["SYNAPSE_PROCESSES"] for one in found.containers}
    targets = scrape_targets(plan, "main", "all" if texts == {"all"} else "some")
    expected = {
        one["labels"]["instance"]: (int(one["targets"][0].rpartition(":")[2]), one["labels"])
        for one in targets
    }
    members = [member for one in found.containers for member in one.members]
    assert {one.name: (one.metrics_port, one.labels) for one in members} == expected


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    plan=plans(),
    environ=st.fixed_dictionaries(
        {},
        optional={
            "SYNAPSE_FEDERATION_TLS": st.sampled_from(["on", "off"]),
            "SYNAPSE_REPLICATION_HOST": st.sampled_from(["10.0.0.1", "[fd00::1]", "main.example"]),
            "SYNAPSE_PROCESSES": st.just("all"),
        },
    ),
    hosts=st.sampled_from(["as they are", "none", "one"]),
)
@example(  # The routes are in the order of the plan, not of the hosts.
    plan="ab=account_data@aa, a0a=generic_worker, aa=generic_worker", environ={}, hosts=""
)
def test_any_plan_is_started_as_a_whole(plan: str, environ: dict[str, str], hosts: str) -> None:
    """Each process listens where the proxy, the others and Prometheus look for it.

    With the variables of a container, the verb ``routes`` finds the same routes.
    """
    # Few workers, so that the test is fast.
    plan = re.sub("(?<=:[0-9])[0-9]", "", plan)
    if hosts == "none":
        plan = re.sub("@[^,]*", "", plan)
    elif hosts == "one":
        plan = re.sub("(?<=[a-z])(?=,|$)", "@a.example", re.sub("[@:][^,]*", "", plan))
    try:
        found = made(plan, environ)
    except ConfigError:
        assume(False)
        raise
    if not plan:
        assert [one.members for one in found.containers] == [()]
        return
    assert len(found.containers) == 1 or len({one.host for one in found.containers}) > 1
    check_ports(found)
    check_metrics(found)
    for container in found.containers:
        variables = {**found.environ, **container.environ}
        assert plan_routing(variables, found.environ["SYNAPSE_WORKERS"]) == found.routing


def test_all_processes_are_in_one_container() -> None:
    """Nothing but the proxy has to reach it."""
    found = made()
    (container,) = found.containers
    assert (container.name, container.host, container.media) == ("main", "main", True)
    assert dict(container.environ) == {"SYNAPSE_PROCESSES": "all"}
    assert container.ports == (8008, 18001, 18002, 18003, 18004)
    assert list(started(found, container)) == [
        "main",
        "synchrotron1",
        "synchrotron2",
        "typing",
        "media_repository",
    ]
    assert list(compose()["services"]) == ["postgres", "redis", "main", "proxy"]


def test_each_host_has_its_share() -> None:
    """It publishes what the proxy and the processes at other hosts need, and nothing else."""
    found = made(HOSTED, MAIN_HOST)
    assert [(one.name, one.host, dict(one.environ), one.ports) for one in found.containers] == [
        ("main", "10.0.0.1", {"SYNAPSE_PROCESSES": "main, pusher"}, (8008, 9093)),
        (
            "workers",
            "10.0.0.7",
            {"SYNAPSE_PROCESSES": "sync, typing"},
            (18001, 18002, 19502),
        ),
        ("workers", "10.0.0.8", {"SYNAPSE_PROCESSES": "media_repository"}, (18004, 19504)),
    ]
    assert [one.media for one in found.containers] == [False, False, True]
    check_ports(found)
    services = compose(HOSTED, MAIN_HOST, "10.0.0.7")["services"]
    assert list(services) == ["workers"]
    assert services["workers"]["ports"] == [
        f"10.0.0.7:{port}:{port}" for port in (18001, 18002, 19502)
    ]
    assert list(compose(HOSTED, MAIN_HOST, "10.0.0.1")["services"]) == ["main", "proxy"]


def test_one_machine_may_have_an_address() -> None:
    """Then PostgreSQL and Redis are the administrator's own, as in any plan with hosts."""
    found = made("typing, pusher@10.0.0.1", MAIN_HOST)
    (container,) = found.containers
    assert (container.host, container.ports) == ("10.0.0.1", (8008, 18001))
    assert found.hosts == ("10.0.0.1",)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_files_say_how_to_restart_one_process(engine: str) -> None:
    """An administrator finds the command in the file."""
    found = made()
    text = "".join(engine_files(engine, found, IMAGES, "", rootless=False).values())
    restart = "python3 -I /usr/lib/synapse-worker restart NAME"
    before = {"compose": "docker compose exec main", "quadlet": "podman exec synapse-main"}
    assert f"# {before[engine]} {restart}" in re.sub("# +", "# ", text)
    assert "5 processes" in text


def test_nothing_has_replicas() -> None:
    """The processes of a container have the names that the plan gives them."""
    found = deployment({}, PLAN, with_replicas=True, one_container=True)
    assert found == made()
    assert "SYNAPSE_WORKER_NAME_FROM" not in str(found)


def test_without_workers_the_main_process_is_an_ordinary_container() -> None:
    """There is nothing that it could share."""
    assert made("") == deployment({}, "")


def test_values_for_single_processes_are_possible() -> None:
    """The entrypoint reads them only in a container with several processes."""
    environ = {"SYNAPSE_LOG_LEVEL": "WARNING, typing=DEBUG"}
    found = made(environ=environ)
    levels = {name: one.log_level for name, one in started(found, found.containers[0]).items()}
    assert levels["typing"] == "DEBUG"
    assert levels["main"] == "WARNING"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_worker_may_have_the_name_of_a_service(engine: str) -> None:
    """Only containers need names that differ."""
    found = made("redis=typing, workers=pusher")
    assert engine_problems(found, IMAGES, "") == []
    assert engine_files(engine, found, IMAGES, "", rootless=True)
