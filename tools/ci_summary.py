"""Counts Bazel's own test results from its build events and prints the closing line."""

import json
import sys
from pathlib import Path


def summary(events: Path) -> dict[str, str]:
    """Return the overall status of each test target of a build event file (JSON lines)."""
    result = {}
    for line in events.read_text().splitlines():
        event = json.loads(line)
        if "testSummary" in event and "testSummary" in event["id"]:
            label = event["id"]["testSummary"]["label"]
            result[label] = event["testSummary"]["overallStatus"]
    return result


def main(argv: list[str]) -> int:
    """Print ``N passed, N failed``; return 1 when a test failed or none ran."""
    statuses = summary(Path(argv[0]))
    # FLAKY passed at last; every other status is a failure, one that was not run among them.
    failed = [label for label, status in statuses.items() if status not in ("PASSED", "FLAKY")]
    for label in failed:
        print(f"{label}: {statuses[label]}")
    print(f"{len(statuses) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not statuses else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
