"""The dashboard of a plan, for Grafana.

The format is that of
https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from deploy import process_panels, work_panels
from deploy.metrics import first_minor
from deploy.monitored import Monitored, matcher
from deploy.panel import Panel, Query

_SCHEMA_VERSION = 42  # Grafana 12; older ones show it too, and newer ones convert it.
_HEIGHT, _WIDTH, _COLUMNS = 8, 12, 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def _rows(monitored: Monitored) -> Iterator[tuple[str, Iterator[Panel]]]:
    """Yield the rows of a plan, each with its title and panels, whatever this Synapse has."""
    yield "Overview", work_panels.overview(monitored)
    yield "Processes", process_panels.processes()
    yield "Requests", work_panels.requests(monitored)
    yield "Events", work_panels.events(monitored)
    if monitored.has_workers:
        yield "Replication", process_panels.replication()
    yield "Database", process_panels.database()
    yield "Caches", process_panels.caches()
    yield "Federation", work_panels.federation(monitored)
    yield "Push notifications and application services", work_panels.consumers(monitored)


def _target(number: int, query: Query) -> dict[str, Any]:
    return {
        "datasource": _SOURCE,
        "editorMode": "code",
        "expr": query.expression,
        "legendFormat": query.legend,
        "range": True,
        "refId": chr(ord("A") + number),
    }


def _options(panel: Panel) -> dict[str, Any]:
    if panel.visualization == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "value_and_name"}
    if panel.visualization == "state-timeline":
        return {"showValue": "never", "legend": {"showLegend": False}}
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    if panel.visualization == "state-timeline":
        steps = [{"color": "red", "value": None}, {"color": "green", "value": 1}]
        return {
            "color": {"mode": "thresholds"},
            "thresholds": {"mode": "absolute", "steps": steps},
        }
    if panel.visualization == "stat":
        return {"unit": panel.unit}
    return {"unit": panel.unit, "custom": {"fillOpacity": 0, "showPoints": "never"}}


def _panel(panel: Panel, queries: Sequence[Query], place: dict[str, int]) -> dict[str, Any]:
    return {
        "type": panel.visualization,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
        "targets": [_target(number, query) for number, query in enumerate(queries)],
    }


def _panels(monitored: Monitored) -> Iterator[dict[str, Any]]:
    """Yield the rows and panels, two panels beside each other."""
    y = 0
    for title, panels in _rows(monitored):
        yield {
            "type": "row",
            "title": title,
            "collapsed": False,
            "gridPos": {"h": 1, "w": _COLUMNS, "x": 0, "y": y},
            "panels": [],
        }
        y += 1
        x = 0
        for panel in panels:
            queries = [
                one for one in panel.queries if first_minor(one.expression) <= monitored.minor
            ]
            if queries:
                yield _panel(panel, queries, {"h": _HEIGHT, "w": _WIDTH, "x": x, "y": y})
                x += _WIDTH
                if x == _COLUMNS:
                    x, y = 0, y + _HEIGHT
        y += _HEIGHT if x else 0


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    """Return a variable with the values of a label, from which the reader can choose several."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "current": {"text": ["All"], "value": ["$__all"]},
        "includeAll": True,
        "multi": True,
        "refresh": 2,  # Whenever the range of time changes.
        "sort": 1,
    }


def dashboard(monitored: Monitored) -> dict[str, Any]:
    """Return the dashboard of a plan as plain data."""
    targets = f"up{{{matcher(monitored.jobs)}}}"
    source = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
    }
    alerts = {
        "name": "Alerts",
        "datasource": _SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertname=~"Synapse.+", alertstate="firing"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{instance}}",
    }
    return {
        "uid": "synapse-plan",
        "title": "Synapse",
        "tags": ["synapse"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,  # One cross hair for all panels.
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "annotations": {"list": [alerts]},
        "templating": {
            "list": [
                source,
                _variable("job", "Worker types", f"label_values({targets}, job)"),
                _variable("instance", "Processes", 'label_values(up{job=~"$job"}, instance)'),
            ]
        },
        "panels": [
            {"id": number} | panel for number, panel in enumerate(_panels(monitored), start=1)
        ],
    }


def dashboard_file(monitored: Monitored) -> str:
    """Return the dashboard as JSON, to be imported or provisioned."""
    return json.dumps(dashboard(monitored), indent=1) + "\n"
