"""Any plan that the entrypoint accepts gives configurations that the real proxies accept."""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from deploy.formats import PROXIES
from deploy.images import Images
from deploy.kubernetes import manifests
from deploy.kubernetes.options import KubernetesOptions
from deploy.options import Options
from deploy.routing import Routing
from sandbox.bwrap import Sandbox, read_only
from testbed import services
from testbed.processes import Process
from testbed.site import make_data
from tests.deploy.proxies import program
from tests.deploy.random_plans import ENVIRONS, TABLE, accepted, examples, plans
from worker.deployment import deployment
from worker.errors import ConfigError
from worker.plan import parse_plan
from worker.routes import plan_routing

# nginx listens while it checks its configuration.
OPTIONS = Options(
    address="127.0.103.1",
    client_port=8443,
    plain_port=8008,
    certificate="/state/tls.crt",
    key="/state/tls.key",
)
# The command that checks a configuration; Traefik has none, so it is started.
_CHECKS = {
    "nginx": ("nginx", "-t", "-e", "stderr", "-c", "/state/conf"),
    "haproxy": ("haproxy", "-c", "-f", "/state/conf"),
    "caddy": ("/program", "validate", "--config", "/state/conf", "--adapter", "caddyfile"),
}


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


def check(name: str, routing: Routing, state: Path, inside: Sandbox, *, script: bool) -> None:
    """Assert that a proxy accepts the configuration of ``routing``, or that we refuse it."""
    module = import_module(f"deploy.{name}")
    problems = module.problems(routing, OPTIONS)
    if problems:
        for line in problems:
            assert "share the route" in line if name == "caddy" else "Unix sockets" in line
        return
    options = OPTIONS
    if script and "script" in module.PARTS:
        options = replace(options, script="/state/users")
        text = module.configuration(routing, replace(options, include="script"))
        (state / "users").write_text(text)
    (state / "conf").write_text(module.configuration(routing, options))
    if name == "traefik":
        start_traefik(state, inside)
        return
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


def start_traefik(state: Path, inside: Sandbox) -> None:
    """Assert that Traefik starts, has routes, and logs no error."""
    inside = inside.with_mounts(
        read_only(program("traefik"), "/program"),
        read_only(state / "conf", "/etc/traefik/traefik.yml"),
    )
    log = state / "traefik.log"
    log.unlink(missing_ok=True)
    process = Process("traefik", inside.command("/program"), log)
    process.start()
    try:
        process.wait_until(_has_routes)
        assert "ERR" not in log.read_text()
    finally:
        process.stop()


def _has_routes() -> bool:
    """Return whether a request is passed on; without routes, the answer is 404 at once."""
    connection = http.client.HTTPConnection(OPTIONS.address, OPTIONS.plain_port, timeout=0.5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status != http.HTTPStatus.NOT_FOUND
    except TimeoutError:
        return True
    except OSError:
        return False
    finally:
        connection.close()


@pytest.mark.parametrize("name", PROXIES)
@settings(
    max_examples=examples(3),
    phases=[Phase.generate],  # A smaller example would take minutes to find.
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(plan=plans(), environ=ENVIRONS, script=st.booleans())
def test_every_accepted_plan_gives_an_accepted_configuration(
    name: str, state: Path, inside: Sandbox, plan: str, environ: dict[str, str], script: bool
) -> None:
    """Nothing that a plan can contain needs quoting that we forgot."""
    routing = accepted(plan, environ)
    assume(routing is not None and routing.routes)
    assert routing is not None
    check(name, routing, state, inside, script=script)


@settings(
    max_examples=examples(3),
    phases=[Phase.generate],
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(plan=plans(), one_container=st.booleans())
def test_haproxy_accepts_the_routes_of_every_plan_for_kubernetes(
    state: Path, inside: Sandbox, plan: str, one_container: bool
) -> None:
    """They have complete names, and replicas unless one pod runs all processes."""
    plan = re.sub("@[^,]*", "", plan)
    try:
        found = deployment({}, plan, with_replicas=True, one_container=one_container)
    except ConfigError:
        assume(False)
        raise
    assume(manifests.problems(found) == [])
    text = manifests.files(found, Images(), KubernetesOptions())["base/proxy.yaml"]
    (state / "conf").write_text(next(yaml.safe_load_all(text))["data"]["haproxy.cfg"])
    done = subprocess.run(
        inside.command(*_CHECKS["haproxy"]),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:]


@settings(max_examples=examples(100), deadline=None, derandomize=True, database=None)
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
    """gixy-next has no findings in the configuration of nginx, with everything in it."""
    types = [name for name in TABLE.types if name != "generic_worker"]
    routing = plan_routing({}, ", ".join([*types, "generic_worker:3"]))
    path = tmp_path / "nginx.conf"
    options = replace(OPTIONS, script="/state/users")
    path.write_text(import_module("deploy.nginx").configuration(routing, options))
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
