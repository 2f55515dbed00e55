"""Tests for launching Synapse: user, CPU affinity, environment and exec."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from worker.errors import ConfigError
from worker.launch import choose_cpus, synapse_environ
from worker.settings import Settings, parse

_PROGRAM = """\
import os, signal, sys
from pathlib import Path
from worker.errors import ConfigError
from worker.launch import drop_rights, exec_synapse
from worker.settings import parse
settings = parse(os.environ)
try:
    drop_rights(settings)
    sys.executable = os.environ["PROGRAM"]
    sys.stdout.write("unflushed, ")
    sys.stderr.write("nothing lost")
    names = ("homeserver.yaml", "worker.yaml", "log.yaml")
    exec_synapse(settings, [settings.runtime_dir / name for name in names], os.environ)
except ConfigError as error:
    blocked = sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))
    sys.exit(f"error: {'; '.join(error.problems)}; blocked: {blocked}")
"""
# Runs in place of Python, and prints how it was started.
_SHOWN = """\
#!/bin/sh
printf '\\n\\n'
printf '%s\\n' "$@" ''
grep -E '^(Groups|Cpus_allowed_list):' /proc/self/status
echo
env
"""


def run(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Launch a pusher as uid 991, with a program that prints how it was started as Python."""
    program = folder / "python3"
    program.write_text(_SHOWN)
    program.chmod(0o755)
    return subprocess.run(
        ["unshare", "--user", "--map-user=991", sys.executable, "-c", _PROGRAM],
        env={
            "PATH": os.environ["PATH"],
            "PROGRAM": str(program),
            "PYTHONPATH": ":".join(path for path in sys.path if path),
            "SYNAPSE_JEMALLOC": "off",
            "SYNAPSE_REPLICATION_HOST": "main",
            "SYNAPSE_RUNTIME_DIR": str(folder),
            "SYNAPSE_WORKER": "synapse.app.pusher",
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def shown(done: subprocess.CompletedProcess[str]) -> tuple[list[str], list[str], dict[str, str]]:
    """Return the arguments, the groups and CPUs, and the environment that the program printed."""
    assert done.stderr == "nothing lost"
    first, arguments, status, environ = (part.splitlines() for part in done.stdout.split("\n\n"))
    assert first == ["unflushed, "]
    rights = [" ".join(line.split(":")[1].split()) for line in status]
    return arguments, rights, dict(line.split("=", 1) for line in environ)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a runtime folder."""
    return tmp_path


def test_synapse_gets_its_files_and_keeps_what_the_operator_set(folder: Path) -> None:
    """Synapse's output follows the entrypoint's, and Synapse gets no `PYTHON*` variable."""
    arguments, _, environ = shown(run(folder, TZ="Asia/Tokyo"))
    isolated, unbuffered, boot, *rest = arguments
    assert (isolated, unbuffered, Path(boot).name) == ("-I", "-u", "boot.py")
    assert rest == [
        "synapse.app.pusher",
        *("-c", f"{folder}/homeserver.yaml"),
        *("-c", f"{folder}/worker.yaml"),
    ]
    assert environ["TZ"] == "Asia/Tokyo"
    assert environ["HOME"] == f"{folder}/home"
    assert (folder / "home").stat().st_mode & 0o777 == 0o700
    assert not [name for name in environ if name.startswith("PYTHON")]


def test_signals_that_end_synapse_wait_for_its_handlers(folder: Path) -> None:
    """SIGINT and SIGTERM stay blocked: the kernel drops signals that process 1 does not handle."""
    program = folder / "blocked"
    program.write_text(
        f"#!{sys.executable} -I\nimport signal\n"
        "print(sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))))\n"
    )
    program.chmod(0o755)
    done = run(folder, PROGRAM=str(program))
    assert done.stdout == f"unflushed, [{signal.SIGINT:d}, {signal.SIGTERM:d}]\n"


def test_synapse_runs_on_the_chosen_cpus_alone(folder: Path) -> None:
    """The process runs only on the one CPU in the mask."""
    may = sorted(os.sched_getaffinity(0))
    _, (_, cpus), _ = shown(run(folder, SYNAPSE_CPU_AFFINITY=hex(1 << may[-1])))
    assert cpus == str(may[-1])
    _, (_, all_cpus), _ = shown(run(folder))
    assert len(may) == 1 or all_cpus != cpus


def test_cpus_that_the_machine_has_not_are_named(folder: Path) -> None:
    """The error lists the CPUs that may be used."""
    done = run(folder, SYNAPSE_CPU_AFFINITY=hex(1 << 2001 | 1 << 2000))
    may = sorted(os.sched_getaffinity(0))
    assert done.stderr == (
        "nothing losterror: SYNAPSE_CPU_AFFINITY names CPUs [2000, 2001], but only "
        f"{may} are available here; choose from them; blocked: []\n"
    )
    assert done.returncode == 1


def test_a_program_that_cannot_be_started_is_named(folder: Path) -> None:
    """The cause may be a broken base image or a system policy."""
    done = run(folder, PROGRAM="/dev/null")
    assert (
        done.stderr
        == "nothing losterror: /dev/null cannot be started: Permission denied; blocked: []\n"
    )


def settings(**variables: str) -> Settings:
    """Return the settings of the main process, with ``variables`` in its environment."""
    return parse({"SYNAPSE_WORKER": "homeserver"} | variables)


@pytest.mark.parametrize(
    ("environ", "variables", "there", "expected"),
    [
        ({}, {}, True, "libjemalloc.so.2"),
        ({}, {}, False, None),
        ({}, {"SYNAPSE_JEMALLOC": "off"}, True, None),
        ({"LD_PRELOAD": "another.so"}, {}, True, "another.so"),
    ],
)
def test_jemalloc_is_preloaded_where_it_is_and_nobody_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    variables: dict[str, str],
    there: bool,
    expected: str | None,
) -> None:
    """Preloading a missing library would print an error for every process."""
    monkeypatch.setattr("worker.launch._has_jemalloc", lambda: there)
    assert synapse_environ(environ, settings(**variables)).get("LD_PRELOAD") == expected


def test_no_variable_of_bazels_launcher_reaches_synapse() -> None:
    """The launcher's runfiles are not for Synapse."""
    given = {"JAVA_RUNFILES": "/a", "RUNFILES_DIR": "/a", "RUNFILES_MANIFEST_FILE": "/b", "TZ": "U"}
    assert synapse_environ(given, settings(SYNAPSE_JEMALLOC="off")).keys() == {"HOME", "TZ"}


@pytest.mark.parametrize(
    ("given", "warnings"),
    [
        ({}, []),
        ({"UID": "77"}, []),
        ({"UID": "78"}, ["UID=78 is ignored: started as uid 77, not as root"]),
    ],
)
def test_a_user_that_is_not_the_default_needs_no_warning(
    given: dict[str, str], warnings: list[str]
) -> None:
    """`--user` is enough, and UID may repeat it; only a different UID causes a warning."""
    program = _PROGRAM.split("try:")[0] + "print(drop_rights(settings))\n"
    done = subprocess.run(
        ["unshare", "--user", "--map-user=77", sys.executable, "-c", program],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ":".join(path for path in sys.path if path),
            "SYNAPSE_WORKER": "homeserver",
            **given,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{warnings}\n", done.stderr


@pytest.mark.parametrize("there", [True, False])
def test_jemalloc_is_looked_for_where_debian_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """The library is found on every architecture; the test searches below a temporary root."""
    folder = tmp_path / "usr/lib/riscv64-linux-gnu"
    folder.mkdir(parents=True)
    if there:
        (folder / "libjemalloc.so.2").touch()
    real = Path.glob

    def below(path: Path, pattern: str) -> list[Path]:
        return list(real(tmp_path / path.relative_to("/"), pattern))

    monkeypatch.setattr(Path, "glob", below)
    found = synapse_environ({}, settings()).get("LD_PRELOAD")
    assert found == ("libjemalloc.so.2" if there else None)


def test_cpus_are_named_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPUs are sorted, since a set has no order."""

    def refuse(process: int, cpus: frozenset[int]) -> None:
        assert (process, cpus) == (0, frozenset({2001, 2048}))
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("worker.launch.os.sched_setaffinity", refuse)
    monkeypatch.setattr(
        "worker.launch.os.sched_getaffinity", lambda process: {8, 1} if process == 0 else {99}
    )
    with pytest.raises(ConfigError) as caught:
        choose_cpus(settings(SYNAPSE_CPU_AFFINITY=hex(1 << 2001 | 1 << 2048)))
    assert caught.value.problems == (
        "SYNAPSE_CPU_AFFINITY names CPUs [2001, 2048], but only [1, 8] are available here; choose "
        "from them",
    )
