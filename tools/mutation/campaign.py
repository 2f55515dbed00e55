"""Tries each mutant in a forked process with a separate tree, using the tests that run it."""

import importlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.mutation.hits import Coverage, Recorder
from tools.mutation.prepared import PATIENCE, PAUSE, Ending, Queue, Tree, judge_all, wait
from tools.mutation.processes import adopt_orphans, end, end_orphans, finished, fork
from tools.mutation.session import enter, judge, limit, observe
from tools.mutation.source import Mutant

_LEFT_OUT = ("bazel-", ".", "external", "__pycache__")
_FIRST = 6  # Tests that run before the files of all others are imported.
_LONGEST = 3600.0  # Seconds allowed for one run of all tests.


class CampaignError(Exception):
    """The tests cannot judge mutants, for example because they fail on the unchanged program."""


@dataclass(frozen=True)
class Verdict:
    """The result for one mutant.

    Attributes:
        mutant: The mutant.
        seen_by: The first test that failed, an `Ending`, or "" if all passed or none was chosen.
        tests: The number of tests that were chosen.
        seconds: The time it took, in seconds.
    """

    mutant: Mutant
    seen_by: str
    tests: int
    seconds: float


@dataclass
class _Running:
    mutant: Mutant
    slot: int
    tests: int
    started: float
    deadline: float


