"""Tests that any input results in documents or one-line errors, and never in a traceback."""

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from tests.worker.cases import environs, homeservers
from worker.__main__ import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for /data and /synapse_media that has only a valid signing key."""
    found = tmp_path_factory.mktemp("site")
    (found / "signing.key").write_text("ed25519 a_test " + "B" * 42 + "A\n")
    return found


SEEN: set[int] = set()


@settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(homeserver=homeservers(), environ=environs())
def test_every_input_gets_an_answer(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    homeserver: dict[Any, Any],
    environ: dict[str, str],
) -> None:
    """The exit code says whether there are errors, and standard error has one message per line."""
    monkeypatch.setattr("worker.examination.drop_rights", lambda _: [])
    (folder / "homeserver.yaml").write_text(yaml.safe_dump(homeserver, allow_unicode=True))
    fixed = {"SYNAPSE_DATA_DIR": str(folder), "SYNAPSE_MEDIA_DIR": str(folder)}
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(["print-config"], environ | fixed)
    SEEN.add(status)
    lines = err.getvalue().splitlines()
    assert all(line.startswith(("warning: ", "error: ")) for line in lines), lines
    if status == 0:
        assert all(isinstance(part, dict) for part in yaml.safe_load_all(out.getvalue()))
    else:
        assert status == 2
        assert any(line.startswith("error: ") for line in lines)


def test_both_answers_were_seen() -> None:
    """If not, the strategies generate only valid or only invalid inputs."""
    assert SEEN == {0, 2}
