"""Resolves Python requirements with uv, and chooses the file that each architecture gets."""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.pinning.as_of import ALL, AsOf
from tools.pinning.choosing import Target, choose, is_wheel, tag_order, without_wheel
from tools.pinning.errors import PinError
from tools.pinning.uv_tool import run_uv


def compile_lock(
    sources: Sequence[Path],
    python: tuple[int, int],
    *,
    extras: Sequence[str] = (),
    constraints: Sequence[Path] = (),
    preferences: Mapping[str, str] | None = None,
    leave_out: Sequence[str] = (),
    as_of: AsOf | None = None,
) -> str:
    """Let uv resolve ``sources``; return the lock, with the hashes of every file of each release.

    Args:
        sources: requirements files, or a project's pyproject.toml or setup.py.
        python: the interpreter that will import it.
        extras: of the project.
        constraints: files of constraints.
        preferences: versions to take where nothing speaks against them, by normalised name.
        leave_out: packages to resolve and not to write.
        as_of: until when files count; None for all that there are.

    Raises:
        PinError: with uv's own explanation.
    """
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder, "lock.txt")
        if preferences:
            lock.write_text("".join(f"{name}=={preferences[name]}\n" for name in preferences))
        command = ["pip", "compile", "--quiet", "--generate-hashes", "--no-header"]
        command += ["--output-file", str(lock)]
        command += ["--python-version", ".".join(map(str, python)), "--annotation-style", "line"]
        command += ["--python-platform", "x86_64-manylinux_2_36"]
        for extra in extras:
            command += ["--extra", extra]
        for path in constraints:
            command += ["--constraint", str(path)]
        for name in leave_out:
            command += ["--no-emit-package", name]
        command += as_of.options() if as_of else ()
        target = Target(python, "amd64")
        try:
            text = run_uv(
                [*command, *map(str, sources)],
                lock,
                as_of.counts if as_of else lambda name, file: True,
                lambda files: is_wheel(choose(files, target)),
            )
        except PinError as error:
            raise (PinError(as_of.explain(str(error))) if as_of else error) from None
    # Paths of this run must not reach the lock.
    for path in (*sources, *constraints):
        text = text.replace(str(path), path.name)
    return text


class WheelsLackError(PinError):
    """Packages have wheels for Linux, but none for the image's Python.

    Attributes:
        names: of these packages.
    """

    def __init__(self, names: Collection[str]) -> None:
        """Keep the names; the text is for who asked for this Python."""
        super().__init__(f"no wheel for this Python: {', '.join(sorted(names))}")
        self.names = names


def resolve_with_wheels(
    sources: Sequence[Path],
    target: Target,
    preferences: Mapping[str, str],
    as_of: AsOf,
    *,
    later: bool = True,
    **options: Any,
) -> tuple[str, AsOf]:
    """Return the lock of ``sources``, at the versions of ``preferences`` where they have wheels.

    What was preferred, or the newest of that time, may be from before this Python: it would have to
    be compiled, and often cannot be.  Then the first release that has a wheel is taken.

    Args:
        sources: as of `compile_lock`, and so are further arguments.
        target: the interpreter.
        preferences: version by normalised name.
        as_of: until when files count.
        later: whether releases of a later time may be taken.

    Returns:
        The lock; and ``as_of`` with the times of such releases.

    Raises:
        WheelsLackError: when they may not, and have to be.
        PinError: with uv's own explanation.
    """
    # What is named by --newer is not held back.
    free = set(preferences) if ALL in as_of.newer else set(as_of.newer)
    compiled: set[str] = set()
    while True:
        preferences = {name: preferences[name] for name in preferences.keys() - free}
        text = compile_lock(sources, target.python, preferences=preferences, as_of=as_of, **options)
        lacking = without_wheel(text, target, as_of) - compiled
        if not lacking:
            return text, as_of
        free = lacking & preferences.keys()
        if free:
            continue
        if not later:
            raise WheelsLackError(lacking)
        for name in sorted(lacking):
            lifted = as_of.with_first_wheel(name, tag_order(target))
            if lifted is None:
                compiled.add(name)
            as_of = lifted or as_of
