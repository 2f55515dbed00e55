"""The doctor accepts a plan if ``check``, with Synapse's own parser, accepts each process of it."""

import json
import os
import re
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from testbed.image import Image
from testbed.site import PLANNED
from tests.container.judging import judge
from tests.worker.cases import homeservers
from worker.plan import parse_plan
from worker.worker_types import load_table

_CASES = int(os.environ["CASES"])
_WORKER_TYPES = [name for name, worker_type in load_table().types.items() if worker_type.many]
# Checks all cases in one process, since loading Synapse takes two seconds.
_JUDGE = """\
import io, json, os, sys, traceback, warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
sys.path.insert(0, "/usr/lib/synapse-worker")
from worker.__main__ import main
warnings.simplefilter("ignore")
PREFIXES = ("error: ", "warning: ")

def ask(arguments, environ):
    err = io.StringIO()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(err):
            status = main(arguments, environ)
        # Synapse's own warnings are among them, on several lines each.
        lines = [line for line in err.getvalue().splitlines() if line.startswith(PREFIXES)]
        return [status, lines]
    except BaseException:
        return [-1, traceback.format_exc().splitlines()]

answers = []
certificate = Path("/data/tls.crt")
content = certificate.read_bytes()
for case in json.loads(Path("/cases/cases.json").read_text()):
    Path("/data/homeserver.yaml").write_text(case["homeserver"])
    certificate.unlink(missing_ok=True)
    if case["certificate"]:
        certificate.write_bytes(content)
    common = case["environ"] | {"SYNAPSE_WORKERS": case["plan"], "SYNAPSE_REPLICATION_HOST": "main"}
    processes = {"main": ask(["check"], common | {"SYNAPSE_WORKER": "homeserver"})}
    for name in case["names"]:
        processes[name] = ask(["check"], common | {"SYNAPSE_WORKER_NAME": name})
    answers.append([ask(["doctor", case["plan"]], case["environ"]), processes])
Path("/cases/answers.json").write_text(json.dumps(answers))
"""


def make_cases() -> list[dict[str, Any]]:
    """Return cases from `hypothesis`, about half of them with a valid homeserver.yaml."""
    cases: list[dict[str, Any]] = []
    plans = st.lists(
        st.lists(st.sampled_from(_WORKER_TYPES), min_size=1, max_size=3, unique=True).map("+".join),
        max_size=3,
    ).map(lambda parts: ", ".join(f"w{number}={part}" for number, part in enumerate(parts)))

    @settings(
        max_examples=_CASES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        change=st.one_of(st.just({}), homeservers()),
        plan=plans,
        certificate=st.sampled_from([True, True, False]),
        tls=st.sampled_from(["on", "off"]),
    )
    def collect(change: dict[Any, Any], plan: str, certificate: bool, tls: str) -> None:
        homeserver = yaml.safe_load(PLANNED) | change
        cases.append(
            {
                "homeserver": yaml.safe_dump(homeserver, allow_unicode=True),
                "plan": plan,
                "names": [worker.name for worker in parse_plan(plan, load_table())],
                "certificate": certificate,
                "environ": {"SYNAPSE_FEDERATION_TLS": tls},
            }
        )

    collect()
    return cases


def attributed(processes: dict[str, tuple[int, list[str]]]) -> set[str]:
    """Return the lines of all processes as the doctor prints them."""
    lines: dict[str, list[str]] = {}
    for name, (_, said) in processes.items():
        for line in dict.fromkeys(said):
            lines.setdefault(line, []).append(name)
    return {
        f"{line} ({'every process' if len(names) == len(processes) else ', '.join(names)})"
        for line, names in lines.items()
    }


def test_the_doctor_agrees_with_the_check_of_each_process(
    image: Image, root: Path, tmp_path: Path
) -> None:
    """The doctor accepts a plan if all checks accept it, and prints the same lines as they do."""
    cases = make_cases()
    text = judge(image, root, tmp_path, PLANNED, _JUDGE, cases)
    answers = json.loads(re.sub(r"/tmp/tmp\w+", "/tmp/folder", text))
    refused = 0
    for case, ((status, lines), processes) in zip(cases, answers, strict=True):
        assert status == max(code for code, _ in processes.values()), (case, lines, processes)
        assert status in (0, 2), (case, lines)
        assert set(lines) == attributed(processes), case
        refused += "Synapse rejects it" in "\n".join(lines)
    accepted = sum(status == 0 for (status, _), _ in answers)
    print(f"{accepted} of {len(cases)} plans accepted, {refused} refused by Synapse's parser")
    assert accepted > len(cases) // 10
