"""What the objects for Kubernetes of a plan must and must not have."""

import re

import yaml

from deploy.kubernetes.options import KubernetesOptions
from tests.deploy.kubernetes_objects import (
    Object,
    containers,
    named,
    of_kind,
    template,
)
from tests.deploy.kubernetes_plans import (
    PLAN,
    TABLE,
    made,
    objects,
    pods,
    processes,
)
from worker.doctor import scrape_targets
from worker.plan import parse_plan


def test_replicas_are_deployments_and_all_others_have_numbers() -> None:
    """A rolling update of a Deployment would run two processes with one name."""
    found = objects()
    kinds = {
        one["metadata"]["name"]: one["kind"]
        for one in of_kind(found, "Deployment", "StatefulSet")
        if one["metadata"]["labels"]["app.kubernetes.io/name"] == "synapse"
    }
    assert kinds == {
        "main": "StatefulSet",
        "synchrotron": "Deployment",
        "typing": "StatefulSet",
        "event-persister": "StatefulSet",
        "pusher-1": "StatefulSet",
        "reader": "Deployment",
    }
    scalers = [one["metadata"]["name"] for one in of_kind(found, "HorizontalPodAutoscaler")]
    assert scalers == ["synchrotron", "reader"]


def test_the_number_of_replicas_is_not_part_of_the_configuration() -> None:
    """Otherwise, all processes would be restarted when it changes."""
    two, five = (objects(f"synchrotron:{count}, typing") for count in (2, 5))
    for name in ("main", "typing"):
        assert named(two, "StatefulSet", name) == named(five, "StatefulSet", name)
    assert named(two, "Deployment", "synchrotron") == named(five, "Deployment", "synchrotron")
    scaler = named(five, "HorizontalPodAutoscaler", "synchrotron")
    assert scaler["spec"]["minReplicas"] == 5


def test_only_synapse_reaches_replication_and_only_the_scraper_the_metrics() -> None:
    """Whoever reaches port 9093 controls the homeserver."""
    rules = named(objects(), "NetworkPolicy", "synapse")["spec"]["ingress"]
    peers = {port["port"]: rule["from"] for rule in rules for port in rule["ports"]}
    assert peers == {
        8008: [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "haproxy"}}}],
        9093: [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "synapse"}}}],
        9000: [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
        ],
    }
    nobody = named(objects(), "NetworkPolicy", "nobody")["spec"]
    assert nobody == {"podSelector": {}, "policyTypes": ["Ingress"]}


def test_the_namespace_enforces_what_the_pods_have() -> None:
    """`enforce` judges pods, `warn` also what makes them."""
    labels = named(objects(), "Namespace", "synapse")["metadata"]["labels"]
    assert labels == {
        f"pod-security.kubernetes.io/{level}": "restricted"
        for level in ("enforce", "audit", "warn")
    }


def test_a_process_is_drained_within_the_time_that_it_has() -> None:
    """Kubernetes counts the hook and the end of the process together."""
    for workload in of_kind(objects(), "Deployment", "StatefulSet"):
        hook = containers(workload)[0].get("lifecycle", {}).get("preStop")
        if hook is None:
            continue
        command = hook["exec"]["command"]
        delay = sum(int(word.partition("=")[2]) for word in command if word.startswith("--delay="))
        grace = template(workload)["spec"]["terminationGracePeriodSeconds"]
        assert grace >= delay + 15 + 30 or command[0] == "sleep"
        assert bool(delay) == (workload["kind"] == "Deployment" and command[0] != "sleep")


def test_kubernetes_replaces_nothing_in_a_value() -> None:
    """It would replace $(NAME) with a variable that comes earlier, and $$ with one dollar sign."""
    text = "$(SYNAPSE_FEDERATION_TLS) $$ $x"
    found = objects(environ={"SYNAPSE_HOSTNAME": text})
    _, variables = next(pods(named(found, "StatefulSet", "main")))
    assert variables["SYNAPSE_HOSTNAME"] == text


def test_media_of_several_workers_need_a_shared_volume() -> None:
    """They may run at different nodes."""

    def modes(plan: str) -> list[str]:
        found: list[str] = named(objects(plan), "PersistentVolumeClaim", "synapse-media")["spec"][
            "accessModes"
        ]
        return found

    assert modes("typing") == modes("media_repository") == ["ReadWriteOnce"]
    assert modes("media_repository:2") == ["ReadWriteMany"]


def relabeled(rules: list[Object], labels: dict[str, str]) -> dict[str, str]:
    """Return the labels of a target after Prometheus' relabeling."""
    for rule in rules:
        text = rule["separator"].join(labels.get(name, "") for name in rule["sourceLabels"])
        match = re.fullmatch(rule["regex"], text)
        if match:
            # Python has \\1 for $1.
            result = match.expand(rule["replacement"].replace("$", "\\"))
            labels = labels | {rule["targetLabel"]: result}
    return labels


def test_the_metrics_have_the_labels_of_the_verb_prometheus() -> None:
    """Dashboards and alerts then work with both."""
    found = objects()
    (monitor,) = of_kind(found, "ServiceMonitor")
    rules = monitor["spec"]["endpoints"][0]["relabelings"]
    expected = {
        one["labels"]["instance"]: one["labels"]
        for one in scrape_targets(parse_plan(PLAN, TABLE), "main")
    }
    seen = set()
    for pod, workload, _ in processes(found):
        metadata = template(workload)["metadata"]
        meta = {"__meta_kubernetes_pod_name": pod, "job": "x", "instance": "10.0.0.1:9000"}
        for kind, values in (
            ("annotation", metadata["annotations"]),
            ("label", metadata["labels"]),
        ):
            for name, value in values.items():
                meta[f"__meta_kubernetes_pod_{kind}_{re.sub('[^a-zA-Z0-9]', '_', name)}"] = value
        if workload["kind"] == "StatefulSet":
            meta["__meta_kubernetes_pod_label_apps_kubernetes_io_pod_index"] = pod.split("-")[-1]
        labels = relabeled(rules, meta)
        own = {name: labels[name] for name in ("instance", "job", "index")}
        if workload["kind"] == "Deployment":
            assert own == {
                "instance": pod,
                "job": metadata["annotations"]["synapse-worker/types"],
                "index": pod.split("-")[-1],
            }
        else:
            assert own == expected[own["instance"]]
            seen.add(own["instance"])
    assert seen == {"main", "typing", "event_persister1", "event_persister2", "pusher_1"}


def test_nothing_is_applied_that_was_not_asked_for() -> None:
    """The operator's kinds of objects are unknown to most clusters."""
    plain = yaml.safe_load(made(options=KubernetesOptions())["kustomization.yaml"])
    assert plain["components"] == ["components/postgres", "components/redis"]
    everything = yaml.safe_load(made()["kustomization.yaml"])
    assert everything["components"] == [
        "components/postgres",
        "components/redis",
        "components/ingress",
        "components/monitoring",
    ]


def test_kustomizations_list_the_files_beside_them() -> None:
    """A file that is not listed is not applied."""
    found = made()
    for path, text in found.items():
        folder = path.removesuffix("kustomization.yaml")
        if folder == path or not folder:
            continue
        listed = {folder + name for name in yaml.safe_load(text)["resources"]}
        assert listed == {one for one in found if one.startswith(folder)} - {path}
