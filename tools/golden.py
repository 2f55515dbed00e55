"""Renders the configuration of each worker type for the golden files of the tests."""

import re
from collections.abc import Iterator
from dataclasses import replace

import yaml

from deploy.alerts import rule_file
from deploy.dashboard import dashboard_file
from deploy.engines import ENGINES, engine_files
from deploy.images import Images
from deploy.kubernetes import manifests
from deploy.kubernetes.options import KubernetesOptions
from testbed.site import PLANNED, WORKERS
from worker.deployment import deployment
from worker.documents import documents
from worker.monitoring import monitored
from worker.plan import parse_plan
from worker.settings import parse
from worker.worker_types import load_table

# One release per era: direct TCP replication, no secret's path setting, no quarantine stream.
ERAS = ("1.66.0", "1.98.0", "1.144.0")

# Each kind of writer: of one stream, of several, beside main, and implied by another worker type.
PLAN = (
    "pusher:2, sender=federation_sender, persister=event_persister@10.0.0.7, "
    "writer=typing+receipts, keeper=media_repository, warden=quarantined_media_changes"
)


def _render(app: str, version: str, homeserver: str) -> str:
    table = replace(load_table(), version=version)
    host = {} if table.apps[app].is_main else {"SYNAPSE_REPLICATION_HOST": "main"}
    settings = parse({"SYNAPSE_WORKER": app, "SYNAPSE_HOSTNAME": "host-1"} | host, table)
    rendered = documents(yaml.safe_load(homeserver), settings)
    return yaml.safe_dump_all(rendered.values(), sort_keys=False)


def _render_plan() -> str:
    environ = {
        "SYNAPSE_WORKERS": PLAN,
        "SYNAPSE_HOSTNAME": "host-1",
        "SYNAPSE_REPLICATION_HOST": "main",
    }
    main = parse(environ | {"SYNAPSE_WORKER": "homeserver"}, replace(load_table(), version=""))
    parts = []
    for name in ["", *(worker.name for worker in main.plan or ())]:
        process = {"SYNAPSE_WORKER_NAME": name} if name else {"SYNAPSE_WORKER": "homeserver"}
        rendered = documents(yaml.safe_load(PLANNED), parse(environ | process, main.table))
        text = yaml.safe_dump_all(rendered.values(), sort_keys=False)
        parts.append(f"# {name or 'main'}\n---\n{text}")
    return "".join(parts)


# A process of each kind in Kubernetes: replicas, numbered workers, and a single one.
_KUBERNETES_PLAN = "synchrotron:2, event_persister:2, media_repository"
_CHART_SAMPLES = ("/NOTES.txt", "/component-ingress.yaml", "/media.yaml", "-synchrotron.yaml")


def _render_kubernetes() -> tuple[str, str]:
    """Return the files for Kubernetes, and those of the Helm chart, without HAProxy's routes."""
    planned = deployment({}, _KUBERNETES_PLAN, with_replicas=True)
    images = Images(image="localhost/synapse-worker@sha256:" + "0" * 64)
    options = KubernetesOptions(ingress="ingress", domain="matrix.example.com", monitoring=True)
    parts = {True: "", False: ""}
    for path, text in manifests.files(planned, images, options).items():
        if path.startswith("chart/templates/") and not path.endswith(_CHART_SAMPLES):
            continue  # The templates are made of the same objects.
        # Other golden files and tests have the routes, which change more often.
        cut = re.sub(r"(?<=  haproxy.cfg: \|\n)(    .*\n|\n)+", "    ...\n", text)
        cut = re.sub('(?<=configuration-sha256: )["0-9a-f]+', "...", cut)
        parts[path.startswith("chart/")] += f"#### {path}\n{cut}"
    return parts[False], parts[True]


def _render_one_container() -> str:
    """Return what one container for all processes is given: the files of each engine for it."""
    images = Images(image="localhost/synapse-worker@sha256:" + "0" * 64)
    planned = deployment({}, _KUBERNETES_PLAN, one_container=True)
    texts = {
        path: text
        for engine in ENGINES
        for path, text in engine_files(engine, planned, images, "", rootless=False).items()
        if path.endswith(("compose.yaml", "/synapse-main.container"))
    }
    pods = deployment({}, _KUBERNETES_PLAN, with_replicas=True, one_container=True)
    main = "base/main.yaml"
    texts[main] = manifests.files(pods, images, KubernetesOptions())[main]
    return "".join(f"#### {path}\n{text}" for path, text in texts.items())


def monitoring_files() -> Iterator[tuple[str, str]]:
    """Yield (name, text) of the golden files of the verbs alerts and dashboard."""
    newest = replace(load_table(), version="")
    for name, plan, table in (
        ("plan", PLAN, newest),
        ("main", "", newest),
        ("synapse-1.66.0", "pusher, federation_sender", replace(newest, version="1.66.0")),
    ):
        watched = monitored(parse_plan(plan, table), table)
        yield f"alerts-{name}.yml", rule_file(watched)
        if name == "plan":
            yield "dashboard.json", dashboard_file(watched)


def golden_files() -> Iterator[tuple[str, str]]:
    """Yield (name, text) for every golden file.

    There is one per worker type for the newest Synapse, one per older era, one for a plan, one each
    for the files and for the Helm chart of a plan in Kubernetes, and one for all processes in one
    container.
    """
    types = load_table().apps
    for app, worker in types.items():
        yield f"{worker.slug}.yaml", _render(app, "", WORKERS)
    for version in ERAS:
        homeserver = WORKERS + "worker_replication_secret: for tests only\n"
        if version == ERAS[0]:
            lines = [line for line in homeserver.splitlines(True) if not line.startswith("redis")]
            homeserver = "".join(lines)
        parts = [f"# {app}\n---\n{_render(app, version, homeserver)}" for app in types]
        yield f"synapse-{version}.yaml", "".join(parts)
    yield "plan.yaml", _render_plan()
    objects, chart = _render_kubernetes()
    yield "kubernetes.txt", objects
    yield "kubernetes-chart.txt", chart
    yield "one-container.txt", _render_one_container()
