"""The verbs that print the monitoring of a plan: their output and their messages."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.fuzzing import Tally, answer, many
from worker.__main__ import main

VERBS = ("alerts", "dashboard")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, list[str]]:
    """Run a verb; return its exit code, its output, and the messages."""
    code = main(arguments, {})
    printed = capsys.readouterr()
    return code, printed.out, printed.err.splitlines()


def test_alerts_are_a_rule_file(capsys: pytest.CaptureFixture[str]) -> None:
    """The comments come first, for whoever finds the file on a server."""
    code, output, messages = run(capsys, "alerts", "pusher:2, typing")
    assert (code, messages) == (0, [])
    assert output.startswith("# Alerting rules for the processes of a Synapse homeserver,")
    names = [group["name"] for group in yaml.safe_load(output)["groups"]]
    assert names == [
        "synapse-processes",
        "synapse-requests",
        "synapse-database",
        "synapse-replication",
        "synapse-events",
        "synapse-federation",
        "synapse-consumers",
    ]


def test_a_dashboard_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    """It can be imported as it is."""
    code, output, messages = run(capsys, "dashboard", "pusher:2, typing")
    assert (code, messages) == (0, [])
    assert json.loads(output)["title"] == "Synapse"


def test_the_rules_match_the_targets(capsys: pytest.CaptureFixture[str]) -> None:
    """Each job of the targets is in the alert about targets that are missing, and no other one."""
    plan = "a=typing+presence, synchrotron:2, federation_sender@10.0.0.7"
    _, targets, _ = run(capsys, "prometheus", plan)
    _, output, _ = run(capsys, "alerts", plan)
    rules = [rule for group in yaml.safe_load(output)["groups"] for rule in group["rules"]]
    (expression,) = [one["expr"] for one in rules if one["alert"] == "SynapseNotScraped"]
    jobs = {target["labels"]["job"] for target in json.loads(targets)}
    assert set(expression.split("\nor\n")) == {f'absent(up{{job="{job}"}})' for job in jobs}


def test_a_plan_can_be_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It gives the same as its text."""
    (tmp_path / "plan").write_text("pusher:2  # two\ntyping\n")
    for verb in VERBS:
        assert run(capsys, verb, f"{tmp_path}/plan") == run(capsys, verb, "pusher:2, typing")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("plan", "line"),
    [
        (
            "typing:2",
            "SYNAPSE_WORKERS: typing1, typing2 all have the worker type typing, which only one "
            "worker may have; remove it from the others",
        ),
        (
            "pusher:x",
            "SYNAPSE_WORKERS: 'pusher:x': 'x' is not a count from 1 to 500",
        ),
        (
            "main=pusher",
            "SYNAPSE_WORKERS: 'main' is not a valid worker name; use at most 64 characters of A-Z "
            "a-z 0-9 _ . -, but neither main nor master",
        ),
    ],
)
def test_a_mistake_is_named_and_nothing_is_printed(
    verb: str, plan: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The messages are those about plans, and the exit code is that of wrong settings."""
    assert run(capsys, verb, plan) == (2, "", [f"error: {line}"])


@many(5)
@given(
    verb=st.sampled_from(VERBS),
    plan=st.one_of(st.text(max_size=30), st.sampled_from(["typing", "generic_worker:3, pusher"])),
)
def test_any_plan_ends_with_a_line_or_a_file(verb: str, plan: str) -> None:
    """No input gives a traceback."""
    answer([verb, "--", plan], {}, Tally("monitoring"))
