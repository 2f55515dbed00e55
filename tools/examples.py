"""The files in examples/: what the verbs print for the plan of each example."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploy.alerts import rule_file
from deploy.dashboard import dashboard_file
from deploy.engines import REPLICATING, engine_files
from deploy.images import Images
from deploy.kubernetes import manifests
from deploy.kubernetes.options import KubernetesOptions
from worker.deployment import deployment, one_line
from worker.doctor import MAIN, scrape_targets
from worker.plan import parse_plan
from worker.scraping import compose_scraping
from worker.worker_types import load_table

IMAGES = Images(image="ghcr.io/example/synapse-worker:1.163.2")
WRITTEN = ("README.md", "plan.txt")  # The files of an example that a person writes.
# Maps each example to the verb whose output it has.
EXAMPLES = {"family": "compose", "club": "quadlet", "company": "kubernetes"}
_KUBERNETES = KubernetesOptions(ingress="ingress", domain="matrix.example.com", monitoring=True)


def _started(verb: str, plan: str) -> Mapping[str, str]:
    """Return the files that start the processes of a plan."""
    if verb == "kubernetes":
        return manifests.files(deployment({}, plan, with_replicas=True), IMAGES, _KUBERNETES)
    planned = deployment({}, plan, with_replicas=verb in REPLICATING)
    return engine_files(verb, planned, IMAGES, "", rootless=False)


def example_files(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the path below ``folder``, which is examples/, and the text of each printed file."""
    for name, verb in EXAMPLES.items():
        plan = one_line((folder / name / "plan.txt").read_text())
        files = dict(_started(verb, plan))
        if verb != "kubernetes":
            # In Kubernetes, the operator for Prometheus finds processes, and gets the rules.
            workers = parse_plan(plan, load_table())
            if verb in REPLICATING:
                files["scrape.json"] = json.dumps(compose_scraping({}, plan), indent=1) + "\n"
            else:
                files["targets.json"] = json.dumps(scrape_targets(workers, MAIN), indent=1) + "\n"
            files["synapse.rules.yml"] = rule_file(deployment({}, plan).monitored)
        files["dashboard.json"] = dashboard_file(deployment({}, plan).monitored)
        yield from ((f"{name}/{path}", text) for path, text in files.items())
