"""Tests of the table of test times."""

import json
from pathlib import Path

import pytest

from tools.test_times import main


def test_long_targets_are_listed_and_others_are_summed_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Retries count, since Bazel's total includes every run."""
    lines = []
    for label, milliseconds in (
        ("//a:long", "61400"),
        ("//b:longer", "200000"),
        ("//a:x", "1500"),
        ("//a:y", "2500"),
    ):
        summary = {"overallStatus": "PASSED", "totalRunDurationMillis": milliseconds}
        lines.append({"id": {"testSummary": {"label": label}}, "testSummary": summary})
    lines.append({"id": {"progress": {}}, "progress": {}})
    path = tmp_path / "events.json"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main([str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "| Target | Seconds |",
        "| --- | --- |",
        "| `//b:longer` | 200 |",
        "| `//a:long` | 61 |",
        "| 2 others in `//a` | 4 |",
        "| all 4 | 265 |",
    ]


def test_events_that_are_missing_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says how to get them."""
    path = tmp_path / "events.json"
    assert main([str(path)]) == 2
    assert capsys.readouterr().err == (
        f"error: {path} does not exist; run ./bazelw test //... first\n"
    )
