"""Options in homeserver.yaml that contradict a plan, and values that mean the same."""

from typing import Any

import pytest
import yaml

from testbed.site import PLANNED
from worker.plan import contradictions, parse_plan
from worker.worker_types import load_table

TABLE = load_table()
GOOD: dict[str, Any] = yaml.safe_load(PLANNED)


@pytest.mark.parametrize(
    "change",
    [
        # Synapse treats a name as a list with one entry.
        {"federation_sender_instances": "federation_sender"},
        {"stream_writers": {"events": "persister"}},
        {"run_background_tasks_on": "background_worker"},
        {"run_background_tasks_on": ["background_worker"]},
        # Each process renders instance_map anew.
        {"instance_map": {"main": {"host": "main", "port": 9093}}},
        {"enable_media_repo": True},
        {"": False},
        {"": "x"},
    ],
    ids=str,
)
def test_what_means_the_same_as_the_plan_is_no_contradiction(change: dict[str, Any]) -> None:
    """Options that the plan does not determine are no contradiction either."""
    plan = parse_plan("federation_sender, persister=event_persister, background_worker", TABLE)
    assert contradictions(GOOD | change, plan, TABLE) == []


@pytest.mark.parametrize("streams", [{}, [], ["x"], "x", None])
def test_a_plan_without_writers_contradicts_no_others(streams: object) -> None:
    """Values that are not a mapping are left to Synapse's own parser."""
    plan = parse_plan("synchrotron", TABLE)
    assert contradictions(GOOD | {"stream_writers": streams}, plan, TABLE) == []


@pytest.mark.parametrize(
    ("have", "name"),
    [
        ({"events": "persister", "typing": "x"}, "stream_writers"),
        ({"events": "persister", "typing": ["typing"], "receipts": "x"}, "stream_writers"),
        (["x"], "stream_writers"),
        ("x", "stream_writers"),
        ({"a": "b"}, "federation_sender_instances"),
        ("x", "federation_sender_instances"),
    ],
)
def test_a_setting_of_another_shape_or_with_one_other_part_contradicts_the_plan(
    have: object, name: str
) -> None:
    """One of the two is wrong, and only the operator knows which."""
    plan = parse_plan("federation_sender, typing, persister=event_persister", TABLE)
    (line,) = contradictions(GOOD | {name: have}, plan, TABLE)
    assert line.startswith(f"homeserver.yaml: {name} is {have!r}, but SYNAPSE_WORKERS sets it to ")
    assert line.endswith("; remove it from homeserver.yaml")
