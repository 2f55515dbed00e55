"""Tests of the summary of a CI run, which counts results and names skipped tests."""

import json
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

from tools.ci_summary import main

_FILES = {
    "passes": "def test_a(): pass\n",
    "fails": "def test_a(): assert 0\n",
    "all_skipped": "import pytest\ndef test_a(): pytest.skip('no engine answers')\n",
    "one_skipped": (
        "import pytest\ndef test_a(): pass\n"
        "@pytest.mark.skipif(True, reason='only root can')\ndef test_b(): pass\n"
    ),
}


@cache
def run_pytest(name: str) -> str:
    """Run pytest on one of ``_FILES`` as `pytest_main.py` does; return its report."""
    with tempfile.TemporaryDirectory() as text:
        return _report(Path(text), name)


def _report(folder: Path, name: str) -> str:
    source, report = folder / f"{name}_test.py", folder / f"{name} report.xml"
    source.write_text(_FILES[name])
    options = ["-p", "no:cacheprovider", "-q", f"--junitxml={report}"]
    command = [sys.executable, "-m", "pytest", *options, str(source)]
    environ = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    subprocess.run(command, env=environ, cwd=folder, capture_output=True, check=False)
    return report.read_text()


def events(folder: Path, **statuses: str) -> Path:
    """Write build events for targets ``name=status``, with real pytest reports."""
    lines = []
    for name, status in statuses.items():
        label = f"//tests:{name}"
        if status != "NO_STATUS":
            # The name has a space, which its URI escapes.
            path = folder / f"{name} report.xml"
            path.write_text(run_pytest(name))
            report = {"name": "test.xml", "uri": path.as_uri()}
            log = {"name": "test.log", "uri": (folder / "absent").as_uri()}
            result = {"status": status, "testActionOutput": [log, report]}
            lines.append({"id": {"testResult": {"label": label}}, "testResult": result})
        overall = {"overallStatus": status}
        lines.append({"id": {"testSummary": {"label": label}}, "testSummary": overall})
    lines.append({"id": {"progress": {}}, "progress": {}})
    path = folder / "events.json"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def closing(capsys: pytest.CaptureFixture[str], path: Path) -> tuple[int, list[str]]:
    """Return the exit code and the printed lines."""
    status = main([str(path)])
    return status, capsys.readouterr().out.splitlines()


def test_a_target_without_a_test_that_ran_is_not_counted_as_passed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A target whose tests were all skipped has passed for Bazel but is counted as skipped."""
    path = events(tmp_path, passes="PASSED", all_skipped="PASSED")
    assert closing(capsys, path) == (
        0,
        ["//tests:all_skipped: skipped: no engine answers", "1 passed, 0 failed, 1 skipped"],
    )


def test_skipped_tests_of_a_target_that_ran_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A test that was skipped because the machine lacks something is listed with the reason."""
    assert closing(capsys, events(tmp_path, one_skipped="PASSED")) == (
        0,
        ["//tests:one_skipped: 1 of 2 tests skipped: only root can", "1 passed, 0 failed"],
    )


@pytest.mark.parametrize("status", ["FAILED", "TIMEOUT", "NO_STATUS", "FAILED_TO_BUILD"])
def test_any_other_status_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], status: str
) -> None:
    """A target that was not run or not built is counted as failed."""
    path = events(tmp_path, passes="PASSED", fails=status)
    assert closing(capsys, path) == (1, [f"//tests:fails: {status}", "1 passed, 1 failed"])


def test_a_run_in_which_nothing_passed_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run without targets, or with only skipped ones, fails."""
    assert closing(capsys, events(tmp_path)) == (1, ["0 passed, 0 failed"])
    assert closing(capsys, events(tmp_path, all_skipped="PASSED"))[0] == 1


def test_a_flaky_target_passed_in_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A target that passed when Bazel ran it again is counted as passed."""
    path = events(tmp_path, passes="PASSED")
    path.write_text(path.read_text().replace('overallStatus": "PASSED', 'overallStatus": "FLAKY'))
    assert closing(capsys, path) == (0, ["1 passed, 0 failed"])