class Campaign:
    """The tests of one package, prepared to judge mutants of it.

    Args:
        root: The workspace.
        package: The package's folder, relative to the workspace.
        files: The test modules, relative to the workspace.
        folder: A folder for scratch files.
        jobs: The number of mutants that are tried at the same time.
        slowest: The longest time in seconds of a test that is used; slower tests are exploratory.
        keep_going: Whether tests that fail on the unchanged program are left out instead of
            refused.
        say: Is called with lines about the progress.

    Raises:
        CampaignError: If a test fails on the unchanged program.
    """

    def __init__(
        self,
        root: Path,
        package: str,
        files: Sequence[str],
        folder: Path,
        jobs: int,
        slowest: float,
        keep_going: bool,
        say: Callable[[str], None],
    ) -> None:
        self._root, self._folder, self._say = root, folder, say
        folder.chmod(0o755)  # A test that drops its privileges must still read the program.
        adopt_orphans()
        os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "pyc")
        self._trees = [
            Tree(_copied(root, folder / f"tree{number}"), root) for number in range(jobs)
        ]
        self._slowest, self._keep_going = slowest, keep_going
        self._killers: dict[str, list[str]] = {}
        self.skipped: dict[str, str] = {}
        self.coverage = self._observed(package, files)
        self._leave_out_dependent()

    def _observed(self, package: str, files: Sequence[str]) -> Coverage:
        tree = _copied(self._root, self._folder / "observed")
        recorder = Recorder(tree, package, self._folder / "hits")
        result, log = self._folder / "observed.json", self._folder / "observed.log"
        start = time.monotonic()

        def work() -> None:
            enter(tree, self._root, log)
            observe(files, self._folder / "scratch", recorder, result)

        if not wait(fork(work), _LONGEST) or not result.exists():
            raise CampaignError(f"the tests could not be run: {_end_of(log)}")
        document = json.loads(result.read_text())
        failed = ", ".join(document["failed"])
        if failed and self._keep_going:
            self._say(f"not asked, since they fail on the unchanged program: {failed}")
        elif failed:
            raise CampaignError(f"the tests fail on the unchanged program: {failed}{_end_of(log)}")
        self.skipped = document["skipped"]
        self._bare = document["bare"]
        coverage = Coverage.load(result, self._trees[0].folder, package)
        slow = {test for test, took in coverage.seconds.items() if took > self._slowest}
        self._say(
            f"{len(coverage.seconds)} tests in {time.monotonic() - start:.0f} s; "
            f"not asked, since slower than {self._slowest:g} s: {', '.join(sorted(slow)) or 'none'}"
        )
        for test in slow | set(self.skipped) | set(document["failed"]):
            coverage.seconds.pop(test, None)
        own = {path.stem for path in self._root.iterdir()}
        for name in document["modules"]:
            if name.partition(".")[0] not in own:
                _warm(name)
        return coverage

    def _leave_out_dependent(self) -> None:
        """Leave out tests that fail if others do not run or run in another order.

        Raises:
            CampaignError: If a module cannot be collected twice in one process, as is done for
                mutants that need a new import: it would fail for every one of them.
        """
        seconds = self.coverage.seconds
        bare = [test for test in self._bare if test in seconds]
        rest = [test for test in reversed(seconds) if test not in set(bare)]
        of_each = list({test.partition("::")[0]: test for test in seconds}.values())
        for number, stages in enumerate(([bare], [rest], [of_each, of_each])):
            result, log = self._folder / f"order{number}.json", self._folder / f"order{number}.log"
            wait(fork(self._work(0, stages, result, log, complete=True)), _LONGEST)
            for test in json.loads(result.read_text()):
                if "::" not in test:
                    raise CampaignError(f"{test} cannot be collected twice: {_end_of(log)}")
                self._say(f"not asked, since it depends on other tests: {test}")
                seconds.pop(test, None)

    def _work(
        self,
        slot: int,
        stages: Sequence[Sequence[str]],
        result: Path,
        log: Path,
        *options: str,
        complete: bool = False,
    ) -> Callable[[], None]:
        def work() -> None:
            enter(self._trees[slot].folder, self._root, log)
            scratch = self._folder / f"scratch{slot}"
            judge(stages, scratch, result, *options, complete=complete)

        return work

    def verdicts(self, mutants: Sequence[Mutant]) -> Iterator[Verdict]:
        """Yield the verdict on each of ``mutants``, in the order in which they finish."""
        left = []
        for mutant in mutants:
            if self.coverage.choose(mutant):
                left.append(mutant)
            else:
                yield Verdict(mutant, "", 0, 0.0)
        imported = []
        for number, seen_by, tests, seconds in self._prepared(left):
            if seen_by is None:
                imported.append(left[number])
            else:
                yield Verdict(left[number], seen_by, tests, seconds)
        yield from self._imported(imported)

    def _prepared(self, mutants: Sequence[Mutant]) -> Iterator[tuple[int, str | None, int, float]]:
        """Yield a row as written by `judge_all` for each mutant."""
        queue = Queue(range(len(mutants)))
        running: dict[int, Path] = {}
        for slot, tree in enumerate(self._trees):
            results, log = self._folder / f"prepared{slot}", self._folder / f"prepared{slot}.log"
            results.touch()

            def work(tree: Tree = tree, results: Path = results, log: Path = log) -> None:
                enter(tree.folder, self._root, log)
                order, remember, coverage = self._ordered, self._remember, self.coverage
                judge_all(tree, mutants, queue, order, remember, coverage, results)

            running[fork(work)] = results
        read = dict.fromkeys(running.values(), 0)
        done: set[int] = set()
        while running or any(path.stat().st_size > read[path] for path in read):
            for path in read:
                with path.open() as lines:
                    lines.seek(read[path])
                    for line in lines.read().splitlines(keepends=True):
                        if line.endswith("\n"):
                            read[path] += len(line)
                            verdict = json.loads(line)
                            done.add(verdict[0])
                            yield verdict
            for child in [child for child in running if finished(child)]:
                del running[child]
            time.sleep(0.1)
        # Mutants without a verdict because their session died.
        yield from ((number, None, 0, 0.0) for number in range(len(mutants)) if number not in done)

    def _imported(self, mutants: Sequence[Mutant]) -> Iterator[Verdict]:
        """Yield the verdicts on mutants for which the tests must be imported again."""
        waiting = list(reversed(mutants))
        free = list(range(len(self._trees)))
        running: dict[int, _Running] = {}
        while waiting or running:
            while waiting and free:
                slot = free.pop()
                child, one = self._start(waiting.pop(), slot)
                running[child] = one
            for child, one in list(running.items()):
                late = time.monotonic() > one.deadline
                if late:
                    end(child)
                elif not finished(child):
                    continue
                del running[child]
                end_orphans(set(running))
                free.append(one.slot)
                yield self._verdict(one, late)
            time.sleep(PAUSE)

    def _ordered(self, mutant: Mutant) -> list[str]:
        """Return the tests for ``mutant``, starting with those that saw its predecessors."""
        tests = self.coverage.choose(mutant)
        recent = [test for test in self._killers.get(mutant.path, []) if test in set(tests)]
        return list(dict.fromkeys(recent + tests))

    def _remember(self, mutant: Mutant, seen_by: str) -> None:
        if seen_by in self.coverage.seconds:
            killers = self._killers.setdefault(mutant.path, [])
            killers[:] = [seen_by, *[test for test in killers if test != seen_by][:3]]

    def _start(self, mutant: Mutant, slot: int) -> tuple[int, _Running]:
        tests = self._ordered(mutant)
        importing = self.coverage.importing(mutant)
        if importing:  # The prepared session has already run the others, which do not see it.
            tests = [test for test in tests if test.partition("::")[0] in importing]
        self._trees[slot].put(mutant.path, mutant.text)
        result, log = self._folder / f"result{slot}.json", self._folder / f"log{slot}"
        result.unlink(missing_ok=True)
        stages = [part for part in (tests[:_FIRST], tests[_FIRST:]) if part]
        work = self._work(slot, stages, result, log, "-x")

        def bounded() -> None:
            limit()
            work()

        now = time.monotonic()
        usual = sum(self.coverage.seconds[test] for test in tests)
        deadline = now + 10 * usual + PATIENCE
        return fork(bounded), _Running(mutant, slot, len(tests), now, deadline)

    def _verdict(self, one: _Running, late: bool) -> Verdict:
        self._trees[one.slot].put(one.mutant.path)
        result = self._folder / f"result{one.slot}.json"
        if late:
            seen_by: str = Ending.TIME_LIMIT
        elif not result.exists():
            seen_by = Ending.DIED
        else:
            seen_by = next(iter(json.loads(result.read_text())), "")
        self._remember(one.mutant, seen_by)
        return Verdict(one.mutant, seen_by, one.tests, time.monotonic() - one.started)


def _copied(root: Path, tree: Path) -> Path:
    """Copy the workspace with links resolved and without the files of Bazel and git."""

    def left_out(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if name.startswith(_LEFT_OUT)}

    return Path(shutil.copytree(root, tree, ignore=left_out, ignore_dangling_symlinks=True))


def _end_of(log: Path) -> str:
    """Return the last lines of a session's output, to be appended to a message."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n" + "\n".join(lines[-30:])


def _warm(name: str) -> None:
    """Import a library in this process, so that forked processes need not do so."""
    try:
        importlib.import_module(name)
    except Exception:
        return
