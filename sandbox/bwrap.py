"""Describes a bwrap (bubblewrap) sandbox and builds the command line that enters it."""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

Mount = tuple[str, ...]
# /dev and /proc from the kernel, and a private /tmp.
KERNEL: tuple[Mount, ...] = (("--dev", "/dev"), ("--proc", "/proc"), ("--tmpfs", "/tmp"))


class MissingProgramError(RuntimeError):
    """A program is missing on this machine; the message names it and how to install it."""


def program(name: str, package: str) -> str:
    """Return the path of a program on this machine.

    Args:
        name: the program.
        package: the Debian package that contains it, for the message.

    Raises:
        MissingProgramError: if it is not on PATH.
    """
    path = shutil.which(name)
    if path is None:
        raise MissingProgramError(f"{name} is not on PATH; install the package {package}")
    return path


def system_bwrap() -> str:
    """Return the path of this machine's bwrap.

    Raises:
        MissingProgramError: if it is not on PATH.
    """
    return program("bwrap", "bubblewrap")


def writable(source: str | Path, target: str) -> Mount:
    """Return a writable mount of ``source`` at ``target``."""
    return ("--bind", str(source), target)


def read_only(source: str | Path, target: str) -> Mount:
    """Return a read-only mount of ``source`` at ``target``."""
    return ("--ro-bind", str(source), target)


def tmpfs(target: str) -> Mount:
    """Return a mount of an empty tmpfs at ``target``."""
    return ("--tmpfs", target)


def symlinks(root: Path) -> Iterator[Mount]:
    """Yield the symbolic links at the top of ``root``, such as from /bin to usr/bin."""
    for name in sorted(os.listdir(root)):
        if (root / name).is_symlink():
            yield ("--symlink", os.readlink(root / name), f"/{name}")


@dataclass(frozen=True)
class Sandbox:
    """A sandbox, in which a program can access only what is listed here.

    Attributes:
        bwrap: the command that starts bwrap, with its first arguments.
        mounts: the mounts, in order.
        user: the program's user and group ID in a user namespace, or None to keep the caller's.
        unshare: its other namespaces, such as "ipc" for ``--unshare-ipc``.
        capabilities: its only capabilities.
        environ: its only environment variables.
        folder: its working directory.
        hostname: the host name in its UTS namespace, or "" to keep the machine's.
        die_with_parent: whether it is killed when its caller ends.
        first: whether the program itself is process 1, instead of bwrap's own init.
        read_only_root: whether / itself is read-only.
    """

    bwrap: tuple[str, ...]
    mounts: tuple[Mount, ...]
    user: tuple[int, int] | None = None
    unshare: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    folder: str = "/"
    hostname: str = ""
    die_with_parent: bool = True
    first: bool = False
    read_only_root: bool = False

    def with_mounts(self, *mounts: Mount) -> "Sandbox":
        """Return this sandbox with additional mounts, on top of the existing ones."""
        return replace(self, mounts=(*self.mounts, *mounts))

    def with_environ(self, environ: Mapping[str, str]) -> "Sandbox":
        """Return this sandbox with additional environment variables."""
        return replace(self, environ={**self.environ, **environ})

    def in_our_processes(self) -> "Sandbox":
        """Return this sandbox in the caller's PID namespace, where bwrap executes the program.

        Signals then reach the program itself, and it continues to run when its caller ends.
        """
        unshare = tuple(name for name in self.unshare if name != "pid")
        return replace(self, unshare=unshare, die_with_parent=False)

    def command(self, *words: str | Path) -> list[str]:
        """Return the command line that runs ``words`` in the sandbox."""
        line = [*self.bwrap, "--clearenv", "--cap-drop", "ALL"]
        for name in self.capabilities:
            line += ["--cap-add", name]
        if self.user:
            line += ["--unshare-user", "--uid", str(self.user[0]), "--gid", str(self.user[1])]
        line += [f"--unshare-{name}" for name in self.unshare]
        if self.first:
            line.append("--as-pid-1")
        if self.die_with_parent:
            line.append("--die-with-parent")
        if self.hostname:
            line += ["--hostname", self.hostname]
        for name, value in self.environ.items():
            line += ["--setenv", name, value]
        for mount in self.mounts:
            line += mount
        if self.read_only_root:
            line += ["--remount-ro", "/"]
        return [*line, "--chdir", self.folder, "--", *map(str, words)]
