"""Pushes the image: checks the command line, then runs the launcher of oci_push."""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# The syntax of names and tags (OCI distribution-spec, "Pulling manifests").
_NAME = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?")


def problems(repository: str, tags: Sequence[str]) -> list[str]:
    """Return one line for each part of the command line that is not valid for a registry."""
    lines = []
    host, _, name = repository.partition("/")
    if not repository:
        lines.append("--repository is not given; name one, such as ghcr.io/OWNER/synapse-worker")
    elif "://" in repository:
        lines.append(f"--repository {repository!r} has a scheme; give HOST/NAME alone")
    elif not _HOST.fullmatch(host) or not _NAME.fullmatch(name):
        lines.append(
            f"--repository {repository!r} is not HOST/NAME with a name in lower case, without tag"
        )
    for tag in tags:
        if not _TAG.fullmatch(tag):
            lines.append(
                f"--tag {tag!r} is not a tag; use up to 128 of A-Z a-z 0-9 _ . -, "
                "the first neither . nor -"
            )
    return lines


def reason(output: str) -> str:
    """Return the line of the launcher's output that says why a push failed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "rror" in line] or lines or ["no reason was given"]
    return re.sub(r"^\S+ \S+ (?=error)", "", telling[-1]).removeprefix("Error: ")


def run_and_show(command: Sequence[str]) -> tuple[int, str]:
    """Run ``command``, and copy each line of its output to standard error as it comes.

    Returns:
        The exit code and the whole output.
    """
    lines = []
    with subprocess.Popen(
        command, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", file=sys.stderr, flush=True)
            lines.append(line)
    return process.returncode, "".join(lines)


def main(argv: Sequence[str], launcher: Path, digest: Path) -> int:
    """Push the image and print its references.

    Returns:
        The exit code: 1 if the push fails, 2 if the command line is invalid.
    """
    parser = argparse.ArgumentParser(prog="push", description=__doc__)
    parser.add_argument("--repository", default="", metavar="HOST/NAME")
    parser.add_argument("--tag", action="append", default=[])
    options = parser.parse_args(argv)
    wrong = problems(options.repository, options.tag)
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    if wrong:
        return 2
    command = [str(launcher), "--repository", options.repository]
    for tag in options.tag:
        command += ["--tag", tag]
    returncode, output = run_and_show(command)
    if returncode:
        why = reason(output)
        print(f"error: {options.repository} rejected the push: {why}", file=sys.stderr)
        return 1
    print(f"{options.repository}@{digest.read_text().strip()}")
    for tag in options.tag:
        print(f"{options.repository}:{tag}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(os.environ["PUSH_LAUNCHER"]), Path(os.environ["PUSH_DIGEST"])))
