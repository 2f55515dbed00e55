"""Any plan that the entrypoint accepts gives files that the engines' own programs accept."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from deploy.engines import REPLICATING, engine_files, engine_problems
from deploy.images import Images
from deploy.support import REDIS
from deploy.synapse import DRAIN
from tests.deploy.random_plans import ENVIRONS, examples, plans
from worker.deployment import deployment
from worker.errors import ConfigError

ROOT = Path(os.environ["SERVICES"]).resolve().parent / "root"
IMAGES = Images(image="quay.io/example/synapse@sha256:" + "0" * 64)
_PLAIN = "[A-Za-z0-9./:@+-]{1,20}"  # What needs no quoting.
_TEXTS = st.text().filter(str.isprintable)
FEW = settings(
    max_examples=examples(4),
    phases=[Phase.generate],
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Made:
    """The files for a random plan.

    Attributes:
        files: the files, by path; if the plan names hosts, those for one of them.
        text: the value of the variable SYNAPSE_X.
        rootless: whether they are for an engine without root's rights.
    """

    files: Mapping[str, str]
    text: str
    rootless: bool


@st.composite
def made(draw: st.DrawFn, engine: str, texts: st.SearchStrategy[str] = _TEXTS) -> Made:
    """Return the files of an engine for a plan that it can run."""
    text = draw(texts)
    rootless, one_container = draw(st.booleans()), draw(st.booleans())
    try:
        found = deployment(
            draw(ENVIRONS) | {"SYNAPSE_X": text},
            draw(plans()),
            with_replicas=engine in REPLICATING,
            one_container=one_container,
        )
    except ConfigError:
        assume(False)
        raise
    name = draw(st.sampled_from(found.hosts)) if found.hosts else ""
    assume(engine_problems(found, IMAGES, name) == [])
    return Made(engine_files(engine, found, IMAGES, name, rootless=rootless), text, rootless)


def ran(
    *command: str | Path, environ: Mapping[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run a program of the services' root with its own C library."""
    return subprocess.run(
        command,
        env=dict(environ),
        cwd=folder,
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )


def loaded(program: str) -> list[str]:
    """Return the command that runs a program of the services' root."""
    loader = next(ROOT.glob("usr/lib*/ld-linux-x86-64.so.2"))
    library = ROOT / "usr/lib/x86_64-linux-gnu"
    return [str(loader), "--library-path", str(library), str(ROOT / program)]


@FEW
@given(made("quadlet", st.one_of(_TEXTS, st.from_regex(_PLAIN, fullmatch=True))))
def test_podmans_generator_makes_services(
    tmp_path_factory: pytest.TempPathFactory, planned: Made
) -> None:
    """It takes any value of a variable, and passes on those that need no quoting."""
    folder = tmp_path_factory.mktemp("quadlet")
    for path, content in planned.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    command = [*loaded("usr/libexec/podman/quadlet"), "-dryrun"]
    command += ["-user"] if planned.rootless else []
    done = ran(
        *command,
        environ={"QUADLET_UNIT_DIRS": str(folder / "containers/systemd/synapse"), "HOME": "/"},
        folder=folder,
    )
    said = [line for line in done.stderr.splitlines() if "Loading source unit" not in line]
    assert (done.returncode, said) == (0, [])
    services = re.findall(r"^---(.*)\.service---$", done.stdout, re.MULTILINE)
    containers = [Path(path).stem for path in planned.files if path.endswith(".container")]
    assert set(containers) <= set(services)
    if "synapse-redis" in containers:
        # The generator drops what follows an empty word.
        assert f" {' '.join(REDIS.command)}\n" in done.stdout
    if re.fullmatch(_PLAIN, planned.text):
        assert f"--env SYNAPSE_X={planned.text} " in done.stdout


@FEW
@given(made("compose"))
def test_podman_compose_reads_the_file(
    tmp_path_factory: pytest.TempPathFactory, planned: Made
) -> None:
    """It has each service, with its variables."""
    folder = tmp_path_factory.mktemp("compose")
    text = planned.files["compose.yaml"]
    (folder / "compose.yaml").write_text(text)
    # It asks podman for its version.
    podman = folder / "podman"
    podman.write_text(f'#!/bin/sh\nexec {" ".join(loaded("usr/bin/podman"))} "$@"\n')
    podman.chmod(0o755)
    done = ran(
        sys.executable,
        "-m",
        "podman_compose",
        "config",
        environ={
            "PATH": f"{folder}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "HOME": str(folder),
        },
        folder=folder,
    )
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert services.keys() == yaml.safe_load(text)["services"].keys()
    for name, service in services.items():
        if name not in ("postgres", "redis", "proxy"):
            variables = service["environment"]
            if "SYNAPSE_PROCESSES" in variables:
                assert name in ("main", "workers")
            elif "SYNAPSE_WORKER_NAME_FROM" not in variables:
                assert variables.get("SYNAPSE_WORKER_NAME", "main") == name


@FEW
@given(made("compose"))
def test_docker_compose_reads_the_file(
    tmp_path_factory: pytest.TempPathFactory, planned: Made
) -> None:
    """It checks each key against its schema, and takes any value of a variable as it is."""
    folder = tmp_path_factory.mktemp("compose")
    text = planned.files["compose.yaml"]
    (folder / "compose.yaml").write_text(text)
    done = ran(
        *loaded("usr/libexec/docker/cli-plugins/docker-compose"),
        "config",
        "--format=json",
        environ={"HOME": str(folder)},
        folder=folder,
    )
    assert (done.returncode, done.stderr) == (0, "")
    services = json.loads(done.stdout)["services"]
    assert services.keys() == yaml.safe_load(text)["services"].keys()
    for name, service in services.items():
        if name not in ("postgres", "redis", "proxy"):
            # Its output is a file for Compose again, so it has $$ for $.
            assert service["environment"]["SYNAPSE_X"] == planned.text.replace("$", "$$")
            assert service["pre_stop"] == [{"command": [*DRAIN, "--stop-anyway"]}]
