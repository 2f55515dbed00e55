"""Any plan that the entrypoint accepts gives configurations that the real proxies accept."""

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.formats import PROXIES
from deploy.options import Options
from deploy.routing import Routing
from sandbox.bwrap import Sandbox, read_only
from testbed import services
from testbed.site import make_data
from tests.deploy.proxies import program
from worker.errors import ConfigError
from worker.plan import parse_plan
from worker.routes import plan_routing
from worker.worker_types import load_table

TABLE = load_table()
# nginx listens while it checks its configuration.
OPTIONS = Options(
    address="127.0.103.1",
    client_port=8443,
    plain_port=8008,
    certificate="/state/tls.crt",
    key="/state/tls.key",
)
# The command that checks a configuration; Traefik has none.
_CHECKS = {
    "nginx": ("nginx", "-t", "-e", "stderr", "-c", "/state/conf"),
    "haproxy": ("haproxy", "-c", "-f", "/state/conf"),
    "caddy": ("/program", "validate", "--config", "/state/conf", "--adapter", "caddyfile"),
}

_WORD = st.from_regex(r"[A-Za-z0-9_.-]{1,12}", fullmatch=True)
_HOSTS = st.one_of(
    st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z](\.[a-z]{2,4}){0,2}", fullmatch=True),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)


@st.composite
def plans(draw: st.DrawFn) -> str:
    """Return a plan; most of them are valid."""
    entries = []
    for _ in range(draw(st.integers(0, 8))):
        types = draw(st.lists(st.sampled_from(sorted(TABLE.types)), min_size=1, max_size=3))
        entry = "+".join(dict.fromkeys(types))
        if draw(st.booleans()):
            entry = f"{draw(_WORD)}={entry}"
        if draw(st.booleans()):
            entry += f"@{draw(_HOSTS)}"
        elif draw(st.booleans()):
            entry += f":{draw(st.integers(1, 60))}"
        entries.append(entry)
    return ", ".join(entries)


ENVIRONS = st.fixed_dictionaries(
    {},
    optional={
        "SYNAPSE_FEDERATION_TLS": st.sampled_from(["on", "off"]),
        "SYNAPSE_UNIX_SOCKETS": st.just("/sockets"),
        "SYNAPSE_REPLICATION_HOST": _HOSTS,
    },
)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that is /state for the proxies, with the certificate and its key."""
    folder = tmp_path_factory.mktemp("accepted")
    data = make_data(folder / "data", "")
    state = folder / "state"
    state.mkdir()
    for name in ("tls.crt", "tls.key"):
        shutil.copy(data / name, state / name)
    return state


@pytest.fixture(scope="module")
def inside(state: Path) -> Sandbox:
    """Return the container of the proxies."""
    root = Path(os.environ["SERVICES"]).resolve().parent / "root"
    # Container engines provide this file.
    (state / "resolv.conf").write_text("nameserver 127.0.0.53\n")
    mount = read_only(state / "resolv.conf", "/etc/resolv.conf")
    return services.container(root, state).with_environ({"HOME": "/state"}).with_mounts(mount)


def check(name: str, routing: Routing, state: Path, inside: Sandbox) -> None:
    """Assert that a proxy accepts the configuration of ``routing``, or that we refuse it."""
    module = import_module(f"deploy.{name}")
    problems = module.problems(routing, OPTIONS)
    if problems:
        for line in problems:
            assert "share the route" in line if name == "caddy" else "Unix sockets" in line
        return
    (state / "conf").write_text(module.configuration(routing, OPTIONS))
    if name == "caddy":
        inside = inside.with_mounts(read_only(program("caddy"), "/program"))
    done = subprocess.run(
        inside.command(*_CHECKS[name]),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:]


def accepted(plan: str, environ: dict[str, str]) -> Routing | None:
    """Return the routes of a plan, or None if it is refused."""
    try:
        return plan_routing(environ, plan)
    except ConfigError:
        return None


@pytest.mark.parametrize("name", sorted(_CHECKS))
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(plan=plans(), environ=ENVIRONS)
def test_every_accepted_plan_gives_an_accepted_configuration(
    name: str, state: Path, inside: Sandbox, plan: str, environ: dict[str, str]
) -> None:
    """Nothing that a plan can contain needs quoting that we forgot."""
    routing = accepted(plan, environ)
    if routing is not None:
        check(name, routing, state, inside)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(plan=plans(), environ=ENVIRONS)
def test_what_the_plan_check_accepts_has_routes(plan: str, environ: dict[str, str]) -> None:
    """Only an address that two processes share, or an invalid environment, is refused besides."""
    try:
        parse_plan(plan, TABLE)
    except ConfigError:
        assert accepted(plan, environ) is None
        return
    refused: tuple[str, ...] = ()
    try:
        plan_routing(environ, plan)
    except ConfigError as error:
        refused = error.problems
    variables = ("SYNAPSE_REPLICATION_HOST=", "SYNAPSE_UNIX_SOCKETS:")
    assert [
        line
        for line in refused
        if "the same address" not in line and not line.startswith(variables)
    ] == []


def test_gixy_finds_nothing(tmp_path: Path) -> None:
    """gixy-next has no findings in the configuration of nginx, whole or in parts."""
    types = [name for name in TABLE.types if name != "generic_worker"]
    routing = plan_routing({}, ", ".join([*types, "generic_worker:3"]))
    path = tmp_path / "nginx.conf"
    path.write_text(import_module("deploy.nginx").configuration(routing, OPTIONS))
    done = subprocess.run(
        [sys.executable, "-m", "gixy.cli", "-f", "json", path],
        text=True,
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert json.loads(done.stdout) == [], done.stdout + done.stderr


@pytest.mark.parametrize("name", PROXIES)
def test_a_large_plan_is_written_in_time(name: str) -> None:
    """The limit of a plan is 500 workers."""
    routing = plan_routing({}, "generic_worker:250, synchrotron:250")
    module = import_module(f"deploy.{name}")
    assert len(module.configuration(routing, OPTIONS)) < 8_000_000
