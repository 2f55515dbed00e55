"""Resolves Python requirements with uv."""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pinning.as_of import ALL, AsOf
from pinning.choosing import Target, choose, is_wheel, tag_order, without_wheel
from pinning.errors import PinError
from pinning.uv_tool import run_uv


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
    """Resolve ``sources`` with uv and return the lock, with the hashes of each release's files.

    Args:
        sources: requirements files, or a project's pyproject.toml or setup.py.
        python: the version of the Python that will import the packages.
        extras: the extras of the project to include.
        constraints: constraints files.
        preferences: versions to prefer where nothing rules them out, by normalized name.
        leave_out: packages to resolve but omit from the lock.
        as_of: the time after which uploaded files are ignored, or None to consider all files.

    Raises:
        PinError: if uv cannot resolve the requirements; the message has uv's explanation.
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
    # The lock must not contain this run's temporary paths.
    for path in (*sources, *constraints):
        text = text.replace(str(path), path.name)
    return text


class WheelsLackError(PinError):
    """Some packages have Linux wheels, but none for the image's Python.

    Attributes:
        names: the names of these packages.
    """

    def __init__(self, names: Collection[str]) -> None:
        """Store the names and format the message that names the packages."""
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
    """Return the lock of ``sources``, using the versions in ``preferences`` that have wheels.

    The preferred version of a package, or the newest one at that time, may predate this Python. It
    would have to be compiled, which often fails. In that case, use the first release with a wheel.

    Args:
        sources: requirements files or project files, as for `compile_lock`.
        target: the interpreter.
        preferences: preferred versions by normalized name.
        as_of: the time after which uploaded files are ignored.
        later: whether releases that were uploaded after that time may be used.
        **options: further keyword arguments of `compile_lock`.

    Returns:
        The lock, and ``as_of`` extended with the times of the later releases that were used.

    Raises:
        WheelsLackError: if a later release is needed but ``later`` is false.
        PinError: if uv cannot resolve the requirements; the message has uv's explanation.
    """
    # Packages named by --newer are not held at the preferred version.
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
