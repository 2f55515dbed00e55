"""Tests for the exact text of every message that the entrypoint prints about settings.

`messages.yaml` lists the cases: what is given, and the messages about it.  In it, ``/data`` is the
data folder, ``uid N`` is the user of this process, and ``(types)`` is the list of worker types.

After changing a message, run this file as a program, as described in `docs/testing.md`, and review
the diff.
"""

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.site import PLANNED, WORKERS, make_data
from worker.check import find_problems, find_warnings
from worker.documents import dropped_warnings
from worker.errors import ConfigError
from worker.settings import parse
from worker.worker_types import load_table

LIST = Path(__file__).with_name("messages.yaml")
CASES: list[dict[str, Any]] = yaml.safe_load(LIST.read_text(encoding="utf-8"))
BASES = {"workers": yaml.safe_load(WORKERS), "planned": yaml.safe_load(PLANNED)}


class _Dumper(yaml.SafeDumper):
    """A dumper that writes repeated values out instead of using aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def dumped(cases: list[dict[str, Any]]) -> str:
    """Return the text of `messages.yaml` for ``cases``."""
    text = yaml.dump(cases, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=98)
    return f"# What is said of settings; see messages_test.py.\n{text}"


def copied(made: Path, folder: Path) -> Path:
    """Create ``folder`` with copies of the files in ``made``, and return it."""
    folder.mkdir()
    for path in made.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a valid /data folder to copy from."""
    return make_data(tmp_path_factory.mktemp("made") / "data", WORKERS)


@pytest.fixture
def data(tmp_path: Path, made: Path) -> Path:
    """Return a valid /data folder."""
    return copied(made, tmp_path / "data")


def said(data: Path, case: dict[str, Any]) -> list[str]:
    """Return every message for ``case``, with the parts that differ between machines replaced."""
    for name, text in case.get("files", {}).items():
        (data / name).unlink(missing_ok=True)
        if text is not None:
            (data / name).write_text(text)
    environ = {
        "SYNAPSE_REPLICATION_HOST": "main",
        "SYNAPSE_DATA_DIR": str(data),
        "SYNAPSE_MEDIA_DIR": str(data),
    }
    given = {name: text.replace("/data", str(data)) for name, text in case["given"].items()}
    homeserver = BASES[case.get("base", "workers")] | case.get("homeserver", {})
    table = load_table()
    if "version" in case:
        table = replace(table, version=case["version"])
    try:
        settings = parse(environ | given, table)
        lines = find_problems(homeserver, settings)
        lines += [f"warning: {line}" for line in find_warnings(homeserver, settings)]
        lines += [f"warning: {line}" for line in dropped_warnings(homeserver)]
    except ConfigError as error:
        lines = list(error.problems)
    for text, replaced in (
        (str(data), "/data"),
        (f"uid {os.geteuid()}", "uid N"),
        (table.choices(), "(types)"),
    ):
        lines = [line.replace(text, replaced) for line in lines]
    return lines


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["given"])[:60])
def test_what_is_said_of_settings(data: Path, case: dict[str, Any]) -> None:
    """Operators act on these messages, and others search for them."""
    assert said(data, case) == case["said"]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        right = make_data(Path(name, "made"), WORKERS)
        for number, one in enumerate(CASES):
            one["said"] = said(copied(right, Path(name, str(number))), one)
    LIST.write_text(dumped(CASES), encoding="utf-8")
