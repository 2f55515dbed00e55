"""A real Prometheus scrapes two homeservers with the targets and rules that the image prints."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from deploy.metrics import METRICS
from testbed.homeserver import Homeserver, Parts
from tests.e2e.people import Person, until
from tests.e2e.promql import Selector
from tests.e2e.watched import Watched, watch

# Counters without a series until something fails; their names are in the metrics nevertheless.
FAILURES = {
    "synapse_appservice_api_failed_transactions_total",
    "synapse_http_httppusher_http_pushes_failed_total",
    "synapse_notifier_wait_for_stream_token_timeouts_total",
}
# Alerts that fire only if something is broken, however slow this machine is.
BROKEN = {
    "SynapseMainDown",
    "SynapseWorkerDown",
    "SynapseNotScraped",
    "SynapseRestarting",
    "SynapseVersionsDiffer",
    "SynapseFilesExhausted",
    "SynapseDatabaseUpdateAborted",
    "SynapseReplicationDown",
    "SynapseReplicationLag",
    "SynapsePushFails",
    "SynapseAppserviceFails",
}


@pytest.fixture(scope="module")
def watched(
    parts: Parts, first: Homeserver, second: Homeserver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Watched]]:
    """Yield both homeservers once Prometheus has scraped all their processes."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                watch(homeserver, parts.services, tmp_path_factory.mktemp("prometheus"))
            )
            for homeserver in (first, second)
        ]


def test_every_rule_can_be_evaluated(watched: list[Watched]) -> None:
    """Prometheus finds no error in them with real series, such as a match of many to many."""
    for one in watched:
        assert one.errors() == {}


def test_every_query_of_the_dashboard_can_be_evaluated(watched: list[Watched]) -> None:
    """The same for the dashboard."""
    for one in watched:
        for query in one.queries:
            one.prometheus.query(query)


def test_every_series_that_is_named_exists(
    watched: list[Watched], second: Homeserver, alice: Person, carol: Person
) -> None:
    """With the labels that are named, and on the processes that the plan names for them.

    The first homeserver has an application service and a pusher, and the second an event
    persister; a series must exist on one of them.
    """
    for person in (alice, carol):
        path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
        person.homeserver.call("POST", path, {"lists": {}}, person.token)

    def missing() -> list[Selector]:
        exist, named = set(), {}
        for one in watched:
            for selector in one.selectors:
                key = (selector.metric, selector.matchers)
                named[key] = selector
                text = selector.text(any_value=any("code" in part for part in selector.matchers))
                if key not in exist and one.prometheus.query(f"count({text})"):
                    exist.add(key)
        return [selector for key, selector in named.items() if key not in exist]

    # Synapse updates some metrics every 30 s.
    deadline = time.monotonic() + 40
    while (absent := [one for one in missing() if one.metric not in FAILURES]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.5)
    assert absent == []
    text = second.metrics("background")
    assert {name for name in FAILURES if f"# TYPE {name} counter\n" not in text} == set()


def test_every_metric_of_the_table_is_used(watched: list[Watched]) -> None:
    """And so every one of them was found in a running process."""
    used = {selector.metric for one in watched for selector in one.selectors}
    assert used == METRICS.keys()


def test_no_alert_fires_while_nothing_is_broken(watched: list[Watched]) -> None:
    """Alerts about the load depend on the machine, and are not looked at."""
    for one in watched:
        assert {alert for alert in one.prometheus.firing() if alert[0] in BROKEN} == set()


def test_a_worker_that_hangs_is_reported_until_it_is_back(
    watched: list[Watched], second: Homeserver
) -> None:
    """Its metrics are served by the thread that hangs, so it counts as down."""
    prometheus = watched[1].prometheus
    alert = ("SynapseWorkerDown", "generic")
    process = second.processes["generic"]
    process.signal(signal.SIGSTOP)
    try:
        until(lambda: alert in prometheus.firing(), "the alert fires")
        broken = {name for name, _ in prometheus.firing() if name in BROKEN}
        assert broken == {"SynapseWorkerDown"}
    finally:
        process.signal(signal.SIGCONT)
    until(lambda: alert not in prometheus.firing(), "the alert is resolved")
    second.wait_healthy("generic")
