"""The alert rules of a plan, as the groups of a Prometheus rule file.

The format is that of
https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/, and that of the groups
of a PrometheusRule object of the Prometheus operator.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from deploy import process_alerts, work_alerts
from deploy.alert import Alert
from deploy.metrics import first_minor
from deploy.monitored import Monitored

PAGE = "docs/monitoring.md"  # Has a section for each alert.
# The groups by name: the alerts of each, and what it is about.
_GROUPS: Mapping[str, tuple[Callable[[Monitored], Iterator[Alert]], str]] = {
    "synapse-processes": (
        process_alerts.processes,
        "Processes; critical if no other process does the work of the one that is down.",
    ),
    "synapse-requests": (work_alerts.requests, "What users and other homeservers notice."),
    "synapse-database": (process_alerts.database, "PostgreSQL, as the processes see it."),
    "synapse-replication": (
        process_alerts.replication,
        "Communication between the processes, through Redis and requests.",
    ),
    "synapse-events": (work_alerts.events, "Persisting events."),
    "synapse-federation": (work_alerts.federation, "Other homeservers."),
    "synapse-consumers": (work_alerts.consumers, "Push gateways and application services."),
}


def alerts(monitored: Monitored) -> dict[str, list[Alert]]:
    """Return the alerts of a plan by group, with those whose metrics this Synapse lacks."""
    listed = {name: list(define(monitored)) for name, (define, _) in _GROUPS.items()}
    if not monitored.has_workers:
        del listed["synapse-replication"]
    return listed


def _absent(alert: Alert, monitored: Monitored) -> bool:
    """Return whether this Synapse lacks a metric of an alert."""
    return first_minor(alert.expression) > monitored.minor


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": alert.wait,
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "description": alert.action,
            "runbook": f"{PAGE}#{alert.name.lower()}",
        },
    }


def rule_groups(monitored: Monitored) -> list[dict[str, Any]]:
    """Return the groups of rules as plain data, without alerts whose metrics this Synapse lacks."""
    return [
        {
            "name": name,
            "rules": [_rule(alert) for alert in listed if not _absent(alert, monitored)],
        }
        for name, listed in alerts(monitored).items()
    ]


def _lines(group: dict[str, Any], comment: str) -> Iterator[str]:
    yield f"  # {comment}"
    yield f"  - name: {group['name']}"
    yield "    rules:"
    for rule in group["rules"]:
        yield f"      - alert: {rule['alert']}"
        yield "        expr: |-"
        yield from (f"          {line}" for line in rule["expr"].splitlines())
        yield f"        for: {rule['for']}"
        yield f"        labels: {{severity: {rule['labels']['severity']}}}"
        yield "        annotations:"
        for key, text in rule["annotations"].items():
            yield f"          {key}: {json.dumps(text)}"


def rule_file(monitored: Monitored) -> str:
    """Return a rule file for Prometheus: `rule_groups` as YAML, with comments."""
    lines = [
        "# Alerting rules for the processes of a Synapse homeserver, for rule_files in Prometheus.",
        "# They expect the labels job and instance of the targets that the verb prometheus prints.",
        f"# {PAGE} describes each alert.",
    ]
    lines += [
        f"# Without {alert.name}, which needs Synapse 1.{first_minor(alert.expression)} or newer."
        for listed in alerts(monitored).values()
        for alert in listed
        if _absent(alert, monitored)
    ]
    lines += ["groups:"]
    for group in rule_groups(monitored):
        lines += _lines(group, _GROUPS[group["name"]][1])
    return "\n".join(lines) + "\n"
