"""Measures the time and the executed actions of a switch to another pin and back."""

import os
import re
import subprocess
import time
from pathlib import Path

from pinning.pins import DEFAULT, Pin, all_pins

_PROCESSES = re.compile(r"INFO: \d+ process(?:es)?: (.*)\.")


def build(workspace: Path, pin: Pin) -> tuple[float, str]:
    """Build the image of ``pin``; return the seconds and Bazel's summary of executed processes."""
    begin = time.monotonic()
    command = [str(workspace / "bazelw"), "build", *pin.flags, "image"]
    done = subprocess.run(command, cwd=workspace, text=True, capture_output=True, check=True)
    summaries = _PROCESSES.findall(done.stderr)
    return time.monotonic() - begin, summaries[-1] if summaries else "nothing"


def main() -> int:
    """Print one line for each build; return the exit code."""
    workspace = Path(os.environ["BUILD_WORKSPACE_DIRECTORY"])
    pins = all_pins(workspace)
    (first,) = [pin for pin in pins if (pin.repository, pin.branch) == DEFAULT]
    print("linux-sandbox: run anew; disk cache hit: taken from --disk_cache", flush=True)
    for other in pins:
        if other == first:
            continue
        for pin in (first, other, first):
            seconds, words = build(workspace, pin)
            print(f"{pin.name:32}{seconds:8.1f} s  {words}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
