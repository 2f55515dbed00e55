"""Counts Bazel's test results from its build events and prints a summary line.

The events are those of ``--build_event_json_file`` (Bazel's Build Event Protocol): ``testSummary``
has the outcome of a target, ``testResult`` names the ``test.xml`` of each of its runs.
"""

import json
import sys
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Target:
    """The result of one test target.

    Attributes:
        status: Bazel's overall status, such as ``PASSED``.
        tests: The number of test cases that its runs reported.
        skipped: The reason for each test case that was skipped.
    """

    status: str = ""
    tests: int = 0
    skipped: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether it passed and ran at least one test; a FLAKY target passed on a retry."""
        return self.status in ("PASSED", "FLAKY") and not self.all_skipped

    @property
    def all_skipped(self) -> bool:
        """Whether Bazel counts it as passed although none of its tests ran."""
        ran = self.tests - len(self.skipped)
        return self.status in ("PASSED", "FLAKY") and self.tests > 0 and ran == 0


def _add_cases(target: Target, outputs: list[dict[str, str]]) -> None:
    """Add the test cases of one run from its JUnit report."""
    for output in outputs:
        if output["name"] != "test.xml":
            continue
        path = Path(urllib.request.url2pathname(urllib.parse.urlsplit(output["uri"]).path))
        for case in ElementTree.parse(path).iter("testcase"):
            target.tests += 1
            skip = case.find("skipped")
            if skip is not None:
                target.skipped.append(skip.get("message") or "no reason given")


def summary(events: Path) -> dict[str, Target]:
    """Return the result of each test target in a build event file (JSON lines), by label.

    Raises:
        OSError: If a report that the events name cannot be read.
    """
    targets: dict[str, Target] = {}
    for line in events.read_text().splitlines():
        event = json.loads(line)
        if "testSummary" in event and "testSummary" in event["id"]:
            target = targets.setdefault(event["id"]["testSummary"]["label"], Target())
            target.status = event["testSummary"]["overallStatus"]
        elif "testResult" in event and event["testResult"].get("status") == "PASSED":
            target = targets.setdefault(event["id"]["testResult"]["label"], Target())
            _add_cases(target, event["testResult"].get("testActionOutput", []))
    return targets


def report(targets: dict[str, Target]) -> list[str]:
    """Return a line for each failed or skipped target, then the counts.

    The last line is ``N passed, N failed``, followed by ``, N skipped`` if there are any.
    """
    lines = []
    for label, target in targets.items():
        reasons = "; ".join(sorted(set(target.skipped)))
        if target.all_skipped:
            lines.append(f"{label}: skipped: {reasons}")
        elif not target.passed:
            lines.append(f"{label}: {target.status or 'no result'}")
        elif target.skipped:
            skipped = f"{len(target.skipped)} of {target.tests} tests skipped"
            lines.append(f"{label}: {skipped}: {reasons}")
    passed = sum(target.passed for target in targets.values())
    skipped_targets = sum(target.all_skipped for target in targets.values())
    closing = f"{passed} passed, {len(targets) - passed - skipped_targets} failed"
    return [*lines, closing + (f", {skipped_targets} skipped" if skipped_targets else "")]


def main(argv: list[str]) -> int:
    """Print the report of the build event file ``argv[0]``.

    Returns:
        1 if a test failed or none passed, otherwise 0.
    """
    targets = summary(Path(argv[0]))
    print("\n".join(report(targets)))
    good = all(target.passed or target.all_skipped for target in targets.values())
    return 0 if good and any(target.passed for target in targets.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
