"""Invariants for any input: a documented exit code, single lines, no secret, and a timely end.

`answer` runs a verb in this process and asserts them; `many` sets how many examples a test tries.
"""

import collections
import io
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings

from worker import __main__ as entrypoint

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))
# A run of many examples looks for new failures; a short one must be the same every time.
_RANDOM = bool(os.environ.get("FUZZ_RANDOM"))
DEADLINE = 10  # Seconds for one call: far more than any takes, even on a busy machine.
STATUSES = (0, 1, 2, 75)
SECRET = "Pl4nted-s3cret"  # No output may contain it, wherever it is planted.


class Late(BaseException):
    """A call missed the deadline; this is not an `Exception`, so that no code swallows it."""


class Started(BaseException):
    """Raised where the entrypoint would have become Synapse."""


class Tally:
    """Counts the answers of one fuzz test and formats the figures."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.statuses: collections.Counter[int] = collections.Counter()
        self._slowest = 0.0

    def add(self, status: int, seconds: float) -> None:
        """Count one answer."""
        self.statuses[status] += 1
        self._slowest = max(self._slowest, seconds)

    def line(self) -> str:
        """Return the figures: number of tries, answers by exit code, and the slowest call."""
        tries = sum(self.statuses.values())
        by_status = ", ".join(f"{count} x {status}" for status, count in self.statuses.items())
        return f"{self._name}: {tries} tries ({by_status}), slowest {self._slowest:.3f} s"

    def must_have_seen(self, *statuses: int) -> None:
        """Fail if an exit code never occurred: the examples were then too odd or too tame."""
        if EXAMPLES >= 100:
            assert set(statuses) <= set(self.statuses), self.line()


def many(share: float = 1) -> Callable[[Any], Any]:
    """Return Hypothesis settings with ``share`` of ``FUZZ_EXAMPLES`` as the number of examples."""
    return settings(
        max_examples=max(1, round(EXAMPLES * share)),
        deadline=None,
        database=None,
        derandomize=not _RANDOM,
        print_blob=True,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def _within(seconds: float) -> Any:
    def late(_number: int, _frame: object) -> None:
        raise Late

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def answer(
    arguments: Sequence[str], environ: Mapping[str, str], tally: Tally, *, planted: bool = False
) -> tuple[int, str, str]:
    """Run the entrypoint's `main`; return exit code, standard output and standard error.

    Args:
        arguments: the verb and its own arguments.
        environ: the container's environment.
        tally: counts the answer.
        planted: whether the input contains `SECRET`, which must then not be in the output.

    Raises:
        AssertionError: when the answer breaks the contract.
        Late: when it does not end within the deadline.
    """
    # Some verbs write bytes.
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), io.StringIO()
    start = time.monotonic()
    with _within(DEADLINE), redirect_stdout(out), redirect_stderr(err):
        try:
            status = entrypoint.main(arguments, environ)
        except Started:
            status = 0
    tally.add(status, time.monotonic() - start)
    out.seek(0)
    printed = out.read()
    lines = err.getvalue().splitlines()
    assert status in STATUSES, (status, lines)
    prefixes = ("warning: ", "error: ", "unhealthy: ", "waiting: ")
    assert all(line.startswith(prefixes) for line in lines), lines
    assert all(line.isprintable() for line in lines), lines
    errors = [line for line in lines if line.startswith(("error: ", "unhealthy: "))]
    assert bool(errors) == (status != 0), (status, lines)
    if planted:
        assert SECRET not in printed + err.getvalue(), (printed, lines)
    return status, printed, err.getvalue()


def site(folder: Path) -> dict[str, str]:
    """Create a /data folder and those beside it; return the environment that names them."""
    for name in ("data", "media", "runtime"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "data/signing.key").write_text(f"ed25519 a_test {'Bc' * 21}A\n")
    return {
        "SYNAPSE_DATA_DIR": str(folder / "data"),
        "SYNAPSE_MEDIA_DIR": str(folder / "media"),
        "SYNAPSE_RUNTIME_DIR": str(folder / "runtime"),
    }
