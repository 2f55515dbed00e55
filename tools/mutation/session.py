"""One run of pytest in a forked process, either to record what runs or to judge a mutant."""

import json
import os
import re
import resource
import sys
from collections import defaultdict
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tools.mutation.hits import Recorder

OPTIONS = ["-q", "-p", "no:cacheprovider", "-p", "no:junitxml", "--import-mode=importlib"]
_EXAMPLES = 20  # Limit for each property test, as every mutant is tried by all tests that run it.
_SETTINGS = "_hypothesis_internal_use_settings"
_MEMORY = 4 << 30  # Bytes of memory that a mutant may use, as some would never stop.
_FILE = 64 << 20  # Maximum size in bytes of a file that it writes.


def enter(tree: Path, root: Path, log: Path) -> None:
    """Make this process and its children import from ``tree``.

    Args:
        tree: A copy of ``root``.
        root: The workspace.
        log: The file for standard output and standard error.
    """
    os.setsid()
    os.chdir(tree)
    others = [path for path in sys.path if path and Path(path).resolve() != root.resolve()]
    sys.path[:] = [str(tree), *others]
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = [path for path in given if path and Path(path).resolve() != root.resolve()]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(tree), *kept])
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    settings.register_profile("mutants", derandomize=True, database=None)
    settings.load_profile("mutants")
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)


def limit() -> None:
    """Limit the memory and the file sizes of a mutant."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE, _FILE))


class Outcome:
    """Records failed and skipped tests and how long each test took; shortens property tests."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.skipped: dict[str, str] = {}
        self.seconds: dict[str, float] = defaultdict(float)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            function: Any = getattr(item, "obj", None)
            # This is the only way to limit what a decorator of the test has set.
            given: settings | None = getattr(function, _SETTINGS, None)
            if given is not None and given.max_examples > _EXAMPLES:
                bounded = settings(given, max_examples=_EXAMPLES)
                setattr(getattr(function, "__func__", function), _SETTINGS, bounded)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.append(report.nodeid)
        if report.skipped:
            self.skipped[report.nodeid] = str(report.longrepr)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid or "collection")


def _plain(test: str) -> str:
    """Return the name of a test with a slash in place of each run of backslashes.

    pytest escapes the backslashes in `ids` again each time a process collects the tests.
    """
    return re.sub(r"\\+", "/", test)


class _Chosen(Outcome):
    """Runs the chosen tests in the given order."""

    def __init__(self, tests: Sequence[str]) -> None:
        super().__init__()
        self._tests = tests
        self.lost: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        super().pytest_collection_modifyitems(items)
        by_name = {_plain(item.nodeid): item for item in items}
        items[:] = [by_name[name] for name in map(_plain, self._tests) if name in by_name]
        self.lost = [test for test in self._tests if _plain(test) not in by_name]


class _Observer(Outcome):
    """Attributes the places that run to tests; shared setup counts for all tests of a file."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder
        self.of_tests: dict[str, set[str]] = defaultdict(set)
        self.of_files: dict[str, set[str]] = defaultdict(set)

    def _take(self, places: set[str]) -> None:
        module = sys.modules.get(self._recorder.module)
        places.update(self._recorder.take(module.seen if module else None))

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        result = yield
        if isinstance(collector, pytest.Module):
            self._take(self.of_files[collector.nodeid])
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        result = yield
        self._take(self.of_tests[item.nodeid])
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Generator[None, Any, Any]:
        if fixturedef.scope == "function":
            return (yield)
        self._take(self.of_tests[request.node.nodeid])
        try:
            return (yield)
        finally:
            self._take(self.of_files[request.node.nodeid.partition("::")[0]])


def _main(files: Sequence[str], scratch: Path, plugin: object, *options: str) -> int:
    arguments = [*OPTIONS, f"--basetemp={scratch}", *options, *files]
    return int(pytest.main(arguments, plugins=[plugin]))


def observe(files: Sequence[str], scratch: Path, recorder: Recorder, result: Path) -> None:
    """Run all tests on the instrumented package; write which places each ran, and for how long."""
    observer = _Observer(recorder)
    _main(files, scratch, observer)
    places = {
        test: sorted(observer.of_tests[test] | observer.of_files[test.partition("::")[0]])
        for test in observer.seconds
        if test not in observer.skipped
    }
    document = {
        "places": places,
        "collected": {file: sorted(found) for file, found in observer.of_files.items()},
        "bare": sorted(test for test in places if not observer.of_tests[test]),
        "seconds": observer.seconds,
        "failed": observer.failed,
        "skipped": observer.skipped,
        "modules": sorted(sys.modules),
    }
    result.write_text(json.dumps(document))


def judge(
    stages: Sequence[Sequence[str]],
    scratch: Path,
    result: Path,
    *options: str,
    complete: bool = False,
) -> None:
    """Run the tests of each stage until a stage fails; write which tests failed.

    With ``complete``, a module from which a test is not collected counts as failed.
    """
    failed: list[str] = []
    for tests in stages:
        chosen = _Chosen(tests)
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        status = _main(files, scratch, chosen, *options)
        failed += chosen.failed
        if complete:
            failed += [test.partition("::")[0] for test in chosen.lost]
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) and not failed:
            failed.append(f"pytest, with status {status}")
        if failed:
            break
    result.write_text(json.dumps(failed))
