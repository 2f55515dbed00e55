"""What the files for all container engines have in common, and bad input."""

import io
import re
import tarfile

import pytest

from deploy.engines import ENGINES, archive, engine_problems
from deploy.images import Images
from tests.deploy.engine_plans import IMAGES, files
from worker.deployment import deployment
from worker.errors import ConfigError


@pytest.mark.parametrize("engine", ENGINES)
def test_redis_answers_other_containers(engine: str) -> None:
    """In its protected mode, a Redis without a password answers only its own host."""
    (line,) = [
        line for text in files(engine).values() for line in text.splitlines() if "--save" in line
    ]
    assert re.search(r"--protected-mode\"?,? \"?no", line)


@pytest.mark.parametrize(("engine", "replicas"), [("compose", 10), ("quadlet", 2)])
def test_postgresql_has_connections_for_all_processes(engine: str, replicas: int) -> None:
    """Each process may open ten; of replicas, there may be more than the plan says."""
    texts = files(engine, "synchrotron:2, media_repository:30").values()
    (connections,) = [
        number for text in texts for number in re.findall("max_connections=([0-9]+)", text)
    ]
    assert int(connections) == 10 * (1 + replicas + 30) + 20


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
    """Without them, engines would take its last group for a port."""
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
        (
            "typing@h",
            {"SYNAPSE_REPLICATION_HOST": "m"},
            "h",
            [
                "--host='h' is a name, but engines publish ports only at addresses; use the host's "
                "IP address in SYNAPSE_WORKERS and SYNAPSE_REPLICATION_HOST"
            ],
        ),
        # A pusher has no ports that others reach.
        ("pusher@h", {"SYNAPSE_REPLICATION_HOST": "m"}, "h", []),
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
        f"--image={image!r} is not an image reference; use HOST/NAME:TAG or HOST/NAME@sha256:DIGEST"
    ]


@pytest.mark.parametrize("name", ["postgres", "Redis", "proxy"])
def test_a_worker_with_the_name_of_a_service_is_refused(name: str) -> None:
    """Each container needs a name of its own, which some engines compare without case."""
    assert engine_problems(deployment({}, f"{name}=typing"), IMAGES, "") == [
        f"SYNAPSE_WORKERS: {name} is the name of a worker and of the container of "
        f"{name.lower()}; give the worker another name"
    ]


def test_two_processes_at_one_host_are_refused() -> None:
    """The ports of a host can be published once."""
    with pytest.raises(ConfigError, match="have the same address"):
        deployment({"SYNAPSE_REPLICATION_HOST": "m"}, "synchrotron@h, client_reader@h")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_archive_depends_on_the_plan_alone(engine: str) -> None:
    """It can be kept in a repository and compared."""
    first = archive(files(engine))
    assert first == archive(files(engine))
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        members = tar.getmembers()
    assert [one.name for one in members] == sorted(files(engine))
    assert {(one.mtime, one.uid, one.gid, one.mode) for one in members} == {(0, 0, 0, 0o644)}
