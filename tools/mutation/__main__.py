"""Changes a package in one place at a time and prints how many of the changes its tests see."""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import yaml

from tools.mutation.campaign import Campaign, CampaignError, Verdict
from tools.mutation.prepared import Ending
from tools.mutation.processes import mount_tmpfs
from tools.mutation.reasons import match, read_reasons
from tools.mutation.source import Mutant, mutants

_INSIDE = "MUTATION_INSIDE"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the workspace")
    parser.add_argument("--package", default="worker", help="the folder of the package")
    parser.add_argument("--tests", default="tests/worker", help="the folder of its tests")
    parser.add_argument("--without", action="append", default=[], help="a test module to exclude")
    parser.add_argument(
        "--slowest", type=float, default=5.0, help="exclude slower tests; in seconds"
    )
    parser.add_argument("--keep-going", action="store_true", help="exclude failing tests")
    parser.add_argument("--reasons", type=Path, required=True, help="the list of reasons")
    parser.add_argument(
        "--minimum", type=float, default=95.0, help="the percentage that must be detected"
    )
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", action="append", help="one module, such as worker/plan.py")
    parser.add_argument("--sample", type=int, help="this many changes, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="only print the changes")
    parser.add_argument(
        "--verbose", action="store_true", help="print which test detected each change"
    )
    return parser


def _confine() -> None:
    """Run in new namespaces, because a mutant may signal any process that it can see."""
    unshare = shutil.which("unshare")
    if os.environ.get(_INSIDE) or unshare is None:
        return
    os.environ[_INSIDE] = "1"
    command = [unshare, "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        command += ["--user", "--map-current-user"]
    os.execv(unshare, [*command, sys.executable, *sys.orig_argv[1:]])


def _mount_temporary_files(root: Path) -> None:
    """If run as root, mount a private folder for temporary files: a mutant may change its mode."""
    folder = Path(tempfile.gettempdir()).resolve()
    if os.environ.get(_INSIDE) and os.geteuid() == 0 and not root.is_relative_to(folder):
        mount_tmpfs(folder)


def _chosen(options: argparse.Namespace) -> list[Mutant]:
    package = options.root / options.package
    paths = [path.relative_to(options.root).as_posix() for path in sorted(package.rglob("*.py"))]
    wrong = set(options.only or ()) - set(paths)
    if wrong:
        raise CampaignError(f"--only {', '.join(sorted(wrong))}: not a module; {', '.join(paths)}")
    found = [
        mutant
        for path in paths
        if not options.only or path in options.only
        for mutant in mutants(options.root, path)
    ]
    if options.sample is not None and options.sample < len(found):
        chosen = set(random.Random(options.seed).sample(range(len(found)), options.sample))
        found = [mutant for number, mutant in enumerate(found) if number in chosen]
    return found


def _say(line: str) -> None:
    print(line, flush=True)


def _table(verdicts: Sequence[Verdict], explained: set[Mutant]) -> None:
    rows = Counter(verdict.mutant.path for verdict in verdicts)
    seen = Counter(verdict.mutant.path for verdict in verdicts if verdict.seen_by)
    reasoned = Counter(mutant.path for mutant in explained)
    width = max(map(len, rows))
    for path in sorted(rows):
        rest = rows[path] - seen[path]
        _say(
            f"{path:{width}}  {seen[path]:4} of {rows[path]:4} seen"
            + (f", {reasoned[path]} of {rest} others with a reason" if rest else "")
        )


def _entries(survivors: Sequence[Mutant]) -> str:
    """Return survivors as YAML entries for the list of reasons."""
    by_place: dict[str, list[str]] = {}
    for mutant in survivors:
        by_place.setdefault(mutant.where, []).append(mutant.change)
    entries = [
        {"where": where, "changes": sorted(set(changes)), "reason": ""}
        for where, changes in by_place.items()
    ]
    return str(yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=1000))


def _report(options: argparse.Namespace, verdicts: Sequence[Verdict], seconds: float) -> int:
    survivors = [verdict.mutant for verdict in verdicts if not verdict.seen_by]
    survivors.sort(key=lambda mutant: (mutant.path, mutant.line))
    paths = {verdict.mutant.path for verdict in verdicts}
    whole = options.sample is None
    explained, bare, stale = match(survivors, read_reasons(options.reasons), paths)
    for mutant, reason in explained:
        _say(f"not seen: {mutant.path}:{mutant.line}: {mutant.change}: {reason}")
    for mutant in bare:
        _say(f"NOT SEEN: {mutant.path}:{mutant.line}: {mutant.change}")
    if bare:
        _say(f"Without a reason in {options.reasons}; see them, or add:\n{_entries(bare)}")
    for line in stale if whole else ():
        _say(f"reason that fits nothing: {line}")
    _table(verdicts, {mutant for mutant, _ in explained})
    seen = len(verdicts) - len(survivors)
    late = sum(verdict.seen_by == Ending.TIME_LIMIT for verdict in verdicts)
    share = 100 * seen / max(1, len(verdicts))
    _say(
        f"{seen} of {len(verdicts)} mutants seen ({share:.1f} %), {late} of them by a time limit; "
        f"{len(explained)} others with a reason, {len(bare)} without; {seconds:.0f} s"
    )
    if share < options.minimum:
        _say(f"at least {options.minimum:g} % must be seen")
    return 1 if bare or share < options.minimum else 0


def main(arguments: Sequence[str]) -> int:
    """Return 0 if enough mutants are seen and every survivor has a reason, otherwise 1."""
    options = _parser().parse_args(arguments)
    options.root = options.root.resolve()
    _mount_temporary_files(options.root)
    start = time.monotonic()
    try:
        chosen = _chosen(options)
        if options.list:
            for mutant in chosen:
                _say(f"{mutant.path}:{mutant.line} {mutant.scope}: {mutant.change}")
            _say(f"{len(chosen)} mutants")
            return 0
        files = sorted((options.root / options.tests).glob("*_test.py"))
        names = [
            path.relative_to(options.root).as_posix()
            for path in files
            if not any(fnmatch(path.name, pattern) for pattern in options.without)
        ]
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            campaign = Campaign(
                options.root,
                options.package,
                names,
                Path(folder),
                options.jobs,
                options.slowest,
                options.keep_going,
                _say,
            )
            verdicts = []
            for verdict in campaign.verdicts(chosen):
                verdicts.append(verdict)
                if options.verbose:
                    mutant = verdict.mutant
                    _say(
                        f"{mutant.path}:{mutant.line}: {mutant.change}: {verdict.seconds:.1f} s, "
                        f"{verdict.tests} tests, seen by {verdict.seen_by or 'none'}"
                    )
                if len(verdicts) % 100 == 0:
                    _say(f"{len(verdicts)} of {len(chosen)}, {time.monotonic() - start:.0f} s")
    except CampaignError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for test, reason in campaign.skipped.items():
        _say(f"skipped, and so saw nothing: {test}: {reason}")
    return _report(options, verdicts, time.monotonic() - start)


if __name__ == "__main__":
    _confine()
    sys.exit(main(sys.argv[1:]))
