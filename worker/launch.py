"""Drops privileges, sets the CPU affinity, cleans up the environment and executes Synapse."""

import os
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import supervisor
from worker.errors import ConfigError
from worker.settings import Settings
from worker.signals import block_for_exec, unblock

# Prefixes of variables of Bazel's launcher, through which Synapse must not look for anything.
_LAUNCHER_VARIABLES = ("JAVA_RUNFILES", "RUNFILES_")
_HOME_NAME = "home"  # Below the runtime folder.
_BOOT_PROGRAM = Path(__file__).with_name("boot.py")
_PARENT_PROGRAM = Path(supervisor.__file__).with_name("boot.py")
_JEMALLOC = "libjemalloc.so.2"  # A soname, which is found on every architecture.


def home_folder(settings: Settings) -> Path:
    """Return the home folder of every process of this container.

    A container started as root gets root's home folder from the engine, which no other user may
    enter: since libpq then cannot look for ``~/.postgresql``, it silently does without TLS, or
    fails.  Otherwise the engine sets the folder that passwd names, or ``/``.
    """
    return settings.container_dir / _HOME_NAME


def synapse_environ(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Return ``environ`` for Synapse, without ``PYTHON*``, which would affect what is imported."""
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith(("PYTHON", *_LAUNCHER_VARIABLES))
    }
    kept["HOME"] = str(home_folder(settings))
    if settings.jemalloc and "LD_PRELOAD" not in kept and _has_jemalloc():
        kept["LD_PRELOAD"] = _JEMALLOC
    return kept


def _has_jemalloc() -> bool:
    return any(Path("/usr/lib").glob(f"*-linux-*/{_JEMALLOC}"))


def synapse_command(settings: Settings, files: Sequence[Path]) -> list[str]:
    """Return Synapse's command line.

    With ``-I`` (isolated), neither the working folder, nor the home folder, which may be mounted,
    nor ``PYTHON*`` variables affect what is imported.  With ``-u`` (unbuffered), the last lines
    before a crash are not lost.  ``boot.py`` calls the application's ``main``, and handles SIGTERM
    from the start.
    """
    command = [sys.executable, "-I", "-u", str(_BOOT_PROGRAM), settings.process.app]
    for path in files:
        if path.name != "log.yaml":
            command += ["-c", str(path)]
    return command


def drop_rights(settings: Settings) -> list[str]:
    """Set HOME and, if root, switch to UID:GID without other groups; return warnings.

    Raises:
        ConfigError: if root lacks CAP_SETUID or CAP_SETGID.
    """
    os.environ["HOME"] = str(home_folder(settings))  # For libpq in this process.
    if os.geteuid() == 0:
        try:
            os.setgroups([])
            os.setgid(settings.gid)
            os.setuid(settings.uid)
        except PermissionError:
            user = f"{settings.uid}:{settings.gid}"
            raise ConfigError(
                [
                    f"started as root without permission to switch to {user}; start the container "
                    f"with --user {user}"
                ]
            ) from None
        return []
    if os.geteuid() != settings.uid and settings.uid_given:
        return [f"UID={settings.uid} is ignored: started as uid {os.geteuid()}, not as root"]
    return []


def cpu_problems(settings: Settings) -> list[str]:
    """Return a line if none of the CPUs in the settings may be used here."""
    available = sorted(os.sched_getaffinity(0))
    if not settings.cpus or settings.cpus.intersection(available):
        return []
    return [
        f"SYNAPSE_CPU_AFFINITY names CPUs {sorted(settings.cpus)}, but only {available} "
        "are available here; choose from them"
    ]


def choose_cpus(settings: Settings) -> None:
    """Pin this process, and so Synapse, to the CPUs in the settings, if any.

    Raises:
        ConfigError: if none of these CPUs may be used here.
    """
    problems = cpu_problems(settings)
    if problems:
        raise ConfigError(problems)
    if settings.cpus:
        os.sched_setaffinity(0, settings.cpus)


def make_home(settings: Settings) -> None:
    """Create the home folder, accessible only to this user.

    Raises:
        ConfigError: if it cannot be created, or is not a folder that this user owns.
    """
    folder = home_folder(settings)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        reason = error.strerror
    else:
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
            folder.chmod(0o700)
            return
        reason = f"it is not a folder owned by uid {os.geteuid()}; remove it"
    raise ConfigError([f"{folder}: the home folder cannot be created: {reason}"])


def exec_synapse(settings: Settings, files: Sequence[Path], environ: Mapping[str, str]) -> None:
    """Replace this process with Synapse.

    Raises:
        ConfigError: if its CPUs are not available, its home folder cannot be created, or the
            program cannot be executed.
    """
    choose_cpus(settings)
    _exec(synapse_command(settings, files), settings, environ)


def exec_parent(settings: Settings, spec_path: Path, environ: Mapping[str, str]) -> None:
    """Replace this process with the parent of several Synapse processes.

    Args:
        settings: the settings of one of them.
        spec_path: the file that describes them.
        environ: the environment of the container.

    Raises:
        ConfigError: if the home folder cannot be created, or the program cannot be executed.
    """
    command = [sys.executable, "-I", "-u", str(_PARENT_PROGRAM), str(spec_path)]
    _exec(command, settings, environ)


def _exec(command: list[str], settings: Settings, environ: Mapping[str, str]) -> None:
    make_home(settings)
    sys.stdout.flush()
    sys.stderr.flush()
    block_for_exec()
    try:
        os.execve(command[0], command, synapse_environ(environ, settings))
    except OSError as error:
        unblock()
        raise ConfigError([f"{command[0]} cannot be started: {error.strerror}"]) from None
