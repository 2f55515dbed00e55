"""Becomes Synapse: rights dropped, CPUs chosen, environment clean, then exec."""

import os
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker.errors import ConfigError
from worker.settings import Settings
from worker.signals import block_for_exec, unblock

# Bazel's launcher for this program; Synapse must not look for anything through them.
_LAUNCHER_VARIABLES = ("JAVA_RUNFILES", "RUNFILES_")
_HOME = "home"  # In the runtime folder.
_BOOT = Path(__file__).with_name("boot.py")
_JEMALLOC = "libjemalloc.so.2"  # By soname: found on every architecture.


def home(settings: Settings) -> Path:
    """Return the home folder of every process of this container.

    The engine's is root's when started as root, which nobody else may enter: libpq then gives up
    TLS without a word, or fails, since it cannot look for ``~/.postgresql``.  Otherwise it is
    whatever passwd names, or ``/``.
    """
    return settings.runtime / _HOME


def synapse_environ(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Return ``environ`` as Synapse should see it; ``PYTHON*`` would choose what is imported."""
    result = {
        name: value
        for name, value in environ.items()
        if not name.startswith(("PYTHON", *_LAUNCHER_VARIABLES))
    }
    result["HOME"] = str(home(settings))
    if settings.jemalloc and "LD_PRELOAD" not in result and _has_jemalloc():
        result["LD_PRELOAD"] = _JEMALLOC
    return result


def _has_jemalloc() -> bool:
    return any(Path("/usr/lib").glob(f"*-linux-*/{_JEMALLOC}"))


def synapse_command(settings: Settings, files: Sequence[Path]) -> list[str]:
    """Return Synapse's command line.

    Isolated (``-I``): neither the working folder nor the home folder, which may be mounted, nor
    ``PYTHON*`` variables decide what is imported.  Unbuffered (``-u``): the last lines before a
    crash must be seen.  By way of ``boot.py``, which is ``-m`` and hears SIGTERM at once.
    """
    command = [sys.executable, "-I", "-u", str(_BOOT), settings.worker.app]
    for path in files:
        if path.name != "log.yaml":
            command += ["-c", str(path)]
    return command


def drop_rights(settings: Settings) -> list[str]:
    """Become UID:GID when root, keeping nothing, with a home of its own; return warnings.

    Raises:
        ConfigError: when root lacks CAP_SETUID or CAP_SETGID.
    """
    os.environ["HOME"] = str(home(settings))  # For libpq in this process.
    if os.geteuid() == 0:
        try:
            os.setgroups([])
            os.setgid(settings.gid)
            os.setuid(settings.uid)
        except PermissionError:
            user = f"{settings.uid}:{settings.gid}"
            raise ConfigError(
                [
                    f"started as root without the right to become {user}; start the container with "
                    f"--user {user}"
                ]
            ) from None
        return []
    if os.geteuid() != settings.uid and "UID" in os.environ:
        return [f"UID={settings.uid} is not used: started as uid {os.geteuid()}, not as root"]
    return []


def choose_cpus(settings: Settings) -> None:
    """Pin this process, and so Synapse, to its CPUs.

    Raises:
        ConfigError: when the machine has none of them.
    """
    if not settings.cpus:
        return
    try:
        os.sched_setaffinity(0, settings.cpus)
    except OSError:
        have = sorted(os.sched_getaffinity(0))
        raise ConfigError(
            [
                f"SYNAPSE_CPU_AFFINITY names CPUs {sorted(settings.cpus)}, but only {have} may be "
                "used here; choose among them"
            ]
        ) from None


def make_home(settings: Settings) -> None:
    """Make the home folder, for this user alone.

    Raises:
        ConfigError: when it cannot be made, or something of another user is in its place.
    """
    folder = home(settings)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        reason = error.strerror
    else:
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
            folder.chmod(0o700)
            return
        reason = f"it is not a folder of uid {os.geteuid()}; remove it"
    raise ConfigError([f"{folder}: the home folder cannot be made: {reason}"])


def exec_synapse(settings: Settings, files: Sequence[Path], environ: Mapping[str, str]) -> None:
    """Replace this process by Synapse.

    Raises:
        ConfigError: when its CPUs cannot be had, its home folder cannot be made, or the system
            refuses the new program.
    """
    choose_cpus(settings)
    make_home(settings)
    command = synapse_command(settings, files)
    sys.stdout.flush()
    sys.stderr.flush()
    block_for_exec()
    try:
        os.execve(command[0], command, synapse_environ(environ, settings))
    except OSError as error:
        unblock()
        raise ConfigError([f"{command[0]} cannot be started: {error.strerror}"]) from None
