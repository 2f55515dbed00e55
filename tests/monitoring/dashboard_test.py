"""The dashboard of a plan: what Grafana would refuse or show wrongly, and its queries."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.dashboard import dashboard, dashboard_file
from deploy.metrics import METRICS, used_metrics
from deploy.monitored import Monitored
from tests.deploy.random_plans import TABLE, plans
from tests.monitoring.alert_cases import PLAN
from tests.monitoring.promtool import promtool
from worker.errors import ConfigError
from worker.monitoring import monitored
from worker.plan import parse_plan

_ERAS = [66, 98, 144, 1 << 30]
# What Grafana replaces in queries; the last one is its own.
VARIABLES = {"job": ".+", "instance": ".+", "__rate_interval": "5m"}


def of(plan: str, minor: int = _ERAS[-1]) -> Monitored:
    """Return what runs for a plan with a version of Synapse."""
    return replace(monitored(parse_plan(plan, TABLE), TABLE), minor=minor)


def queries(document: dict[str, Any]) -> Iterator[str]:
    """Yield the queries of all panels."""
    for panel in document["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


def overlaps(panels: list[dict[str, Any]]) -> list[str]:
    """Return the titles of the panels that cover a part of the grid that is covered already."""
    covered: set[tuple[int, int]] = set()
    found = []
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        if cells & covered or place["x"] + place["w"] > 24:
            found.append(panel["title"])
        covered |= cells
    return found


def check(watched: Monitored) -> None:
    """Assert what holds for the dashboard of any plan."""
    document = dashboard(watched)
    assert json.loads(dashboard_file(watched)) == document
    panels = document["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    assert overlaps(panels) == []
    titles = [(panel["type"], panel["title"]) for panel in panels]
    assert len(set(titles)) == len(titles)
    # A row without a panel would be a heading of nothing.
    kinds = [panel["type"] for panel in panels]
    assert ("row", "row") not in zip(kinds, [*kinds[1:], "row"], strict=True)
    names = {variable["name"] for variable in document["templating"]["list"]}
    assert names == {"datasource", "job", "instance"}
    for query in queries(document):
        assert set(re.findall(r"\$(\w+)", query)) <= VARIABLES.keys(), query
        assert used_metrics(query), query
        assert all(METRICS[name] <= watched.minor for name in used_metrics(query)), query
    sources = re.findall(r'"uid": "([^"]*)"', json.dumps(panels))
    assert set(sources) == {"${datasource}"}


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(plan=plans(), minor=st.sampled_from(_ERAS))
def test_the_dashboard_of_any_plan_is_well_formed(plan: str, minor: int) -> None:
    """Panels have places of their own, and use only known metrics and variables."""
    try:
        watched = of(plan, minor)
    except ConfigError:
        return
    check(watched)


def filled(query: str) -> str:
    """Return a query with values for its variables."""
    return re.sub(r"\$(\w+)", lambda match: VARIABLES[match[1]], query)


@pytest.mark.parametrize("plan", ["", PLAN], ids=["main alone", "workers"])
def test_promtool_accepts_every_query(plan: str, tmp_path: Path) -> None:
    """Each query becomes a recording rule, which must be valid PromQL."""
    rules = [
        {"record": f"query:{number}", "expr": filled(query)}
        for number, query in enumerate(queries(dashboard(of(plan))))
    ]
    assert len(rules) > 30
    text = yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]})
    promtool(tmp_path / "queries", {"rules.yml": text}, "check", "rules", "rules.yml")


def test_the_rows_follow_from_the_plan() -> None:
    """Without workers, there is no replication."""

    def rows(watched: Monitored) -> list[str]:
        return [one["title"] for one in dashboard(watched)["panels"] if one["type"] == "row"]

    assert set(rows(of(PLAN))) - set(rows(of(""))) == {"Replication"}
    text = dashboard_file(of("federation_sender, media_repository"))
    assert 'pending_pdus{job=\\"federation_sender\\"}' in text
    assert "Processes up, of 3" in text


def test_panels_without_their_metrics_are_left_out() -> None:
    """An empty panel would look as if nothing happened."""

    def titles(minor: int) -> set[str]:
        return {panel["title"] for panel in dashboard(of(PLAN, minor))["panels"]}

    assert titles(1 << 30) - titles(66) == {
        "Sliding sync",
        "Background updates",
        "Behind the most advanced process",
        "Device lists not yet converted",
    }


def test_overlaps_are_found() -> None:
    """The check of the grid would notice a panel over another one, or beyond the last column."""
    place = {"h": 8, "w": 12, "x": 0, "y": 0}
    panels = [
        {"title": "a", "gridPos": place},
        {"title": "b", "gridPos": place | {"y": 7}},
        {"title": "c", "gridPos": place | {"x": 13, "y": 20}},
    ]
    assert overlaps(panels) == ["b", "c"]
