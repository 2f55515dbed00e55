"""What cannot be combined with one container for all processes is refused, with its name."""

import pytest

from deploy.engines import engine_problems
from deploy.images import Images
from worker.deployment import deployment
from worker.errors import ConfigError

PLAN = "synchrotron:2, typing, media_repository"
HOSTED = "sync=synchrotron@10.0.0.7, typing@10.0.0.7, pusher@10.0.0.1, media_repository@10.0.0.8"
MAIN_HOST = {"SYNAPSE_REPLICATION_HOST": "10.0.0.1"}


@pytest.mark.parametrize(
    ("plan", "environ", "lines"),
    [
        (
            PLAN,
            {"SYNAPSE_PROCESSES": "typing"},
            [
                "SYNAPSE_PROCESSES='typing' contradicts --one-container, which takes the processes "
                "of each container from the hosts in the plan; unset it"
            ],
        ),
        (
            HOSTED,
            MAIN_HOST | {"SYNAPSE_PROCESSES": "all"},
            [
                "SYNAPSE_PROCESSES='all' contradicts --one-container, which takes the processes of "
                "each container from the hosts in the plan; unset it"
            ],
        ),
        (
            PLAN,
            {"SYNAPSE_UNIX_SOCKETS": "/sockets"},
            [
                "SYNAPSE_UNIX_SOCKETS='/sockets' contradicts --one-container, since the proxy is "
                "in another container; unset it"
            ],
        ),
        (
            "all=typing, pusher",
            {},
            [
                "SYNAPSE_WORKERS: all is the name of a worker, but stands for all processes "
                "in SYNAPSE_PROCESSES; give the worker another name"
            ],
        ),
        (
            PLAN,
            {"SYNAPSE_LOG_LEVEL": "INFO, synk=DEBUG"},
            [
                "SYNAPSE_LOG_LEVEL has a value for 'synk', which is not in SYNAPSE_WORKERS; "
                "correct the name"
            ],
        ),
        (
            "",
            {"SYNAPSE_PROCESSES": "all"},
            [
                "SYNAPSE_PROCESSES is set, but these files start each process in a container of "
                "its own; unset it"
            ],
        ),
    ],
)
def test_what_cannot_be_combined_is_named(
    plan: str, environ: dict[str, str], lines: list[str]
) -> None:
    """No files are printed for containers that would not start."""
    with pytest.raises(ConfigError) as caught:
        deployment(environ, plan, one_container=True)
    assert list(caught.value.problems) == lines


@pytest.mark.parametrize("value", ["all", ""])
def test_a_variable_that_says_the_same_is_accepted(value: str) -> None:
    """Those who give the verbs the variables of their containers get the same files."""
    environ = {"SYNAPSE_PROCESSES": value, "SYNAPSE_UNIX_SOCKETS": "off"}
    assert deployment(environ, PLAN, one_container=True) == deployment({}, PLAN, one_container=True)


def test_a_wrong_host_is_named() -> None:
    """As with a container for each process, the names of all processes are listed."""
    found = deployment({}, "sync=synchrotron@h, typing, pusher", one_container=True)
    assert engine_problems(found, Images(), "h") == [
        "SYNAPSE_REPLICATION_HOST is not set, but the plan names hosts; set it to the host of the "
        "main process",
        "SYNAPSE_WORKERS: typing, pusher have no host, but other processes do; add @HOST to each "
        "of them, or to none",
    ]
    found = deployment(MAIN_HOST, HOSTED, one_container=True)
    assert engine_problems(found, Images(), "x") == [
        "--host='x' is not a host of the plan; use one of 10.0.0.1, 10.0.0.7, 10.0.0.8"
    ]
