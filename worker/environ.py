"""Reads single environment variables, and collects the problems with them."""

import re
import socket
from collections.abc import Mapping
from pathlib import Path

from worker.binding import bind_problem, is_dual_stack, sockets_for
from worker.errors import shown
from worker.redaction import masked_text

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
MAX_WAIT_SECONDS = 86400
# Maps SYNAPSE_X_FORWARDED to the kinds of listener whose peers are trusted proxies.
_FORWARDED_KINDS = {
    "client": frozenset({"client"}),
    "all": frozenset({"client", "federation"}),
    "off": frozenset[str](),
}
_MAX_CPUS = 4096
_CPU_MASK = re.compile(
    "0[xX][0-9A-Fa-f]{1,1024}|0[bB][01]{1,4096}|0[oO][0-7]{1,1366}|[1-9][0-9]{0,1233}"
)
_MAX_PATH_BYTES, _MAX_NAME_BYTES = 4095, 255  # PATH_MAX without its null, NAME_MAX.


def _path_problem(path: Path) -> str:
    """Return why no file can have the path ``path``, or ""."""
    try:
        encoded = str(path).encode()  # The rendered files that contain it are UTF-8.
    except UnicodeEncodeError:
        return "is not valid UTF-8; use a path that is"
    if b"\0" in encoded or len(encoded) > _MAX_PATH_BYTES:
        return f"is not a path of at most {_MAX_PATH_BYTES} bytes; use a shorter one"
    if any(len(name) > _MAX_NAME_BYTES for name in encoded.split(b"/")):
        return f"has a component of more than {_MAX_NAME_BYTES} bytes; use a shorter one"
    return ""


class EnvironReader:
    """Reads single environment variables, and collects the problems with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        """Return the value of a variable, or ``default`` if it is empty or not set."""
        return self._environ.get(name) or default

    def add_problem(self, name: str, problem: str) -> None:
        """Add a line with the variable, its value without secrets, and the clause ``problem``."""
        self.problems.append(f"{name}={shown(repr(masked_text(self._environ[name])))} {problem}")

    def choice(self, name: str, default: str, alternative: str) -> bool:
        """Return whether the variable is ``default``; the only other choice is ``alternative``."""
        value = self.text(name, default)
        if value not in (default, alternative):
            self.add_problem(name, f"is neither {default} nor {alternative}; use one of them")
        return value == default

    def forwarded(self, name: str) -> frozenset[str]:
        """Return the kinds of listener that trust ``X-Forwarded-For``."""
        value = self.text(name, "client")
        if value not in _FORWARDED_KINDS:
            self.add_problem(name, f"is none of {', '.join(_FORWARDED_KINDS)}; use one of them")
        return _FORWARDED_KINDS.get(value, _FORWARDED_KINDS["off"])

    def path(self, name: str, default: Path | str) -> Path:
        """Return the value of the variable as an absolute path, or ``default``."""
        value = Path(self.text(name, str(default)))
        if self.text(name) and not value.is_absolute():
            self.add_problem(name, "is not an absolute path; use one that begins with /")
        elif self.text(name) and _path_problem(value):
            self.add_problem(name, _path_problem(value))
        return value

    def secret_file(self, name: str) -> Path | None:
        """Return the path of a secret's file; messages omit it, since it may be the secret."""
        value = Path(self.text(name, "/"))
        if not value.is_absolute():
            self.problems.append(
                f"{name} is not an absolute path; write the secret to a file and use the path of "
                "that file"
            )
        elif _path_problem(value):
            self.problems.append(f"{name} {_path_problem(value)}")
        return value if self.text(name) else None

    def identity(self, name: str) -> int:
        """Return a user or group ID other than root's; the default is 991."""
        value = self.text(name, "991")
        if not re.fullmatch("[0-9]{1,9}", value) or int(value) == 0:
            self.add_problem(name, "is not a number from 1 to 999999999; use one, for example 991")
            return 991
        return int(value)

    def cpus(self, name: str) -> frozenset[int]:
        """Return the CPUs in a bit mask like Synapse's old ``cpu_affinity``; 0x3 is CPU 0 and 1."""
        value = self.text(name)
        if not value:
            return frozenset()
        mask = int(value, 0) if _CPU_MASK.fullmatch(value) else 0
        if not 0 < mask < 1 << _MAX_CPUS:
            self.add_problem(
                name,
                "is not a CPU mask; use a positive number with one bit for each CPU, for example "
                "0x3 for the first two",
            )
            return frozenset()
        return frozenset(cpu for cpu in range(mask.bit_length()) if mask >> cpu & 1)

    def log_level(self, name: str) -> str:
        """Return one of ``LOG_LEVELS``; the variable may be in upper or lower case."""
        level = self.text(name, "INFO").upper()
        level = {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(level, level)
        if level not in LOG_LEVELS:
            self.add_problem(name, f"is not a log level; choose one of {', '.join(LOG_LEVELS)}")
        return level

    def addresses(self, name: str) -> tuple[str, ...]:
        """Return the addresses to bind sockets to, without those that a wildcard covers."""
        addresses = [address.strip() for address in self.text(name, "0.0.0.0").split(",")]
        if bind_problem(addresses):
            self.add_problem(name, bind_problem(addresses))
            return ()
        return sockets_for(addresses, dual_stack=is_dual_stack())

    def hostname(self, name: str) -> str:
        """Return the host name for the log; the default is the host name of the container."""
        value = self.text(name) or socket.gethostname()
        if not value.isprintable() or len(value) > 255:
            problem = "is not a printable line of at most 255 characters; use another host name"
            if self.text(name):
                self.add_problem(name, problem)
            else:
                self.problems.append(f"{name} is not set, and the host name {value!r} {problem}")
        return value

    def oom_score(self, name: str, default: int) -> int:
        """Return what to add to ``oom_score_adj``, from 0 to 1000."""
        value = self.text(name, str(default))
        if not re.fullmatch("[0-9]{1,4}", value) or int(value) > 1000:
            self.add_problem(name, "is not a number from 0 to 1000; use one, for example 200")
            return default
        return int(value)

    def seconds(self, name: str) -> int:
        """Return how many seconds to wait, from 0 to ``MAX_WAIT_SECONDS``."""
        value = self.text(name, "0")
        if not re.fullmatch("[0-9]{1,5}", value) or int(value) > MAX_WAIT_SECONDS:
            self.add_problem(
                name,
                f"is not a number of seconds from 0 to {MAX_WAIT_SECONDS}; use one, for example 60",
            )
            return 0
        return int(value)
