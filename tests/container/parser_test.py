"""Generated configurations and environments, checked by Synapse's own parser in the image."""

import json
import os
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from testbed.image import Image
from testbed.site import WORKERS
from tests.container.judging import judge
from tests.worker.cases import environs, homeservers
from worker.worker_types import load_table

_CASES = int(os.environ["CASES"])
# Checks all cases in one process, since starting one for each case would take a second.
_JUDGE = """\
import io, json, os, sys, traceback, warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
import yaml
sys.path.insert(0, "/usr/lib/synapse-worker")
from worker.__main__ import main
warnings.simplefilter("ignore")
os.sched_setaffinity = lambda *_: None
answers = []
for case in json.loads(Path("/cases/cases.json").read_text()):
    Path("/data/homeserver.yaml").write_text(case["homeserver"])
    out, err = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = main(["check"], case["environ"])
        answers.append([status, out.getvalue(), err.getvalue()])
    except BaseException:
        answers.append([-1, "", traceback.format_exc()])
Path("/cases/answers.json").write_text(json.dumps(answers))
"""


def make_cases() -> list[dict[str, Any]]:
    """Return one valid case for each worker type, followed by cases from `hypothesis`."""
    cases: list[dict[str, Any]] = []
    for app, process in load_table().apps.items():
        host = {} if process.is_main else {"SYNAPSE_REPLICATION_HOST": "main"}
        cases.append({"homeserver": WORKERS, "environ": {"SYNAPSE_WORKER": app} | host})

    @settings(
        max_examples=_CASES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(homeserver=homeservers(), environ=environs(), valid=st.booleans())
    def collect(homeserver: dict[Any, Any], environ: dict[str, str], valid: bool) -> None:
        if valid:
            # These get past the entrypoint's own checks and reach Synapse's parser.
            homeserver = yaml.safe_load(WORKERS) | homeserver
            environ = {"SYNAPSE_WORKER": "synapse.app.client_reader"}
            environ["SYNAPSE_REPLICATION_HOST"] = "main"
        text = yaml.safe_dump(homeserver, allow_unicode=True)
        cases.append({"homeserver": text, "environ": environ})

    collect()
    return cases


def test_synapse_accepts_or_one_line_says_why(image: Image, root: Path, tmp_path: Path) -> None:
    """Each refusal is an error line; Synapse itself often prints a traceback of sixty lines."""
    cases = make_cases()
    answers = json.loads(judge(image, root, tmp_path, WORKERS, _JUDGE, cases))
    assert len(answers) == len(cases)
    judged = 0
    for case, (status, out, err) in zip(cases, answers, strict=True):
        told = (case, status, out, err)
        assert status in (0, 2), told
        errors = [line for line in err.splitlines() if line.startswith("error: ")]
        judged += "Synapse rejects it" in err or status == 0
        assert bool(errors) == (status == 2), told
        assert "Traceback" not in err, told
    types = len(load_table().apps)
    assert [status for status, _, _ in answers[:types]] == [0] * types
    print(f"{judged} of {len(cases)} cases reached Synapse's parser")
    assert judged > len(cases) // 4
