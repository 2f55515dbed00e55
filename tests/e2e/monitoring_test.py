"""A real Prometheus scrapes two homeservers with the targets and rules that the image prints."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from deploy.metrics import METRICS, SCRAPE_METRICS
from testbed import services
from testbed.homeserver import Homeserver, Parts
from testbed.layout import MAIN
from tests.e2e.people import Person, until
from tests.e2e.promql import Prometheus, Selector, selectors

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
VARIABLES = {"job": ".+", "instance": ".+", "__rate_interval": "5m"}


@dataclass(frozen=True)
class Watched:
    """A homeserver that is scraped.

    Attributes:
        homeserver: the homeserver.
        prometheus: the Prometheus that scrapes it.
        dashboard: its dashboard.
    """

    homeserver: Homeserver
    prometheus: Prometheus
    dashboard: dict[str, Any]

    def is_up(self) -> bool:
        """Return whether Prometheus has scraped every process."""
        return self.prometheus.up() == dict.fromkeys(self.homeserver.layout.names, "up")

    @property
    def queries(self) -> list[str]:
        """The queries of its dashboard, with values for their variables."""
        return [
            re.sub(r"\$(\w+)", lambda match: VARIABLES[match[1]], target["expr"])
            for panel in self.dashboard["panels"]
            for target in panel.get("targets", ())
        ]

    @property
    def selectors(self) -> set[Selector]:
        """The selectors of its rules and its dashboard."""
        rules = [rule["query"] for rule in self.prometheus.rules()]
        return {found for text in rules + self.queries for found in selectors(text)}


def printed(homeserver: Homeserver, verb: str) -> str:
    """Return what a verb of the image prints for the plan of a homeserver."""
    layout = homeserver.layout
    environ = {"SYNAPSE_REPLICATION_HOST": layout.host_of(MAIN)}
    done = subprocess.run(
        homeserver.command(MAIN, verb, layout.plan_text, environ=environ),
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def watched(
    parts: Parts, first: Homeserver, second: Homeserver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Watched]]:
    """Yield both homeservers once Prometheus has scraped all their processes.

    The alerts fire after a second, so that the tests need not wait for minutes.
    """
    found, processes = [], []
    try:
        for homeserver in (first, second):
            number = homeserver.layout.number
            folder = tmp_path_factory.mktemp(f"prometheus{number}")
            rules = re.sub("for: [0-9]+m", "for: 1s", printed(homeserver, "alerts"))
            address = f"127.{number}.0.7"
            targets = printed(homeserver, "prometheus")
            processes.append(services.prometheus(parts.services, folder, address, targets, rules))
            dashboard = json.loads(printed(homeserver, "dashboard"))
            found.append(Watched(homeserver, Prometheus(address), dashboard))
        for one in found:
            until(one.is_up, "all targets are up")
        yield found
    finally:
        for process in processes:
            print(f"----- prometheus\n{process.tail(10)}")
            process.kill()


def test_every_rule_can_be_evaluated(watched: list[Watched]) -> None:
    """Prometheus finds no error in them with real series, such as a match of many to many."""
    for one in watched:

        def evaluated(prometheus: Prometheus = one.prometheus) -> bool:
            return all(not rule["lastEvaluation"].startswith("0001") for rule in prometheus.rules())

        until(evaluated, "all rules are evaluated")
        health = {
            rule["name"]: rule.get("lastError", "")
            for rule in one.prometheus.rules()
            if rule["health"] != "ok"
        }
        assert health == {}


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
    assert SCRAPE_METRICS <= used


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
