"""Any plan gives objects for Kubernetes that fit each other, and its own workers."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploy.kubernetes.manifests import files, problems
from deploy.kubernetes.names import MAX_NAME, object_name
from deploy.kubernetes.options import KubernetesOptions
from tests.deploy.kubernetes_objects import (
    Object,
    check,
    loaded,
    named,
    of_kind,
    ports,
)
from tests.deploy.kubernetes_plans import (
    IMAGES,
    PLAN,
    TABLE,
    objects,
    pods,
    processes,
)
from tests.deploy.random_plans import examples, plans
from worker.deployment import deployment
from worker.errors import ConfigError
from worker.plan import is_stateless, parse_plan


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
            "SYNAPSE_WORKERS: the Kubernetes objects of Pusher-1 would be named pusher-1, like "
            "those of pusher_1; give the worker another name",
        ),
        (
            "Redis=pusher",
            {},
            "SYNAPSE_WORKERS: the Kubernetes objects of Redis would be named redis, like "
            "those of redis; give the worker another name",
        ),
        (
            "Main=pusher",
            {},
            "SYNAPSE_WORKERS: the Kubernetes objects of Main would be named main, like "
            "those of main; give the worker another name",
        ),
        (
            "_=pusher",
            {},
            "SYNAPSE_WORKERS: _ has neither letters nor digits, so no Kubernetes object can be "
            "named after it; give the worker another name",
        ),
        (
            f"{'w' * 53}=pusher",
            {},
            f"SYNAPSE_WORKERS: the Kubernetes objects of {'w' * 53} would be named "
            f"{'w' * 53}, which has 53 characters, but at most 52 are allowed; give the "
            "worker a shorter name",
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
            "SYNAPSE_UNIX_SOCKETS: processes in different pods cannot share sockets; unset it",
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
