"""docs/monitoring.md describes every alert that the verb ``alerts`` can print, and no other."""

import re
from pathlib import Path

import pytest
import yaml

from deploy.alert import Alert
from deploy.alerts import PAGE, alerts
from worker.monitoring import monitored
from worker.plan import parse_plan
from worker.worker_types import load_table

WORKSPACE = Path(__file__).resolve().parents[2]
TEXT = (WORKSPACE / PAGE).read_text()
TABLE = load_table()
# A worker that no other can replace, and one that others can.
WATCHED = monitored(parse_plan("typing, synchrotron", TABLE), TABLE)


def described() -> dict[str, str]:
    """Return the section of each alert by its name."""
    parts = re.split(r"^#{2,3} (.+)$", TEXT, flags=re.MULTILINE)[1:]
    sections = zip(parts[::2], parts[1::2], strict=True)
    return {name: text for name, text in sections if name.startswith("Synapse")}


def by_name() -> dict[str, list[Alert]]:
    """Return the alerts by name, in the order of the rules."""
    found: dict[str, list[Alert]] = {}
    for listed in alerts(WATCHED).values():
        for alert in listed:
            found.setdefault(alert.name, []).append(alert)
    return found


def test_every_alert_has_a_section() -> None:
    """The annotation `runbook` of an alert names its section."""
    assert list(described()) == list(by_name())


@pytest.mark.parametrize("name", list(by_name()))
def test_a_section_says_what_the_rule_says(name: str) -> None:
    """It begins with severity and time, and ends with what to do."""
    paragraphs = [" ".join(part.split()) for part in described()[name].strip().split("\n\n")]
    same = by_name()[name]
    times = ", or ".join(f"{alert.severity} after {alert.wait}" for alert in same)
    assert paragraphs[0] == f"{times.capitalize()}."
    assert len(paragraphs) == 3
    assert {alert.action for alert in same} == {paragraphs[2]}


def test_the_configuration_is_yaml_with_names_that_exist() -> None:
    """Each part of it can be pasted."""
    scrape, by_dns, inhibition = (
        yaml.safe_load(part) for part in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    )
    assert scrape["scrape_configs"][0]["metrics_path"] == "/_synapse/metrics"
    (name,) = re.findall(r"prometheus --compose .* > ([a-z.]+)`", TEXT)
    assert by_dns["scrape_config_files"] == [f"/etc/prometheus/{name}"]
    (rule,) = inhibition["inhibit_rules"]
    names = by_name()
    assert rule["source_matchers"] == ["alertname = SynapseMainDown"]
    assert "SynapseMainDown" in names
    (ends,) = re.findall(r"\((.*)\)", rule["target_matchers"][0])
    assert {f"Synapse{end}" for end in ends.split("|")} <= names.keys()
