"""Homeservers that a real Prometheus scrapes with the targets and rules that the image prints."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed import services
from testbed.homeserver import Homeserver
from testbed.layout import MAIN
from tests.e2e.people import until
from tests.e2e.promql import Prometheus, Selector, selectors

LOOK_BACK = "3s"
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
    dashboard: dict[str, Any] = field(repr=False)

    def is_up(self) -> bool:
        """Return whether Prometheus has scraped every process."""
        return self.prometheus.up() == dict.fromkeys(self.homeserver.layout.names, "up")

    def has_a_past(self) -> bool:
        """Return whether there are series for the rules that look back."""
        return bool(self.prometheus.query(f"up offset {LOOK_BACK}"))

    def errors(self) -> dict[str, str]:
        """Return the errors of the rules by the name of the alert.

        Raises:
            AssertionError: if a rule cannot be evaluated now.
        """
        rules = self.prometheus.rules()
        for rule in rules:
            self.prometheus.query(rule["query"])
        return {rule["name"]: rule["lastError"] for rule in rules if rule.get("lastError")}

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


@contextmanager
def watch(homeserver: Homeserver, services_root: Path, folder: Path) -> Iterator[Watched]:
    """Scrape a homeserver; yield once all its processes have been scraped for some seconds.

    The alerts fire after a second, and look back for only a few, so that tests need not wait for
    minutes.

    Args:
        homeserver: the homeserver.
        services_root: the root with Prometheus.
        folder: an empty folder for its state and log.
    """
    rules = re.sub("for: [0-9]+m", "for: 1s", printed(homeserver, "alerts"))
    rules = re.sub("offset [0-9]+m", f"offset {LOOK_BACK}", rules)
    targets = printed(homeserver, "prometheus")
    dashboard = json.loads(printed(homeserver, "dashboard"))
    address = f"127.{homeserver.layout.number}.0.7"
    process = services.prometheus(services_root, folder, address, targets, rules)
    try:
        watched = Watched(homeserver, Prometheus(address), dashboard)
        until(watched.is_up, "all targets are up")
        until(watched.has_a_past, "it has been up for some seconds")
        yield watched
    finally:
        print(f"----- prometheus\n{process.tail(10)}")
        process.kill()
