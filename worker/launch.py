"""Becomes Synapse: rights dropped, CPUs chosen, environment clean, then exec."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker.errors import ConfigError
from worker.settings import Settings

# Set by Bazel's launcher for this program; Synapse must not import through them.
_LAUNCHER_VARIABLES = frozenset(
    {
        "JAVA_RUNFILES",
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONSAFEPATH",
        "PYTHON_RUNFILES",
        "RUNFILES_DIR",
        "RUNFILES_MANIFEST_FILE",
        "RUNFILES_MANIFEST_ONLY",
    }
)
_JEMALLOC = "libjemalloc.so.2"  # By soname: found on every architecture.


def synapse_environ(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Return ``environ`` as Synapse should see it."""
    result = {name: value for name, value in environ.items() if name not in _LAUNCHER_VARIABLES}
    result["PYTHONUNBUFFERED"] = "1"  # The last words before a crash must be seen.
    if settings.jemalloc and "LD_PRELOAD" not in result and _has_jemalloc():
        result["LD_PRELOAD"] = _JEMALLOC
    return result


def _has_jemalloc() -> bool:
    return any(Path("/usr/lib").glob(f"*-linux-*/{_JEMALLOC}"))


def synapse_command(settings: Settings, files: Sequence[Path]) -> list[str]:
    """Return Synapse's command line; -P since the working folder is the operator's."""
    command = [sys.executable, "-P", "-m", settings.worker.app]
    for path in files:
        if path.name != "log.yaml":
            command += ["-c", str(path)]
    return command


def drop_rights(settings: Settings) -> list[str]:
    """Become UID:GID when root, keeping nothing; return warnings otherwise.

    Raises:
        ConfigError: when root lacks CAP_SETUID or CAP_SETGID.
    """
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


def exec_synapse(settings: Settings, files: Sequence[Path], environ: Mapping[str, str]) -> None:
    """Replace this process by Synapse."""
    choose_cpus(settings)
    command = synapse_command(settings, files)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, synapse_environ(environ, settings))
