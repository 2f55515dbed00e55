"""The commands of the company's page, run word for word on a node of Kubernetes, and what follows.

The tests depend on each other, in the order of this file: the homeserver that the page starts is
the one that is scaled, restarted and probed.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from testbed.engine import run_commands
from testbed.machine import Machine
from testbed.pages import blocks
from tests.deploy.proxies import program
from tests.kubernetes.node_machine import node_machine

EXAMPLE = Path(os.environ["EXAMPLE"]).resolve()
SERVICES = Path(os.environ["SERVICES"]).resolve().parent / "root"
LAYOUT = Path(os.environ["IMAGE"]).resolve()
COMPILED = [Path(os.environ[name]).resolve() for name in ("DNS", "NODE")]
DEFINITIONS = [Path(path).resolve() for path in os.environ["DEFINITIONS"].split()]
HERE = Path(__file__).parent
# What runs on the machine, with its Python.
MODULES = ("e2e/load.py", "kubernetes/node_client.py", "kubernetes/node_probe.py")
PROBE = "python3 -B -m tests.kubernetes.node_probe"
CLIENT = "python3 -B -m tests.kubernetes.node_client"
# The pods that connect to others: the label of a component in the namespace `synapse`, or a
# namespace.  For each, the components and ports that network.yaml lets it reach.
REACHABLE = {
    "synchrotron": {"main:9093", "typing:9093", "postgres:5432", "redis:6379", "proxy:8080"},
    "typing": {"main:9093", "postgres:5432", "redis:6379", "proxy:8080"},
    "proxy": {"main:8008", "typing:8008"},
    "postgres": set(),
    "redis": set(),
    "monitoring": {"main:9000", "typing:9000", "proxy:8080"},
    "elsewhere": {"proxy:8080"},
}
PORTS = {
    "main": (8008, 8080, 9000, 9093),
    "postgres": (5432,),
    "proxy": (8080,),
    "redis": (6379,),
    "typing": (8008, 8080, 9000, 9093),
}
ROUTED = {"/_matrix/client/versions", "/_synapse/client/", "/.well-known/matrix/client"}
# Runs the probe in the network of the pod with an address; grep must read everything.
INSIDE = """\
for one in $(ip netns list | cut -d' ' -f1); do
  if ip -n $one address | grep ' OWN/' > /dev/null; then ip netns exec $one {probe}; fi
done
"""
# The client's load begins, and ends after the requests that it has sent.
START = """\
rm -f stop
systemd-run --quiet --unit=load --setenv=CURL_CA_BUNDLE --working-directory=$PWD \
  --property=StandardOutput=truncate:$PWD/load.json {client} load
