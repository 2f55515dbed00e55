"""The alert rules of a plan, judged by promtool: syntax, and when each of them fires."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from deploy.alerts import alerts, rule_file, rule_groups
from deploy.metrics import METRICS, first_minor, used_metrics
from deploy.monitored import Monitored, matcher
from tests.deploy.random_plans import TABLE, plans
from tests.monitoring import process_alert_cases, work_alert_cases
from tests.monitoring.alert_cases import PLAN, Case
from tests.monitoring.promtool import promtool
from worker.errors import ConfigError
from worker.monitoring import monitored
from worker.plan import parse_plan

_NEWEST = 1 << 30
OLDEST = 66
CASES = process_alert_cases.CASES + work_alert_cases.CASES


def of(plan: str, minor: int = _NEWEST) -> Monitored:
    """Return what runs for a plan with a version of Synapse."""
    return replace(monitored(parse_plan(plan, TABLE), TABLE), minor=minor)


def rules(watched: Monitored) -> dict[str, list[dict[str, Any]]]:
    """Return the rules by the name of their alert."""
    found: dict[str, list[dict[str, Any]]] = {}
    for group in rule_groups(watched):
        for rule in group["rules"]:
            found.setdefault(rule["alert"], []).append(rule)
    return found


@pytest.mark.parametrize("plan", ["", PLAN], ids=["main alone", "workers"])
@pytest.mark.parametrize("minor", [OLDEST, _NEWEST])
def test_the_file_is_the_groups_as_yaml(plan: str, minor: int) -> None:
    """What other formats embed is the same as the file, whose text is written by hand."""
    watched = of(plan, minor)
    assert yaml.safe_load(rule_file(watched)) == {"groups": rule_groups(watched)}


def expected(case: Case) -> dict[str, Any]:
    """Return the alert that fires, as promtool's unit tests name it."""
    severity = case.labels.get("severity")
    rule = next(
        rule
        for rule in rules(of(PLAN))[case.alert]
        if severity in (None, rule["labels"]["severity"])
    )
    annotations = rule["annotations"]
    description = annotations["description"]
    for label, value in case.labels.items():
        description = description.replace(f"{{{{ $labels.{label} }}}}", value)
    return {
        "exp_labels": case.labels | rule["labels"],
        "exp_annotations": annotations | {"summary": case.summary, "description": description},
    }


def unit_test(case: Case, series: Mapping[str, str], fires: Mapping[int, bool]) -> dict[str, Any]:
    """Return a unit test of one alert; ``fires`` says at which minutes it fires."""
    return {
        "name": f"{case.alert} {json.dumps(dict(case.labels))} {sorted(fires)}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {
                "eval_time": f"{minutes}m",
                "alertname": case.alert,
                "exp_alerts": [expected(case)] if firing else [],
            }
            for minutes, firing in fires.items()
        ],
    }


def test_each_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    """It fires after its time, not before, and not at all with good series."""
    assert {case.alert for case in CASES} == set(rules(of(PLAN)))
    files: dict[str, str] = {}
    # A file for each group, since promtool evaluates all rules of a file for each of its tests.
    for group in rule_groups(of(PLAN)):
        names = {rule["alert"] for rule in group["rules"]}
        tests = []
        for case in CASES:
            if case.alert in names:
                silent = dict.fromkeys((1, 12, 25, case.minutes, 55), False)
                tests.append(unit_test(case, case.good, silent))
                fires = {case.not_before: False, case.minutes: True}
                tests.append(unit_test(case, case.bad, fires))
        rules_name = f"{group['name']}.rules.yml"
        files[rules_name] = yaml.safe_dump({"groups": [group]})
        document = {"rule_files": [rules_name], "evaluation_interval": "1m", "tests": tests}
        files[f"{group['name']}.tests.yml"] = yaml.safe_dump(document)
    names_of_tests = [name for name in files if name.endswith(".tests.yml")]
    promtool(tmp_path / "unit", files, "test", "rules", *names_of_tests)


def test_promtool_accepts_the_rules_of_any_plan(tmp_path: Path) -> None:
    """No name of a worker, type or label needs quoting that is missing, in any era."""
    files: dict[str, str] = {}

    @settings(
        max_examples=60,
        phases=[Phase.generate],
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(plan=plans(), minor=st.sampled_from([OLDEST, 98, 144, _NEWEST]))
    def collect(plan: str, minor: int) -> None:
        try:
            watched = of(plan, minor)
        except ConfigError:
            return
        files[f"{len(files)}.yml"] = rule_file(watched)

    collect()
    assert len(files) > 30
    said = promtool(tmp_path / "any", files, "check", "rules", "--lint-fatal", *files)
    assert said.count("SUCCESS") == len(files)


def test_the_largest_plan_is_accepted(tmp_path: Path) -> None:
    """With 500 workers, the rules are as long as with one of each type."""
    text = rule_file(of("generic_worker:250, synchrotron:250"))
    assert len(text) < 30_000
    promtool(tmp_path / "large", {"rules.yml": text}, "check", "rules", "rules.yml")


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(plan=plans())
def test_every_metric_is_in_the_table(plan: str) -> None:
    """The tests of running processes look for the metrics of the table."""
    try:
        watched = of(plan)
    except ConfigError:
        return
    for listed in alerts(watched).values():
        for alert in listed:
            names = used_metrics(alert.expression)
            assert names
            assert names <= METRICS.keys()


def test_an_alert_without_its_metric_is_left_out_and_named() -> None:
    """An alert that can never fire would comfort."""
    watched = of(PLAN, OLDEST)
    absent = {
        alert.name: first_minor(alert.expression)
        for listed in alerts(watched).values()
        for alert in listed
        if first_minor(alert.expression) > OLDEST
    }
    assert absent == {
        "SynapseSyncSlow": 114,
        "SynapseDatabaseUpdateAborted": 86,
        "SynapseReplicationLag": 162,
        "SynapseStreamTimeouts": 163,
        "SynapseDeviceListsBehind": 160,
    }
    assert set(rules(of(PLAN))) - set(rules(watched)) == absent.keys()
    comments = [line for line in rule_file(watched).splitlines() if line.startswith("# Without")]
    assert comments == [
        f"# Without {name}, which needs Synapse 1.{minor} or newer."
        for name, minor in absent.items()
    ]
    assert "# Without" not in rule_file(of(PLAN))


def test_the_rules_follow_from_the_worker_types() -> None:
    """Main does what no worker does; a worker that alone can do its work is critical."""
    alone = rules(of(""))
    assert "SynapseWorkerDown" not in alone
    assert "SynapseReplicationDown" not in alone
    assert 'pending_pdus{job="main"}' in alone["SynapseFederationQueue"][0]["expr"]
    plan = "a=federation_sender, b=event_persister, c=client_reader, d=typing+synchrotron"
    found = rules(of(plan))
    assert 'pending_pdus{job="federation_sender"}' in found["SynapseFederationQueue"][0]["expr"]
    assert 'job="event_persister"' in found["SynapseEventPersistQueue"][0]["expr"]
    assert {rule["labels"]["severity"]: rule["expr"] for rule in found["SynapseWorkerDown"]} == {
        "critical": 'up{job=~"federation_sender|event_persister|typing[+]synchrotron"} == 0',
        "warning": 'up{job="client_reader"} == 0',
    }


def test_jobs_are_matched_exactly() -> None:
    """The plus sign between worker types has a meaning in regular expressions."""
    assert matcher(["a+b"]) == 'job="a+b"'
    assert matcher(["a+b", "c"]) == 'job=~"a[+]b|c"'
