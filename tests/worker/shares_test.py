"""Several processes of a plan in one container: which, where they listen, and their own values."""

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.options import HELP
from testbed.site import PLANNED, make_data
from worker.documents import documents
from worker.errors import ConfigError
from worker.files import read_homeserver
from worker.routes import routes
from worker.settings import Settings, parse
from worker.shares import PER_PROCESS, WORKER_PORTS, own_values, ports_of
from worker.together import container_spec, process_spec, share_environs
from worker.worker_types import load_table

PLAN = "events=event_persister, sync=synchrotron:2, sender=federation_sender@10.0.0.7"
NAMES = ["main", "events", "sync1", "sync2", "sender"]
HOSTED = "events=event_persister@10.0.0.7, sync=synchrotron@10.0.0.7"
ALL = {"SYNAPSE_PROCESSES": "all", "SYNAPSE_WORKERS": PLAN}


def settings_of(environ: Mapping[str, str]) -> dict[str, Settings]:
    """Return the settings of each process of a container."""
    return {name: parse(one) for name, one in share_environs(environ).items()}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a valid /data folder for a plan."""
    return make_data(tmp_path_factory.mktemp("made") / "data", PLANNED)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("all", NAMES),
        ("sync2, main", ["main", "sync2"]),
        ("sender,events", ["events", "sender"]),
    ],
)
def test_the_order_is_that_of_the_plan(text: str, names: list[str]) -> None:
    """The main process is the first that starts."""
    environ = ALL | {"SYNAPSE_PROCESSES": text}

    assert list(share_environs(environ)) == names


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        (
            {"SYNAPSE_WORKERS": ""},
            [
                "SYNAPSE_PROCESSES='all' needs a plan; set SYNAPSE_WORKERS, or unset "
                "SYNAPSE_PROCESSES to run one process"
            ],
        ),
        (
            {"SYNAPSE_WORKER": "synapse.app.pusher", "SYNAPSE_WORKER_NAME": "sync1"},
            [
                f"{name} contradicts SYNAPSE_PROCESSES, which names the processes of this "
                "container; unset one of them"
                for name in ("SYNAPSE_WORKER", "SYNAPSE_WORKER_NAME")
            ],
        ),
        (
            {"SYNAPSE_LOG_LEVEL": "INFO, synk1=DEBUG", "SYNAPSE_PROCESSES": "main, main"},
            [
                "SYNAPSE_PROCESSES='main, main' names main twice; remove one",
                "SYNAPSE_LOG_LEVEL has a value for 'synk1', which is not in SYNAPSE_WORKERS; "
                "correct the name",
            ],
        ),
    ],
)
def test_what_cannot_be_together_is_named(changes: dict[str, str], lines: list[str]) -> None:
    """All problems are reported at once."""
    with pytest.raises(ConfigError) as error:
        share_environs(ALL | changes)

    assert list(error.value.problems) == lines


def test_no_two_listeners_have_the_same_address(data: Path) -> None:
    """This holds for ports and sockets, and includes the port at which the parent answers."""
    for changes in ({}, {"SYNAPSE_UNIX_SOCKETS": "off"}):
        environ = ALL | changes | {"SYNAPSE_DATA_DIR": str(data)}
        homeserver = read_homeserver(data / "homeserver.yaml")
        places = [
            one.get("path") or one["port"]
            for settings in settings_of(environ).values()
            for document in documents(homeserver, settings).values()
            for one in document.get("worker_listeners", [])
            + (document.get("listeners", []) if settings.process.is_main else [])
        ]
        assert len(set(places)) == len(places)
        assert load_table().ports["health"] not in places


@given(st.integers(1, 500))
def test_ports_never_collide(count: int) -> None:
    """In a plan of any size, no worker has a port of another one or of the main process."""
    plan = parse_many(count)
    ports = load_table().ports
    used = [*ports.values(), ports_of("", plan, ports)["health"]]
    for worker in (plan[0], plan[count // 2], plan[-1]):
        of_worker = ports_of(worker.name, plan, ports)
        used += {of_worker[kind] for kind in WORKER_PORTS}
    distinct = len({plan[0].name, plan[count // 2].name, plan[-1].name})

    assert len(set(used)) == len(ports) + 1 + len(WORKER_PORTS) * distinct


def parse_many(count: int):  # type: ignore[no-untyped-def]
    """Return a plan of ``count`` generic workers."""
    environ = {
        "SYNAPSE_WORKERS": f"w=generic_worker:{count}",
        "SYNAPSE_WORKER": "synapse.app.homeserver",
    }
    return parse(environ).plan


def test_processes_of_one_container_find_each_other_there(data: Path) -> None:
    """They use sockets if all are in this container, and otherwise loopback or the other hosts."""
    homeserver = read_homeserver(data / "homeserver.yaml")
    sync1 = settings_of(ALL)["sync1"]
    found = documents(homeserver, sync1)["homeserver.yaml"]["instance_map"]
    folder = "/synapse_runtime/sockets"
    assert found["main"] == {"path": f"{folder}/main.replication.sock"}
    assert found["events"] == {"path": f"{folder}/events.replication.sock"}

    some = settings_of(ALL | {"SYNAPSE_PROCESSES": "main, events, sync1"})["sync1"]
    found = documents(homeserver, some)["homeserver.yaml"]["instance_map"]
    assert found["main"] == {"host": "127.0.0.1", "port": 9093}
    assert found["events"] == {"host": "127.0.0.1", "port": 19501}
    assert found["sender"] == {"host": "10.0.0.7", "port": 19504}

    environ = {"SYNAPSE_PROCESSES": "sync2, sender", "SYNAPSE_REPLICATION_HOST": "10.0.0.1"}
    others = settings_of(ALL | environ)["sync2"]
    found = documents(homeserver, others)["homeserver.yaml"]["instance_map"]
    assert found["main"] == {"host": "10.0.0.1", "port": 9093}
    assert found["events"] == {"host": "events", "port": 19501}
    assert found["sender"] == {"host": "127.0.0.1", "port": 19504}


def test_values_of_single_processes() -> None:
    """A value for one process replaces the general one; if there is none, the default applies."""
    environ = ALL | {
        "SYNAPSE_LOG_LEVEL": "WARNING, sync1=DEBUG",
        "SYNAPSE_CPU_AFFINITY": "main=0x1",
        "SYNAPSE_OOM_SCORE": "sync2=7",
    }
    found = settings_of(environ)

    assert {name: one.log_level for name, one in found.items()} == {
        **dict.fromkeys(NAMES, "WARNING"),
        "sync1": "DEBUG",
    }
    assert {name: one.cpus for name, one in found.items() if one.cpus} == {"main": {0}}
    assert [one.oom_score for one in found.values()] == [100, 200, 200, 7, 200]


@given(st.dictionaries(st.sampled_from(PER_PROCESS), st.text(max_size=20)))
def test_values_without_names_are_kept(environ: dict[str, str]) -> None:
    """Whatever is wrong with them is reported as it was written."""
    plain = {name: text.replace("=", "") for name, text in environ.items()}

    assert own_values(plain | ALL, "sync1") == plain | ALL
    assert own_values(environ, "sync1") == environ


def test_the_spec_names_every_address(data: Path) -> None:
    """The parent needs the addresses, and cannot find them out for itself."""
    environ = ALL | {"SYNAPSE_DATA_DIR": str(data)}
    settings, homeserver = settings_of(environ), read_homeserver(data / "homeserver.yaml")
    files = {name: [Path(f"/{name}/worker.yaml"), Path("/log.yaml")] for name in settings}
    spec = container_spec(settings, homeserver, files)

    assert [one.name for one in spec.processes] == NAMES
    assert (spec.folder, spec.port, spec.bind_addresses) == ("/synapse_runtime", 8080, ("0.0.0.0",))
    sync1 = spec.processes[2]
    assert sync1.folder == "/synapse_runtime/processes/sync1"
    assert sync1.health.path == "/synapse_runtime/processes/sync1/health.sock"
    assert (sync1.metrics.host, sync1.metrics.port) == ("127.0.0.1", 19002)
    assert sync1.arguments == ("-c", "/sync1/worker.yaml")
    assert sync1.sockets == ("/synapse_runtime/sockets/sync1.client.sock", sync1.health.path)
    assert sync1.labels == {"instance": "sync1", "job": "synchrotron", "index": "1"}


def test_an_old_synapse_answers_health_on_loopback(data: Path) -> None:
    """That release has no Unix sockets."""
    settings = settings_of(ALL | {"SYNAPSE_UNIX_SOCKETS": "off"})["sync1"]
    old = parse(
        share_environs(ALL)["sync1"],
        table=type(settings.table)(**{**vars(settings.table), "version": "1.66.0"}),
    )
    spec = process_spec("sync1", old, read_homeserver(data / "homeserver.yaml"), [])

    assert (spec.health.host, spec.health.port) == ("127.0.0.1", 17502)


def test_routes_lead_to_sockets_or_ports() -> None:
    """The sockets or ports are those of the container with all processes, or of each host."""
    options = dict.fromkeys(HELP)
    found = json.loads(routes(ALL, Namespace(format="json", plan=PLAN, **options)))
    assert '"socket": "/synapse_runtime/sockets/sync2.client.sock"' in json.dumps(found)

    environ = {"SYNAPSE_PROCESSES": "all", "SYNAPSE_UNIX_SOCKETS": "off"}
    found = json.loads(
        routes(
            environ | {"SYNAPSE_REPLICATION_HOST": "synapse"},
            Namespace(format="json", plan=PLAN, **options),
        )
    )
    server = {"name": "sync2", "host": "synapse", "port": 18003}
    assert any(server.items() <= one.items() for row in found["routes"] for one in row["servers"])
