"""The objects for Kubernetes: any plan gives objects that fit each other, and its own workers."""

import re
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploy.images import Images
from deploy.kubernetes.manifests import files, problems
from deploy.kubernetes.names import MAX_NAME, object_name
from deploy.kubernetes.options import KubernetesOptions
from tests.deploy.kubernetes_objects import (
    Object,
    check,
    containers,
    loaded,
    named,
    of_kind,
    ports,
    template,
)
from tests.deploy.random_plans import examples, plans
from worker.deployment import deployment
from worker.doctor import scrape_targets
from worker.errors import ConfigError
from worker.plan import is_stateless, parse_plan
from worker.settings import Settings, parse
from worker.worker_types import load_table

PLAN = "synchrotron:2, typing, event_persister:2, pusher_1=pusher, reader=client_reader"
IMAGES = Images(image="quay.io/example/synapse@sha256:" + "0" * 64)
EVERYTHING = KubernetesOptions(ingress="ingress", domain="matrix.example.com", monitoring=True)
TABLE = load_table()


def made(
    plan: str = PLAN,
    options: KubernetesOptions = EVERYTHING,
    environ: Mapping[str, str] = {},
) -> dict[str, str]:
    """Return the files for a plan."""
    found = deployment(environ, plan, with_replicas=True)
    assert problems(found) == []
    return files(found, IMAGES, options)


def objects(plan: str = PLAN, **options: Any) -> list[Object]:
    """Return the objects for a plan."""
    return loaded(made(plan, **options))


def expanded(text: str, environ: Mapping[str, str]) -> str:
    """Return a value as Kubernetes makes it with the variables before it."""

    def replacement(match: re.Match[str]) -> str:
        return environ.get(match[1], match[0]) if match[1] else "$"

    return re.sub(r"\$\$|\$\((\w+)\)", replacement, text)


def pods(workload: Object) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the name and the environment of each pod of a workload, as Kubernetes makes them."""
    name, spec = workload["metadata"]["name"], workload["spec"]
    first = spec.get("ordinals", {}).get("start", 0)
    for number in range(first, first + spec.get("replicas", 2)):
        pod = f"{name}-6d5f4c-{number}" if workload["kind"] == "Deployment" else f"{name}-{number}"
        environ: dict[str, str] = {}
        for variable in containers(workload)[0]["env"]:
            if "value" in variable:
                environ[variable["name"]] = expanded(variable["value"], environ)
            else:
                path = variable["valueFrom"]["fieldRef"]["fieldPath"]
                assert path == "metadata.labels['apps.kubernetes.io/pod-index']"
                environ[variable["name"]] = str(number)
        yield pod, environ


def processes(found: list[Object]) -> Iterator[tuple[str, Object, Settings]]:
    """Yield each process of Synapse: the name of its pod, its workload, and its settings."""
    for workload in of_kind(found, "Deployment", "StatefulSet"):
        if workload["metadata"]["labels"]["app.kubernetes.io/name"] != "synapse":
            continue
        for pod, environ in pods(workload):
            with pytest.MonkeyPatch.context() as monkeypatch:
                monkeypatch.setattr(socket, "gethostname", lambda pod=pod: pod)
                yield pod, workload, parse(environ)


def check_processes(found: list[Object], plan: str) -> None:
    """Assert that the pods are the workers of the plan, and find each other."""
    missing = {worker.name: worker for worker in parse_plan(plan, TABLE)} if plan else {}
    names, hosts, wanted = set(), set(), set()
    for pod, workload, own in processes(found):
        assert own.name not in names
        names.add(own.name)
        wanted |= {one.host for one in own.plan or () if not is_stateless(one.process, TABLE)}
        if workload["kind"] == "Deployment":
            assert own.name == pod
            assert is_stateless(own.process, TABLE)
            continue
        hosts.add(f"{pod}.{workload['spec']['serviceName']}")
        if own.name:
            assert own.process.types == missing.pop(own.name).process.types
    assert all(is_stateless(worker.process, TABLE) for worker in missing.values())
    assert wanted <= hosts


def check_proxy(found: list[Object]) -> None:
    """Assert that each host in the proxy's configuration is that of a pod, with this port."""
    text = named(found, "ConfigMap", "proxy")["data"]["haproxy.cfg"]
    addresses = re.findall(r"server(?:-template)? \S+ (?:1-[0-9]+ )?'([^':]+):([0-9]+)'", text)
    assert addresses
    for host, number in addresses:
        *pod, service = host.removesuffix(".synapse.svc.cluster.local").split(".")
        workload = named(found, "Service", service) and next(
            one
            for one in of_kind(found, "Deployment", "StatefulSet")
            if one["metadata"]["name"] == service
        )
        assert int(number) in ports(workload).values()
        assert pod == [] or pod[0] in dict(pods(workload))


