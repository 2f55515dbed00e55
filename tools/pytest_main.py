"""Runs pytest on the given files and writes the report to the path that Bazel expects."""

import os
import sys

# Otherwise every test would import Hypothesis, through its plugin, which adds little to what
# Hypothesis itself prints.
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"

import pytest


def main(arguments: list[str]) -> int:
    """Run pytest and return its exit code, which is also nonzero if no tests are collected."""
    options = ["-p", "no:cacheprovider", "-ra", "--strict-markers", "--import-mode=importlib"]
    scratch = os.environ.get("TEST_TMPDIR")
    if scratch:
        options.append(f"--basetemp={scratch}/pytest")
    results = os.environ.get("XML_OUTPUT_FILE")
    if results:
        options.append(f"--junitxml={results}")
    chosen = os.environ.get("TESTBRIDGE_TEST_ONLY")
    if chosen:
        options.extend(["-k", chosen])
    return int(pytest.main([*options, *arguments]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
