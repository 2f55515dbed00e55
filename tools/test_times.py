"""Prints a Markdown table of how long each test target took, from Bazel's build events."""

import json
import os
import sys
from pathlib import Path

_SHORTEST = 20  # Seconds; shorter targets are summed up by folder.


def times(events: Path) -> dict[str, float]:
    """Return the seconds that each test target took, by label.

    Args:
        events: A file of ``--build_event_json_file`` (Bazel's Build Event Protocol).
    """
    seconds_by_label = {}
    for line in events.read_text().splitlines():
        event = json.loads(line)
        if "testSummary" in event and "testSummary" in event["id"]:
            milliseconds = float(event["testSummary"].get("totalRunDurationMillis", 0))
            seconds_by_label[event["id"]["testSummary"]["label"]] = milliseconds / 1000
    return seconds_by_label


def table(seconds_by_label: dict[str, float]) -> list[str]:
    """Return the rows: the long targets first, then the others by package, then the sum."""
    rows = ["| Target | Seconds |", "| --- | --- |"]
    others: dict[str, list[float]] = {}
    for label, seconds in sorted(seconds_by_label.items(), key=lambda item: -item[1]):
        if seconds >= _SHORTEST:
            rows.append(f"| `{label}` | {seconds:.0f} |")
        else:
            others.setdefault(label.partition(":")[0], []).append(seconds)
    for package, several in sorted(others.items(), key=lambda item: -sum(item[1])):
        number = f"{len(several)} other{'s' if len(several) > 1 else ''}"
        rows.append(f"| {number} in `{package}` | {sum(several):.0f} |")
    return [*rows, f"| all {len(seconds_by_label)} | {sum(seconds_by_label.values()):.0f} |"]


def main(argv: list[str]) -> int:
    """Print the table for the build event file ``argv[0]``, or for the last run of the tests."""
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
    path = Path(argv[0]) if argv else workspace / "bazel-test-events.json"
    if not path.exists():
        print(f"error: {path} does not exist; run ./bazelw test //... first", file=sys.stderr)
        return 2
    print("\n".join(table(times(path))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
