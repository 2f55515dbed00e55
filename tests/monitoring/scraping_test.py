"""Prometheus's own check of the scrape configurations for what `compose` starts."""

import json
from pathlib import Path

import pytest

from tests.monitoring.promtool import promtool
from worker.scraping import compose_scraping

_MAIN = "scrape_config_files: [synapse.json]\n"


def test_prometheus_reads_the_scrape_configurations(tmp_path: Path) -> None:
    """With replicas, and with one container; a planted fault shows that it reads the file."""
    for environ in ({}, {"SYNAPSE_PROCESSES": "all"}):
        text = json.dumps(compose_scraping(environ, "synchrotron:2, a.b=client_reader, typing"))
        files = {"prometheus.yml": _MAIN, "synapse.json": text}
        promtool(tmp_path, files, "check", "config", "prometheus.yml")
    broken = json.dumps(compose_scraping({}, "synchrotron")).replace('"A"', '"B"')
    files = {"prometheus.yml": _MAIN, "synapse.json": broken}
    with pytest.raises(AssertionError, match="invalid DNS-SD records type B"):
        promtool(tmp_path, files, "check", "config", "prometheus.yml")
