"""Synapse's home folder: private to its user, whatever HOME the engine sets."""

from pathlib import Path

import pytest

from worker.errors import ConfigError
from worker.launch import home_folder, make_home, synapse_environ
from worker.settings import Settings, parse


def settings(runtime: Path) -> Settings:
    """Return the settings of a main process with the runtime folder ``runtime``."""
    return parse({"SYNAPSE_WORKER": "homeserver", "SYNAPSE_RUNTIME_DIR": str(runtime)})


def test_it_is_private_and_stays(tmp_path: Path) -> None:
    """A restarted container reuses the folder that it made, and resets the folder's mode."""
    chosen = settings(tmp_path)
    make_home(chosen)
    (home_folder(chosen) / "kept").touch()
    home_folder(chosen).chmod(0o777)
    make_home(chosen)
    assert home_folder(chosen).stat().st_mode & 0o777 == 0o700
    assert (home_folder(chosen) / "kept").exists()


@pytest.mark.parametrize("engine", ["/root", "/data", "/"])
def test_synapse_gets_it_in_place_of_the_engines(tmp_path: Path, engine: str) -> None:
    """Synapse's user cannot enter root's home folder, and the one in passwd may be mounted."""
    assert synapse_environ({"HOME": engine}, settings(tmp_path))["HOME"] == f"{tmp_path}/home"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda path: path.touch(), "File exists", id="a file"),
        pytest.param(
            lambda path: path.symlink_to("/tmp"), "it is not a folder owned by uid ", id="a link"
        ),
    ],
)
def test_something_else_in_its_place_is_refused(tmp_path: Path, make: object, reason: str) -> None:
    """Its owner could read what Synapse stores there."""
    assert callable(make)
    make(tmp_path / "home")
    with pytest.raises(ConfigError) as caught:
        make_home(settings(tmp_path))
    (line,) = caught.value.problems
    assert line.startswith(f"{tmp_path}/home: the home folder cannot be created: {reason}")


def test_the_folder_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come from an earlier start with another UID; the message includes the remedy."""
    make_home(settings(tmp_path))
    monkeypatch.setattr("worker.launch.os.geteuid", lambda: 4711)
    with pytest.raises(ConfigError) as caught:
        make_home(settings(tmp_path))
    assert caught.value.problems == (
        f"{tmp_path}/home: the home folder cannot be created: it is not a folder owned by uid "
        "4711; "
        "remove it",
    )