"""
STOP = """\
touch stop
while systemctl --quiet is-active load; do sleep 1; done
journalctl --unit=load --output=cat --lines=20
"""
NAMESPACES = ("monitoring", "elsewhere")
# A pod in a namespace of its own, which does nothing.
IDLE = """\
kubectl create namespace {name}
kubectl --namespace {name} run idle --image localhost/pause:1
kubectl --namespace {name} wait --for=condition=Ready pod/idle --timeout=2m
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Yield a node with the files that the page asks for."""
    if os.geteuid() != 0:
        pytest.skip("only root can give the files of a container to many users")
    folder = tmp_path_factory.mktemp("node")
    programs = (*COMPILED, program("traefik"))
    with node_machine(SERVICES, LAYOUT, folder, programs, DEFINITIONS) as machine:
        for name in MODULES:
            (machine.work / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(HERE.parent / name, machine.work / "tests" / name)
        (machine.work / "plan.txt").write_text((EXAMPLE.parent / "plan.txt").read_text())
        pair = "/etc/letsencrypt/live/example.com"
        machine.run(f"cp {pair}/fullchain.pem tls.crt; cp {pair}/privkey.pem tls.key")
        yield machine


def ready(node: Machine) -> None:
    """Return once all pods of the homeserver are ready."""
    script = (
        "for kind in statefulset deployment; do\n"
        "  for name in $(kubectl -n synapse get $kind -o name); do\n"
        "    kubectl -n synapse rollout status $name --timeout=10m\n"
        "  done\n"
        "done\n"
    )
    run_commands(node, script, seconds=900)


def missing(node: Machine) -> list[str]:
    """Return the messages that were acknowledged and are not in the room."""
    absent: list[str] = json.loads(run_commands(node, f"{CLIENT} check", seconds=600))
    return absent


def restarts(node: Machine) -> dict[str, int]:
    """Return how often the containers of each pod were started again, if they were."""
    row = '{.metadata.name} {.status.containerStatuses[0].restartCount}{"\\n"}'
    command = f"kubectl -n synapse get pods -o jsonpath='{{range .items[*]}}{row}{{end}}'"
    rows = [line.split() for line in run_commands(node, command).splitlines()]
    return {name: int(count) for name, count in rows if count != "0"}


def test_the_commands_of_the_page_work_in_order(node: Machine) -> None:
    """A message that was sent before the backup is there after the restore."""
    begin = time.monotonic()
    for block in blocks(EXAMPLE.read_text()):
        output = run_commands(node, block.script, seconds=900)
        print(f"----- after {time.monotonic() - begin:.0f} s")
        if "register_new_matrix_user" in block.script:
            assert '"versions"' in output
            run_commands(node, f"{CLIENT} start ann 'change me'")
    ready(node)
    assert len(json.loads((node.work / "session").read_text())["sent"]) == 5
    assert missing(node) == []


@contextmanager
def load(node: Machine, what: str) -> Iterator[None]:
    """Send requests of a client meanwhile; then assert that none failed, and no message is lost."""
    override = (
        "INSERT INTO ratelimit_override VALUES ('@ann:example.com', 0, 0) ON CONFLICT DO NOTHING"
    )
    run_commands(node, f'kubectl -n synapse exec postgres-0 -- psql -U synapse -c "{override}"')
    run_commands(node, START.format(client=CLIENT))
    try:
        time.sleep(5)
        yield
        time.sleep(5)
    finally:
        run_commands(node, STOP)
    counts: dict[str, Any] = json.loads((node.work / "load.json").read_text())
    print(f"{what}: {sum(counts['answered'].values())} requests, slowest {counts['slowest']}")
    assert counts["failures"] == {}
    assert all(counts["answered"].values()), counts["answered"]
    assert missing(node) == []


def scale(node: Machine, count: int) -> None:
    """Let the autoscaler of the synchrotrons have that number; return once they are ready."""
    limits = json.dumps({"spec": {"minReplicas": count, "maxReplicas": count}})
    run_commands(
        node,
        f"kubectl -n synapse patch horizontalpodautoscaler synchrotron --patch '{limits}'\n"
        "kubectl -n synapse wait deployment/synchrotron --timeout=5m "
        f"--for=jsonpath='{{.status.replicas}}'={count}\n"
        "kubectl -n synapse rollout status deployment/synchrotron --timeout=5m\n"
        "pods() { kubectl -n synapse get pods -l app.kubernetes.io/component=synchrotron -o name;"
        f" }}\nuntil [ $(pods | wc -l) = {count} ]; do sleep 1; done",
        seconds=660,
    )


def routed(node: Machine) -> set[str]:
    """Return the paths that are passed on; Traefik itself answers the others."""
    return {
        path
        for path in (*ROUTED, "/_synapse/admin/v1/server_version", "/")
        if run_commands(node, f"curl --silent https://matrix.example.com{path}")
        != "404 page not found\n"
    }


def test_the_ingress_passes_on_what_clients_need(node: Machine) -> None:
    """The administration API is not for everybody."""
    assert routed(node) == ROUTED


def test_no_request_fails_while_replicas_come_and_go(node: Machine) -> None:
    """A user notices nothing of more or fewer synchrotrons."""
    scale(node, 1)
    with load(node, "1, 5, and 2 synchrotrons"):
        scale(node, 5)
        time.sleep(10)
        scale(node, 2)


def test_no_request_fails_while_the_main_process_is_replaced(node: Machine) -> None:
    """Requests wait for the main process, and others do not need it."""
    with load(node, "a new main process"):
        run_commands(
            node,
            "kubectl -n synapse rollout restart statefulset/main\n"
            "kubectl -n synapse rollout status statefulset/main --timeout=5m",
            seconds=400,
        )


def test_no_request_fails_while_redis_is_away(node: Machine) -> None:
    """Requests that need another process wait for Redis; nobody is restarted."""
    before = restarts(node)
    with load(node, "without Redis"):
        run_commands(
            node,
            "kubectl -n synapse scale deployment/redis --replicas=0\n"
            "kubectl -n synapse wait --for=delete pod --timeout=2m "
            "-l app.kubernetes.io/component=redis\n"
            "kubectl -n synapse wait --for=condition=Ready=false pod/main-0 --timeout=2m\n"
            "kubectl -n synapse scale deployment/redis --replicas=1\n"
            "kubectl -n synapse rollout status deployment/redis --timeout=5m",
            seconds=600,
        )
    ready(node)
    assert restarts(node) == before


def address(node: Machine, name: str) -> str:
    """Return the address of a pod of a component, or of the one in a namespace."""
    component = f"-n synapse -l app.kubernetes.io/component={name}"
    chosen = f"-n {name}" if name in NAMESPACES else component
    command = f"kubectl get pods {chosen} -o jsonpath='{{.items[0].status.podIP}}'"
    return run_commands(node, command)


def accepting(node: Machine, command: str, targets: dict[str, str]) -> set[str]:
    """Return the names of the targets that the probe reaches, which ``command`` runs."""
    probe = f"{PROBE} {' '.join(targets)}"
    return {targets[line] for line in run_commands(node, command.format(probe=probe)).split()}


def test_pods_reach_only_what_the_policies_allow(node: Machine) -> None:
    """Replication needs no password, and metrics tell about users."""
    for name in NAMESPACES:
        run_commands(node, IDLE.format(name=name))
    addresses = {name: address(node, name) for name in {*REACHABLE, *PORTS}}
    targets = {
        f"{addresses[component]}:{port}": f"{component}:{port}"
        for component, ports in PORTS.items()
        for port in ports
    }
    # A node reaches its own pods in any case, so something listens at each of the ports.
    assert accepting(node, "{probe}", targets) == set(targets.values())
    reached = {}
    for name in REACHABLE:
        own = addresses[name]
        others = {one: label for one, label in targets.items() if one.partition(":")[0] != own}
        reached[name] = accepting(node, INSIDE.replace("OWN", own), others)
    assert reached == REACHABLE


def test_a_gateway_passes_on_the_same(node: Machine) -> None:
    """Whoever has a Gateway needs no Ingress."""
    run_commands(
        node,
        "kubectl -n kube-public create secret tls entrance-tls --cert=tls.crt --key=tls.key\n"
        "kubectl apply -f /etc/kubernetes/gateway.yaml\n"
        "kubectl -n synapse delete ingress synapse\n"
        "until [ $(curl --silent -o answer -w '%{http_code}' "
        '"https://matrix.$DOMAIN/_matrix/client/versions") = 404 ]; do sleep 1; done\n'
        "rm -r base components chart\n"
        'docker run --rm "$IMAGE" kubernetes "$(cat plan.txt)" --image "$IMAGE" --monitoring '
        '--ingress gateway --gateway kube-public/entrance --domain "matrix.$DOMAIN" | tar -x\n'
        "kubectl apply -k .\n"
        "until curl --silent --fail "
        '"https://matrix.$DOMAIN/_matrix/client/versions"; do sleep 1; done',
        seconds=400,
    )
    assert routed(node) == ROUTED