def test_a_plan_gives_objects_that_fit_each_other() -> None:
    """Each reference, selector and port leads somewhere."""
    found = objects()
    check(found)
    check_processes(found, PLAN)
    check_proxy(found)


ENVIRONS = st.fixed_dictionaries(
    {},
    optional={
        "SYNAPSE_FEDERATION_TLS": st.sampled_from(["on", "off"]),
        "SYNAPSE_X": st.text().filter(str.isprintable),
        "SYNAPSE_Y": st.sampled_from(
            ["1e3", "on", "y", "0x1f", "~", "null", "$(X)", "$$", "{{x}}", "a: b", "- a", "1:30"]
        ),
        "SYNAPSE_WAIT_SECONDS": st.integers(0, 86400).map(str),
    },
)


@settings(max_examples=examples(6), deadline=None, derandomize=True, database=None)
@given(plan=plans(), environ=ENVIRONS, ingress=st.sampled_from(["none", "ingress", "gateway"]))
def test_any_plan_gives_objects_that_fit_each_other(
    plan: str, environ: dict[str, str], ingress: str
) -> None:
    """What the entrypoint accepts gives the same workers, or is refused with one line for each."""
    # Without hosts, and with few replicas, so that the test is fast.
    plan = re.sub("@[^,]*|(?<=:[0-9])[0-9]", "", plan)
    try:
        parsed = deployment(environ, plan, with_replicas=True)
    except ConfigError:
        assume(False)
        raise
    lines = problems(parsed)
    assert all(line.isprintable() and line.startswith("SYNAPSE_WORKERS: ") for line in lines)
    assume(not lines)
    options = KubernetesOptions(
        ingress=ingress,
        domain="" if ingress == "none" else "a.example.com",
        gateway="a/b" if ingress == "gateway" else "",
        monitoring=True,
    )
    made_files = files(parsed, IMAGES, options)
    found = loaded(made_files)
    check(found)
    check_processes(found, plan)
    check_proxy(found)
    _, variables = next(pods(named(found, "StatefulSet", "main")))
    assert environ.items() <= variables.items()


@given(name=st.from_regex("[A-Za-z0-9_.-]{1,64}", fullmatch=True))
def test_any_name_of_a_worker_gives_a_name_of_objects(name: str) -> None:
    """It is a DNS label that begins with a letter, unless the name has neither letters nor digits.

    A Service whose name begins with a digit is refused before Kubernetes 1.36.
    """
    label = object_name(name)
    assert bool(label) == bool(re.search("[A-Za-z0-9]", name))
    assert not label or re.fullmatch("[a-z]([a-z0-9-]*[a-z0-9])?", label)


@pytest.mark.parametrize(
    ("plan", "environ", "line"),
    [
        (
            "pusher_1=pusher, Pusher-1=federation_sender",
            {},
            "SYNAPSE_WORKERS: Pusher-1 would have objects in Kubernetes that are called pusher-1, "
            "like those of pusher_1; give the worker another name",
        ),
        (
            "Redis=pusher",
            {},
            "SYNAPSE_WORKERS: Redis would have objects in Kubernetes that are called redis, like "
            "those of redis; give the worker another name",
        ),
        (
            "Main=pusher",
            {},
            "SYNAPSE_WORKERS: Main would have objects in Kubernetes that are called main, like "
            "those of main; give the worker another name",
        ),
        (
            "_=pusher",
            {},
            "SYNAPSE_WORKERS: _ has neither letters nor digits, so no object in Kubernetes can be "
            "called like it; give the worker another name",
        ),
        (
            f"{'w' * 53}=pusher",
            {},
            f"SYNAPSE_WORKERS: {'w' * 53} would have objects in Kubernetes that are called "
            f"{'w' * 53}, with 53 characters, but at most 52 are possible; give the worker a "
            "shorter name",
        ),
        (
            "typing@10.0.0.7, a=pusher",
            {},
            "SYNAPSE_WORKERS: typing have a host, but Kubernetes gives each process its own; "
            "remove @HOST",
        ),
        (
            "typing",
            {"SYNAPSE_REPLICATION_HOST": "10.0.0.1"},
            "SYNAPSE_REPLICATION_HOST='10.0.0.1': Kubernetes gives the main process its own host; "
            "unset it",
        ),
        (
            "typing",
            {"SYNAPSE_UNIX_SOCKETS": "/sockets"},
            "SYNAPSE_UNIX_SOCKETS: processes in different pods share no sockets; unset it",
        ),
    ],
)
def test_what_kubernetes_cannot_have_is_named(
    plan: str, environ: dict[str, str], line: str
) -> None:
    """Nothing is made of a plan that would work only in part."""
    assert problems(deployment(environ, plan, with_replicas=True)) == [line]


def test_a_long_name_is_possible() -> None:
    """The limit is that of the label with the revision of a StatefulSet."""
    check(objects(f"{'w' * MAX_NAME}=pusher, {'v' * MAX_NAME}=synchrotron"))


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
