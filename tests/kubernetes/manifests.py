"""The good manifests, small changes to them, and the program that checks manifests."""

import copy
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
GOOD = Path(__file__).with_name("good.yaml")
DELETED = object()


@cache
def objects() -> dict[str, Object]:
    """Return the good objects by ``Kind/name``."""
    documents = yaml.safe_load_all(GOOD.read_text())
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in documents}


def changed(whole: Object, path: Sequence[str | int], value: Any) -> Object:
    """Return a copy of an object with another value at ``path``.

    `DELETED` removes what is there, and a number just behind the end of a list appends to it.
    """
    result = copy.deepcopy(whole)
    inner: Any = result
    for step in path[:-1]:
        inner = inner[step]
    last = path[-1]
    if value is DELETED:
        del inner[last]
    elif isinstance(inner, list) and last == len(inner):
        inner.append(value)
    else:
        inner[last] = value
    return result


def text(manifests: Iterable[Object]) -> str:
    """Return objects as YAML documents."""
    return yaml.safe_dump_all(manifests, sort_keys=False)


def run_checker(*words: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program ``$CHECKER``."""
    return subprocess.run(
        [os.environ["CHECKER"], *words],
        input=stdin,
        text=True,
        capture_output=True,
        check=False,
        timeout=120,
    )


def faults(texts: Mapping[str, str], folder: Path) -> dict[str, list[str]]:
    """Return the lines that the checker prints about each of ``texts``, by its file name.

    Args:
        texts: the manifests, by file name. The checker sees them as one set, so a namespace in one
            of them counts for all others that do not have it themselves.
        folder: an existing folder to write them into.
    """
    for name, content in texts.items():
        (folder / name).write_text(content)
    definitions = Path(os.environ["DEFINITIONS"].split()[0]).parent
    done = run_checker("validate", "-definitions", definitions, *(folder / name for name in texts))
    lines: dict[str, list[str]] = {name: [] for name in texts}
    for line in done.stdout.splitlines():
        path, _, message = line.partition(": ")
        lines[Path(path).name].append(message)
    assert done.stderr == ""
    assert done.returncode == (1 if any(lines.values()) else 0)
    return lines
