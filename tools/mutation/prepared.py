"""A pytest session that imports all tests once and forks for each changed function.

Importing the tests takes longer than running those that see a change. Therefore, a forked process,
in which everything is already imported, only replaces the code of the function that changed.
"""

import gc
import inspect
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

from tools.mutation.hits import Coverage
from tools.mutation.processes import adopt_orphans, end, end_orphans, finished, fork
from tools.mutation.session import OPTIONS, Outcome, limit
from tools.mutation.source import Mutant

PATIENCE = 30.0  # Seconds that a run may take beyond ten times the unchanged program's time.
PAUSE = 0.005  # Seconds between checks of a process.
_NUMBER = 4  # Bytes per number in the queue.


class Ending(StrEnum):
    """How the tests of a mutant ended other than with a test that passed or failed."""

    TIME_LIMIT = "time limit"
    DIED = "the process died"


class Tree:
    """A copy of the workspace in which one module at a time is changed.

    Args:
        folder: The copy.
        root: The workspace.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self._root = folder, root
        self._second = int(time.time())

    def put(self, path: str, text: str | None = None) -> None:
        """Write ``text`` to the module ``path``, or restore the workspace's text if it is None."""
        target = self.folder / path
        if text is None:
            text = (self._root / path).read_text(encoding="utf-8")
        target.write_text(text, encoding="utf-8")
        # Python compares only whole seconds and sizes to detect stale bytecode.
        self._second += 1
        os.utime(target, (self._second, self._second))


def wait(child: int, seconds: float, kept: set[int] | None = None) -> bool:
    """Wait for ``child``, end the processes that it left, and return whether it ended in time."""
    deadline = time.monotonic() + seconds
    while not finished(child):
        if time.monotonic() > deadline:
            end(child)
            end_orphans(kept or set())
            return False
        time.sleep(PAUSE)
    end_orphans(kept or set())
    return True


class Queue:
    """A queue of numbers from which several processes take.

    Args:
        numbers: The numbers, at most 16,000.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        self._read, write = os.pipe()
        os.write(write, b"".join(number.to_bytes(_NUMBER) for number in numbers))
        os.close(write)

    def __iter__(self) -> Iterator[int]:
        while data := os.read(self._read, _NUMBER):
            yield int.from_bytes(data)


def _function_code(code: CodeType, scope: Sequence[str]) -> CodeType | None:
    """Return the code of the outermost function in ``scope``, or None if that is not unique."""
    for name in scope:
        found = [part for part in code.co_consts if inspect.iscode(part) and part.co_name == name]
        if len(found) != 1:
            return None
        code = found[0]
        if code.co_flags & inspect.CO_OPTIMIZED:
            return code
    return None


class _Bench(Outcome):
    """Judges the mutants of a queue instead of running the collected tests."""

    def __init__(
        self,
        tree: Tree,
        mutants: Sequence[Mutant],
        queue: Queue,
        order: Callable[[Mutant], list[str]],
        remember: Callable[[Mutant, str], None],
        coverage: Coverage,
        results: Path,
    ) -> None:
        super().__init__()
        self._tree, self._mutants, self._queue = tree, mutants, queue
        self._order, self._remember = order, remember
        self._coverage, self._results = coverage, results
        self._items: dict[str, pytest.Item] = {}
        self._functions: dict[tuple[str, str], list[FunctionType]] = defaultdict(list)
        self._answer = results.with_suffix(".one")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Judge each mutant of the queue; one that needs a new import gets the verdict None."""
        adopt_orphans()
        self._items = {item.nodeid: item for item in session.items}
        for thing in gc.get_objects():
            if isinstance(thing, FunctionType):
                self._functions[thing.__module__, thing.__code__.co_qualname].append(thing)
        gc.freeze()
        with self._results.open("w") as results:
            for number in self._queue:
                start = time.monotonic()
                mutant = self._mutants[number]
                verdict = self._judge(mutant)
                self._remember(mutant, verdict[0] or "")
                line = json.dumps([number, *verdict, time.monotonic() - start])
                print(line, file=results, flush=True)
        return True

    def _judge(self, mutant: Mutant) -> tuple[str | None, int]:
        tests = self._order(mutant)
        exchange = self._exchange(mutant)
        if exchange is None:
            return None, len(tests)
        self._answer.unlink(missing_ok=True)
        self._tree.put(mutant.path, mutant.text)
        try:
            usual = sum(self._coverage.seconds[test] for test in tests)
            in_time = wait(fork(lambda: self._run(exchange, tests)), 10 * usual + PATIENCE)
        finally:
            self._tree.put(mutant.path)
        if not in_time:
            return Ending.TIME_LIMIT, len(tests)
        seen_by = self._answer.read_text() if self._answer.exists() else Ending.DIED
        if not seen_by and self._coverage.importing(mutant):
            return None, len(tests)
        return seen_by, len(tests)

    def _exchange(self, mutant: Mutant) -> Callable[[], None] | None:
        """Return a function that installs the changed code, or None if it needs a new import."""
        if not (mutant.in_body and mutant.lines):
            return None
        module = mutant.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        if module not in sys.modules:
            return lambda: None
        path = str(self._tree.folder / mutant.path)
        code = _function_code(compile(mutant.text, path, "exec"), mutant.scope.split("."))
        functions = self._functions[module, code.co_qualname] if code is not None else []
        if code is None or not functions:
            return None
        if any(one.__code__.co_freevars != code.co_freevars for one in functions):
            return None

        def put() -> None:
            for function in functions:
                function.__code__ = code

        return put

    def _run(self, exchange: Callable[[], None], tests: Sequence[str]) -> None:
        """Run ``tests`` until one fails, and write its name."""
        os.setsid()
        limit()
        exchange()
        items = [self._items[test] for test in tests]
        following: list[Any] = [*items[1:], None]
        for item, after in zip(items, following, strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if self.failed:
                break
        self._answer.write_text(next(iter(self.failed), ""))
        os._exit(0)


def judge_all(
    tree: Tree,
    mutants: Sequence[Mutant],
    queue: Queue,
    order: Callable[[Mutant], list[str]],
    remember: Callable[[Mutant, str], None],
    coverage: Coverage,
    results: Path,
) -> None:
    """Judge the mutants that the queue names, in this process and its children.

    Args:
        tree: The tree that the process has already entered.
        mutants: All mutants.
        queue: The indexes of the mutants to judge.
        order: Returns the tests to run for a mutant.
        remember: Is called with the test that saw a mutant, so that it is run first for the next.
        coverage: The coverage of the tests.
        results: The file to which a line of JSON is written for each mutant: index, the test that
            saw it ("" for none, null if it needs a new import), number of tests, seconds.
    """
    bench = _Bench(tree, mutants, queue, order, remember, coverage, results)
    files = sorted({test.partition("::")[0] for test in coverage.seconds})
    scratch = results.with_suffix(".scratch")
    pytest.main([*OPTIONS, "-s", f"--basetemp={scratch}", *files], plugins=[bench])
