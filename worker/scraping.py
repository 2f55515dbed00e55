"""The scrape configurations of Prometheus for what the verb `compose` starts.

The format is that of a file in ``scrape_config_files``, which Prometheus 2.43 and newer read
(https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from deploy.containers import Container
from worker.deployment import deployment
from worker.doctor import MAIN, target_labels
from worker.hosts import address

_PATH = "/_synapse/metrics"
_REFRESH = "15s"  # The scrape interval that the documentation suggests.


def _targets(container: Container, port: int) -> Iterator[dict[str, Any]]:
    """Yield the targets of a container that has one address."""
    if container.members:
        for one in container.members:
            at = address(container.host, one.metrics_port)
            yield {"targets": [at], "labels": dict(one.labels)}
        return
    labels = target_labels(container.name, MAIN if container.is_main else container.runs)
    yield {"targets": [address(container.host, port)], "labels": labels}


def _replicas(container: Container, port: int) -> dict[str, Any]:
    """Return the configuration for replicas, each of which has an address for a common name.

    Prometheus uses it as the label ``instance``; the names of replicas are those of their
    containers, which it does not know.
    """
    names = {"names": [container.host], "type": "A", "port": port, "refresh_interval": _REFRESH}
    return {
        "job_name": f"synapse-{container.name}",
        "metrics_path": _PATH,
        "dns_sd_configs": [names],
        "relabel_configs": [{"target_label": "job", "replacement": container.runs}],
    }


def compose_scraping(environ: Mapping[str, str], plan_text: str) -> dict[str, Any]:
    """Return scrape configurations for the containers of a plan, as plain data.

    Args:
        environ: the variables, as for ``compose``; with ``SYNAPSE_PROCESSES``, as for its option
            ``--one-container``.
        plan_text: the plan.

    Raises:
        ConfigError: if the plan or a variable is invalid.
    """
    together = bool(environ.get("SYNAPSE_PROCESSES"))
    planned = deployment(environ, plan_text, with_replicas=True, one_container=together)
    port = planned.ports["metrics"]
    static = [
        target for one in planned.containers if not one.replicas for target in _targets(one, port)
    ]
    replicas = [_replicas(one, port) for one in planned.containers if one.replicas]
    single = {"job_name": "synapse", "metrics_path": _PATH, "static_configs": static}
    return {"scrape_configs": [single, *replicas]}
