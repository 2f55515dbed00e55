"""One pod for all processes of a plan: its ports, the policies, the proxy and the metrics."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given, settings

from deploy.images import Images
from deploy.kubernetes.manifests import files, problems
from deploy.kubernetes.options import KubernetesOptions
from tests.deploy.kubernetes_objects import Object, check, containers, loaded, named, of_kind, ports
from tests.deploy.random_plans import examples, plans
from worker.deployment import deployment
from worker.doctor import scrape_targets
from worker.errors import ConfigError
from worker.listeners import listener, listener_kinds
from worker.plan import parse_plan
from worker.settings import Settings, parse
from worker.together import share_environs
from worker.worker_types import load_table

PLAN = "synchrotron:2, typing, event_persister:2, pusher_1=pusher, media_repository"
IMAGES = Images(image="quay.io/example/synapse@sha256:" + "0" * 64)
OPTIONS = KubernetesOptions(ingress="ingress", domain="matrix.example.com", monitoring=True)


def objects(plan: str = PLAN, environ: Mapping[str, str] = {}) -> list[Object]:
    """Return the objects for a plan."""
    found = deployment(environ, plan, with_replicas=True, one_container=True)
    assert problems(found) == []
    return loaded(files(found, IMAGES, OPTIONS))


def started(found: list[Object]) -> dict[str, Settings]:
    """Return the settings of the processes of the pod by name, as the entrypoint reads them."""
    (container,) = containers(named(found, "StatefulSet", "main"))
    environ = {one["name"]: one["value"].replace("$$", "$") for one in container["env"]}
    return {name: parse(one) for name, one in share_environs(environ).items()}


def opened(found: list[Object]) -> dict[int, str]:
    """Return who reaches each port of the pod."""
    rules = named(found, "NetworkPolicy", "synapse")["spec"]["ingress"]
    peers: dict[int, str] = {}
    for rule in rules:
        (peer,) = rule["from"]
        (labels,) = (one["matchLabels"] for one in peer.values())
        (who,) = labels.values()
        peers |= {port["port"]: who for port in rule["ports"]}
    return peers


def check_pod(found: list[Object], plan: str) -> None:
    """Assert that each process is reached where it listens, by those who need it, and no others."""
    check(found)
    listening: dict[str, dict[int, str]] = {}
    for name, own in started(found).items():
        for kind in listener_kinds(own, None):
            one = listener(kind, own)
            if "port" in one:
                listening.setdefault(kind, {})[one["port"]] = name
    proxy = named(found, "ConfigMap", "proxy")["data"]["haproxy.cfg"]
    servers = set(re.findall(r"server (\S+) '([^']+):([0-9]+)'", proxy))
    assert {host for _, host, _ in servers} == {"main.synapse.svc.cluster.local"}
    serving = {**listening.get("federation", {}), **listening["client"]}
    assert all(serving[int(port)] == name for name, _, port in servers)
    peers = opened(found)
    scraped = {port for port, who in peers.items() if who == "monitoring"}
    proxied = {port for port, who in peers.items() if who == "haproxy"}
    assert scraped == listening["metrics"].keys()
    assert proxied == {int(port) for _, _, port in servers}
    assert scraped | proxied == peers.keys()
    assert not peers.keys() & listening["replication"].keys()
    workload = named(found, "StatefulSet", "main")
    assert peers.keys() <= set(ports(workload).values())
    assert workload["spec"]["replicas"] == 1
    check_metrics(found, plan)


def check_metrics(found: list[Object], plan: str) -> None:
    """Assert that each process has the labels of the verb ``prometheus``, and its port."""
    (monitor,) = of_kind(found, "ServiceMonitor")
    seen = [
        (one["targetPort"], {row["targetLabel"]: row["replacement"] for row in one["relabelings"]})
        for one in monitor["spec"]["endpoints"]
    ]
    assert seen == [
        (int(one["targets"][0].rpartition(":")[2]), one["labels"])
        for one in scrape_targets(parse_plan(plan, load_table()), "main", "all")
    ]


def test_one_pod_runs_all_processes() -> None:
    """There are no objects of workers, and no autoscalers."""
    found = objects()
    check_pod(found, PLAN)
    assert [one["metadata"]["name"] for one in of_kind(found, "StatefulSet")] == [
        "main",
        "postgres",
    ]
    assert of_kind(found, "HorizontalPodAutoscaler") == []
    assert [one["metadata"]["name"] for one in of_kind(found, "PodDisruptionBudget")] == [
        "proxy",
        "main",
    ]
    assert len(started(found)) == 8


@settings(max_examples=examples(8), deadline=None, derandomize=True, database=None)
@given(plan=plans())
def test_any_plan_fits_into_one_pod(plan: str) -> None:
    """Without hosts, every name is possible, since only the pod has objects."""
    plan = re.sub("@[^,]*|(?<=:[0-9])[0-9]", "", plan)
    assume(plan)
    try:
        found = objects(plan)
    except ConfigError:
        assume(False)
        raise
    check_pod(found, plan)


def test_the_pod_reserves_more_for_more_processes() -> None:
    """Twelve processes have about 370 MiB after their start, and grow with their caches."""

    def reserved(plan: str) -> dict[str, Any]:
        (container,) = containers(named(objects(plan), "StatefulSet", "main"))
        return {**container["resources"]["requests"], "limit": container["resources"]["limits"]}

    assert reserved("typing")["memory"] == "496Mi"
    assert reserved("generic_worker:11") == {
        "cpu": "1600m",
        "memory": "1616Mi",
        "limit": {"memory": "26Gi"},
    }


def test_media_of_several_workers_need_one_writer() -> None:
    """They are in one pod."""
    claim = named(objects("media_repository:2"), "PersistentVolumeClaim", "synapse-media")
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


@pytest.mark.parametrize(
    ("plan", "environ", "line"),
    [
        (
            "typing@10.0.0.7, pusher@10.0.0.7",
            {},
            "SYNAPSE_WORKERS: typing, pusher have a host, but all are in one pod; remove @HOST",
        ),
        (
            "typing",
            {"SYNAPSE_REPLICATION_HOST": "10.0.0.1"},
            "SYNAPSE_REPLICATION_HOST='10.0.0.1': Kubernetes gives the main process its own host; "
            "unset it",
        ),
    ],
)
def test_hosts_are_refused(plan: str, environ: dict[str, str], line: str) -> None:
    """The pod has one, and Kubernetes gives it a name."""
    assert problems(deployment(environ, plan, one_container=True)) == [line]


def test_names_that_objects_cannot_have_are_possible() -> None:
    """As names of processes they mean nothing to Kubernetes."""
    plan = f"_=pusher, Redis=typing, {'w' * 60}=synchrotron"
    check_pod(objects(plan), plan)
