"""Checks of objects for Kubernetes against each other: what they name, select and reach exists.

The rules are from the Kubernetes documentation: "Object Names and IDs", "Labels and Selectors",
"Pod Security Standards" and the API reference.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

Object = dict[str, Any]

# Secrets that the administrator makes, with their keys; None for those that are files of Synapse.
SECRETS = {"synapse-data": None, "synapse-database": {"database_password"}}
WORKLOADS = ("Deployment", "StatefulSet")
_LABEL = re.compile("[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_VALUE = re.compile("([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")


def loaded(files: Mapping[str, str]) -> list[Object]:
    """Return the objects in files, without those of kustomize and the chart."""
    return [
        one
        for path, text in files.items()
        if path.endswith(".yaml") and not path.startswith("chart/")
        for one in yaml.safe_load_all(text)
        if "kustomize" not in one["apiVersion"]
    ]


def named(objects: Iterable[Object], kind: str, name: str) -> Object:
    """Return an object, of which there must be one."""
    (found,) = [one for one in of_kind(objects, kind) if one["metadata"]["name"] == name]
    return found


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    """Return the objects of some kinds."""
    return [one for one in objects if one["kind"] in kinds]


def template(workload: Object) -> Object:
    """Return the template of the pods of a workload."""
    found: Object = workload["spec"]["template"]
    return found


def containers(workload: Object) -> list[Object]:
    """Return the containers of the pods of a workload."""
    found: list[Object] = template(workload)["spec"]["containers"]
    return found


def ports(workload: Object) -> dict[str, int]:
    """Return the ports of the pods of a workload by name."""
    return {
        port["name"]: port["containerPort"]
        for container in containers(workload)
        for port in container.get("ports", [])
    }


def selected(objects: Iterable[Object], labels: Mapping[str, str]) -> list[Object]:
    """Return the workloads whose pods have some labels."""
    return [
        one
        for one in of_kind(objects, *WORKLOADS)
        if labels.items() <= template(one)["metadata"]["labels"].items()
    ]


def check(objects: Sequence[Object], namespace: str = "synapse") -> None:
    """Assert everything that the objects of one namespace promise each other."""
    _check_names(objects, namespace)
    for workload in of_kind(objects, *WORKLOADS):
        _check_workload(objects, workload)
        _check_restricted(workload)
    _check_services(objects)
    _check_selectors(objects)
    _check_policies(objects)
    _check_routes(objects)
    _check_connections(objects)


def _check_names(objects: Sequence[Object], namespace: str) -> None:
    keys = Counter((one["kind"], one["metadata"]["name"]) for one in objects)
    assert [key for key, count in keys.items() if count > 1] == []
    for one in objects:
        metadata = one["metadata"]
        assert _LABEL.fullmatch(metadata["name"]), metadata["name"]
        expected = None if one["kind"] == "Namespace" else namespace
        assert metadata.get("namespace") == expected, metadata
        for labels in (metadata.get("labels", {}), *_template_labels(one)):
            assert all(isinstance(value, str) for value in labels.values())
            assert all(_VALUE.fullmatch(value) for value in labels.values()), labels


def _template_labels(one: Object) -> Iterator[Mapping[str, str]]:
    if one["kind"] in WORKLOADS:
        yield template(one)["metadata"]["labels"]


def _check_workload(objects: Sequence[Object], workload: Object) -> None:
    spec, pod = workload["spec"], template(workload)["spec"]
    labels = template(workload)["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert selected(objects, spec["selector"]["matchLabels"]) == [workload]
    for constraint in pod.get("topologySpreadConstraints", []):
        assert selected(objects, constraint["labelSelector"]["matchLabels"]) == [workload]
    if workload["kind"] == "StatefulSet":
        # The label controller-revision-hash has the name and 11 more characters.
        assert len(workload["metadata"]["name"]) <= 52
        service = named(objects, "Service", spec["serviceName"])["spec"]
        assert service["clusterIP"] == "None"
        assert service["selector"] == spec["selector"]["matchLabels"]
    claims = {one["metadata"]["name"] for one in spec.get("volumeClaimTemplates", [])}
    volumes = {one["name"]: one for one in pod.get("volumes", [])}
    assert not claims & volumes.keys()
    for container in containers(workload):
        mounts = container.get("volumeMounts", [])
        assert {one["name"] for one in mounts} == claims | volumes.keys()
        assert len({one["mountPath"] for one in mounts}) == len(mounts)
        variables = container.get("env", [])
        assert len({one["name"] for one in variables}) == len(variables)
        assert all(isinstance(one["value"], str) for one in variables if "value" in one)
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            kinds = container.get(probe, {})
            for action in ("httpGet", "tcpSocket"):
                assert action not in kinds or kinds[action]["port"] in ports(workload)
        # A busy node may take seconds to connect; to restart what it runs would make it busier.
        assert container["livenessProbe"]["timeoutSeconds"] >= 5
        assert container["livenessProbe"]["failureThreshold"] >= 6
        assert container["readinessProbe"]["timeoutSeconds"] >= 5
    for volume in volumes.values():
        _check_volume(objects, volume)


def _check_connections(objects: Sequence[Object]) -> None:
    """Assert that PostgreSQL has connections for the pools of all pods that there may be."""
    (postgres,) = containers(named(objects, "StatefulSet", "postgres"))
    connections = int(postgres["args"][-1].removeprefix("max_connections="))
    synapse = [
        one
        for one in objects
        if one["kind"] in WORKLOADS
        and one["metadata"]["labels"]["app.kubernetes.io/name"] == "synapse"
    ]
    processes = 0
    for one in synapse:
        if one["kind"] == "Deployment":
            scaler = named(objects, "HorizontalPodAutoscaler", one["metadata"]["name"])
            # An update starts a quarter more.
            processes += -(-scaler["spec"]["maxReplicas"] * 5 // 4)
        else:
            processes += one["spec"]["replicas"]
    assert connections >= max(100, 5 * processes + 20)


def _check_volume(objects: Sequence[Object], volume: Object) -> None:
    if "secret" in volume:
        keys = SECRETS[volume["secret"]["secretName"]]
        assert volume["secret"]["defaultMode"] == 0o440
        assert keys is None or {one["key"] for one in volume["secret"]["items"]} <= keys
    if "configMap" in volume:
        named(objects, "ConfigMap", volume["configMap"]["name"])
    if "persistentVolumeClaim" in volume:
        name = volume["persistentVolumeClaim"]["claimName"]
        named(objects, "PersistentVolumeClaim", name)


def _check_restricted(workload: Object) -> None:
    """Assert the level "restricted" of the Pod Security Standards, and what is stricter here."""
    pod = template(workload)["spec"]
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys()
    allowed = {"secret", "configMap", "emptyDir", "persistentVolumeClaim", "name"}
    assert all(set(volume) <= allowed for volume in pod.get("volumes", []))
    for container in containers(workload):
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert not {"privileged", "runAsUser", "runAsNonRoot", "procMount"} & own.keys()
        assert all("hostPort" not in port for port in container.get("ports", []))


def _check_services(objects: Sequence[Object]) -> None:
    for service in of_kind(objects, "Service"):
        (workload,) = selected(objects, service["spec"]["selector"])
        names = [port["name"] for port in service["spec"]["ports"]]
        assert names
        assert len(set(names)) == len(names)
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports(workload)
            if service["spec"].get("clusterIP") == "None":
                # Clients connect to the port of the pod.
                assert ports(workload)[port["targetPort"]] == port["port"]


def _check_selectors(objects: Sequence[Object]) -> None:
    for budget in of_kind(objects, "PodDisruptionBudget"):
        assert len(selected(objects, budget["spec"]["selector"]["matchLabels"])) == 1
    for scaler in of_kind(objects, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        workload = named(objects, target["kind"], target["name"])
        assert workload["apiVersion"] == target["apiVersion"]
        assert "replicas" not in workload["spec"]
        assert 1 <= scaler["spec"]["minReplicas"] <= scaler["spec"]["maxReplicas"]
    for monitor in of_kind(objects, "ServiceMonitor"):
        labels = monitor["spec"]["selector"]["matchLabels"]
        services = [
            one
            for one in of_kind(objects, "Service")
            if labels.items() <= one["metadata"]["labels"].items()
        ]
        assert services
        for service in services:
            (workload,) = selected(objects, service["spec"]["selector"])
            for endpoint in monitor["spec"]["endpoints"]:
                if "targetPort" in endpoint:
                    assert endpoint["targetPort"] in ports(workload).values()
                else:
                    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}


def _check_policies(objects: Sequence[Object]) -> None:
    for policy in of_kind(objects, "NetworkPolicy"):
        spec = policy["spec"]
        if not spec["podSelector"]:
            assert "ingress" not in spec
            continue
        targets = selected(objects, spec["podSelector"]["matchLabels"])
        assert targets
        numbers = {number for one in targets for number in ports(one).values()}
        for rule in spec["ingress"]:
            assert {port["port"] for port in rule["ports"]} <= numbers
        for rule in (*spec["ingress"], *spec.get("egress", [])):
            for peer in (*rule.get("from", []), *rule.get("to", [])):
                if "podSelector" in peer:
                    assert selected(objects, peer["podSelector"]["matchLabels"])


def _check_routes(objects: Sequence[Object]) -> None:
    backends = []
    for ingress in of_kind(objects, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            backends += [path["backend"]["service"] for path in rule["http"]["paths"]]
            assert any(rule["host"] in tls["hosts"] for tls in ingress["spec"]["tls"])
    for backend in backends:
        service = named(objects, "Service", backend["name"])
        assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
    for route in of_kind(objects, "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                service = named(objects, "Service", backend["name"])
                assert backend["port"] in {port["port"] for port in service["spec"]["ports"]}
