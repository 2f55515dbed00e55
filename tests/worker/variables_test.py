"""The entrypoint's message for each wrong variable."""

import pytest

from worker.errors import ConfigError
from worker.settings import Settings, parse


def settings(**variables: str) -> Settings:
    """Parse ``variables`` on top of the complete variables of a pusher."""
    base = {
        "SYNAPSE_WORKER": "synapse.app.pusher",
        "SYNAPSE_REPLICATION_HOST": "main",
        "SYNAPSE_HOSTNAME": "host-1",
    }
    return parse(base | variables)


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        (
            {"SYNAPSE_WORKER": "bogus"},
            "SYNAPSE_WORKER='bogus' is not a worker_app or worker type; choose",
        ),
        ({"SYNAPSE_WORKER": ""}, "SYNAPSE_WORKER is not set; choose one of synapse.app.appservice"),
        ({"SYNAPSE_WORKER": "synapse.app.Pusher"}, "SYNAPSE_WORKER='synapse.app.Pusher' is not"),
        (
            {"SYNAPSE_REPLICATION_HOST": ""},
            "SYNAPSE_REPLICATION_HOST is not set; set it to the host",
        ),
        ({"SYNAPSE_REPLICATION_HOST": "http://a"}, "SYNAPSE_REPLICATION_HOST='http://a' is a URL"),
        ({"SYNAPSE_REPLICATION_HOST": "a b"}, "SYNAPSE_REPLICATION_HOST='a b' is not a host name"),
        ({"SYNAPSE_LOG_LEVEL": "banana"}, "SYNAPSE_LOG_LEVEL='banana' is not a log level; choose"),
        ({"SYNAPSE_LOG_LEVEL": "10"}, "SYNAPSE_LOG_LEVEL='10' is not a log level; choose one of"),
        ({"SYNAPSE_CPU_AFFINITY": "abc"}, "SYNAPSE_CPU_AFFINITY='abc' is not a CPU mask; use a"),
        ({"SYNAPSE_CPU_AFFINITY": "0"}, "SYNAPSE_CPU_AFFINITY='0' is not a CPU mask; use a"),
        ({"SYNAPSE_CPU_AFFINITY": "-1"}, "SYNAPSE_CPU_AFFINITY='-1' is not a CPU mask; use a"),
        (
            {"UID": "root"},
            "UID='root' is not a number from 1 to 999999999; use one, for example 991",
        ),
        ({"UID": "0"}, "UID='0' is not a number from 1 to 999999999; use one, for example 991"),
        ({"GID": "-5"}, "GID='-5' is not a number from 1 to 999999999; use one, for example 991"),
        ({"SYNAPSE_JEMALLOC": "maybe"}, "SYNAPSE_JEMALLOC='maybe' is neither on nor off; use one"),
        ({"SYNAPSE_LOG_FORMAT": "xml"}, "SYNAPSE_LOG_FORMAT='xml' is neither text nor json; use"),
        ({"SYNAPSE_FEDERATION_TLS": "1"}, "SYNAPSE_FEDERATION_TLS='1' is neither on nor off; use"),
        ({"SYNAPSE_X_FORWARDED": "on"}, "SYNAPSE_X_FORWARDED='on' is none of client, all, off"),
        (
            {"SYNAPSE_BIND_ADDRESSES": "a"},
            "SYNAPSE_BIND_ADDRESSES='a' contains 'a', which is not an IP",
        ),
        (
            {"SYNAPSE_BIND_ADDRESSES": "::,"},
            "SYNAPSE_BIND_ADDRESSES='::,' contains '', which is not an IP",
        ),
        ({"SYNAPSE_WAIT_SECONDS": "-1"}, "SYNAPSE_WAIT_SECONDS='-1' is not a number of seconds"),
        ({"SYNAPSE_WAIT_SECONDS": "1e3"}, "SYNAPSE_WAIT_SECONDS='1e3' is not a number of seconds"),
        ({"SYNAPSE_HOSTNAME": "a\nb"}, "SYNAPSE_HOSTNAME='a\\nb' is not a printable line of at"),
        ({"SYNAPSE_DATA_DIR": "data"}, "SYNAPSE_DATA_DIR='data' is not an absolute path; use one"),
        (
            {"SYNAPSE_REPLICATION_SECRET": "hunter2"},
            "SYNAPSE_REPLICATION_SECRET is neither on nor off; to use your own secret, write it to "
            "a file and set SYNAPSE_REPLICATION_SECRET_FILE to its path",
        ),
        (
            {
                "SYNAPSE_REPLICATION_SECRET": "off",
                "SYNAPSE_REPLICATION_SECRET_FILE": "/run/secret",
            },
            "SYNAPSE_REPLICATION_SECRET_FILE contradicts SYNAPSE_REPLICATION_SECRET=off; unset",
        ),
        (
            {"SYNAPSE_WORKER": "pusher+"},
            "SYNAPSE_WORKER='pusher+' is not a worker_app or worker type;",
        ),
        ({"SYNAPSE_WORKER": "pusher+pusher"}, "SYNAPSE_WORKER='pusher+pusher' is not a worker"),
        (
            {"SYNAPSE_WORKERS": "typing, a=typing"},
            "SYNAPSE_WORKERS: typing, a all have the worker type typing, which only one worker may",
        ),
        (
            {"SYNAPSE_WORKERS": "a=pusher, a=typing"},
            "SYNAPSE_WORKERS: the name a is given 2 times; workers with the same name ignore ",
        ),
        (
            {"SYNAPSE_WORKERS": "bogus"},
            "SYNAPSE_WORKERS: 'bogus' is not a worker_app or worker type; choose one of synapse.",
        ),
        (
            {"SYNAPSE_WORKERS": "synapse.app.homeserver"},
            "SYNAPSE_WORKERS: 'synapse.app.homeserver' is the main process, which is always "
            "included",
        ),
        (
            {"SYNAPSE_WORKERS": "pusher:many"},
            "SYNAPSE_WORKERS: 'pusher:many': 'many' is not a count from 1 to 500",
        ),
        (
            {"SYNAPSE_WORKERS": "pusher:0"},
            "SYNAPSE_WORKERS: 'pusher:0': '0' is not a count from 1 to 500",
        ),
        (
            {"SYNAPSE_WORKERS": "main=pusher"},
            "SYNAPSE_WORKERS: 'main' is not a valid worker name; use at most 64 characters of A-Z",
        ),
        (
            {"SYNAPSE_WORKERS": "pusher:2@host"},
            "SYNAPSE_WORKERS: 'pusher:2@host': 'host' would be the host of several workers; write",
        ),
        (
            {"SYNAPSE_WORKERS": "pusher@a b"},
            "SYNAPSE_WORKERS: 'pusher@a b': 'a b' is not a host name; use labels of at most 63",
        ),
        (
            {"SYNAPSE_WORKERS": "a=b=c"},
            "SYNAPSE_WORKERS: 'a=b=c' is not a valid entry; write "
            "[NAME=]TYPE[+TYPE...][:COUNT][@HOST]",
        ),
        (
            {"SYNAPSE_WORKERS": "synchrotron"},
            "SYNAPSE_WORKER_NAME is not set, and SYNAPSE_WORKERS has no worker of this type; add",
        ),
        (
            {"SYNAPSE_WORKERS": "pusher:2"},
            "SYNAPSE_WORKER_NAME is not set, and SYNAPSE_WORKERS has 2 workers of this type; "
            "choose one of",
        ),
        (
            {"SYNAPSE_WORKERS": "pusher", "SYNAPSE_WORKER_NAME": "x"},
            "SYNAPSE_WORKER_NAME='x' is not in SYNAPSE_WORKERS; choose one of pusher",
        ),
        (
            {"SYNAPSE_WORKERS": "a=typing", "SYNAPSE_WORKER_NAME": "a"},
            "SYNAPSE_WORKER='synapse.app.pusher' contradicts SYNAPSE_WORKERS, where a is typing",
        ),
        ({"SYNAPSE_WORKER_NAME": "main"}, "SYNAPSE_WORKER_NAME='main' is reserved for the main"),
        ({"SYNAPSE_WORKER_NAME": "master"}, "SYNAPSE_WORKER_NAME='master' is reserved for the"),
        ({"SYNAPSE_WORKER_NAME": "a/b"}, "SYNAPSE_WORKER_NAME='a/b' is not a valid worker name"),
        (
            {"SYNAPSE_WORKER": "homeserver", "SYNAPSE_WORKER_NAME": "one"},
            "SYNAPSE_WORKER_NAME='one' is set for the main process, which would then send requests "
            "to itself",
        ),
    ],
)
def test_a_wrong_variable_is_named_with_its_value(variables: dict[str, str], problem: str) -> None:
    """The message alone must tell the operator what to change."""
    with pytest.raises(ConfigError) as caught:
        settings(**variables)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(problem)


def test_all_wrong_variables_are_reported_at_once() -> None:
    """Otherwise the operator would have to restart the container once per mistake."""
    with pytest.raises(ConfigError) as caught:
        settings(SYNAPSE_WORKER="x", UID="x", GID="x", SYNAPSE_LOG_LEVEL="x")
    assert len(caught.value.problems) == 4
