"""Features that older Synapse lacks: rendered in the older form, or refused with a message."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.site import WORKERS, make_data
from worker.check import find_problems, find_warnings
from worker.documents import documents
from worker.errors import ConfigError
from worker.rendering import rendered_documents
from worker.settings import Settings, parse
from worker.worker_types import load_table

HOMESERVER = yaml.safe_load(WORKERS)
WITHOUT_REDIS = {name: value for name, value in HOMESERVER.items() if name != "redis"}


def settings(version: str, **variables: str) -> Settings:
    """Parse ``variables`` on top of the complete variables of an event creator."""
    base = {"SYNAPSE_WORKER": "synapse.app.event_creator", "SYNAPSE_REPLICATION_HOST": "main"}
    return parse(base | variables, replace(load_table(), version=version))


@pytest.mark.parametrize(
    ("version", "worker_type", "since"),
    [
        ("1.98.0", "push_rules", 105),
        ("1.134.0", "device_lists", 135),
        ("1.134.0", "thread_subscriptions", 135),
        ("1.144.0", "quarantined_media_changes", 152),
    ],
)
def test_a_worker_type_from_later_is_refused(version: str, worker_type: str, since: int) -> None:
    """It is refused as a worker type and in a plan, and accepted from the release that added it."""
    added = f"which was added in Synapse 1.{since}, but this is {version}"
    line = f"this worker type writes the stream {worker_type}, {added}"
    with pytest.raises(ConfigError) as alone:
        settings(version, SYNAPSE_WORKER=worker_type)
    assert alone.value.problems == (
        f"SYNAPSE_WORKER={worker_type!r} cannot run: {line}; leave its work to the main process",
    )
    with pytest.raises(ConfigError) as planned:
        settings(version, SYNAPSE_WORKERS=f"event_creator,{worker_type}")
    assert f"SYNAPSE_WORKERS: {worker_type!r}: {line}; remove it" in planned.value.problems
    assert (
        settings(f"1.{since}.0rc1", SYNAPSE_WORKER=worker_type).process.types[0].name == worker_type
    )


def test_unix_sockets_need_1_89() -> None:
    """Older releases cannot use a Unix socket for replication."""
    with pytest.raises(ConfigError) as refused:
        settings("1.88.0", SYNAPSE_UNIX_SOCKETS="/sockets")
    assert refused.value.problems == (
        "SYNAPSE_UNIX_SOCKETS='/sockets' needs Synapse 1.89 or newer, but this is 1.88.0; unset it",
    )
    assert settings("1.89.0", SYNAPSE_UNIX_SOCKETS="/sockets").sockets_dir == Path("/sockets")


def rendered(version: str, homeserver: dict[str, Any], **variables: str) -> dict[str, Any]:
    """Return the documents of an event creator, or of the worker type in ``variables``."""
    homeserver = homeserver | {"worker_replication_secret": "s"}
    return documents(homeserver, settings(version, **variables))


def test_without_redis_events_come_by_tcp_until_1_66() -> None:
    """They use port 9092 of the main process and settings that Synapse refuses since 1.88."""
    worker = rendered("1.66.0", WITHOUT_REDIS)["worker.yaml"]
    assert worker["worker_replication_host"] == "main"
    assert (worker["worker_replication_port"], worker["worker_replication_http_port"]) == (
        9092,
        9093,
    )
    main = rendered("1.66.0", WITHOUT_REDIS, SYNAPSE_WORKER="synapse.app.homeserver")
    kinds = {row["port"]: row["type"] for row in main["homeserver.yaml"]["listeners"]}
    assert kinds[9092] == "replication"
    with_redis = rendered("1.66.0", HOMESERVER, SYNAPSE_WORKER="synapse.app.homeserver")
    assert 9092 not in {row["port"] for row in with_redis["homeserver.yaml"]["listeners"]}
    assert "worker_replication_port" not in rendered("1.66.0", HOMESERVER)["worker.yaml"]


@pytest.mark.parametrize(("version", "named"), [("1.83.0", True), ("1.84.0", False)])
def test_main_is_found_by_the_setting_of_the_time(version: str, named: bool) -> None:
    """Workers find the main process through instance_map since 1.84."""
    files = rendered(version, HOMESERVER)
    assert ("worker_replication_host" in files["worker.yaml"]) is named
    assert ("main" in files["homeserver.yaml"].get("instance_map", {})) is not named


@pytest.mark.parametrize("version", ["1.67.0", "1.98.0", ""])
def test_later_nothing_goes_without_redis(version: str, tmp_path: Path) -> None:
    """The error message says what to set."""
    data = make_data(tmp_path / "data", WORKERS)
    problems = find_problems(WITHOUT_REDIS, settings(version, SYNAPSE_DATA_DIR=str(data)))
    assert any(line.startswith("homeserver.yaml: redis is not enabled, but") for line in problems)
    assert not find_problems(WITHOUT_REDIS, settings("1.66.0", SYNAPSE_DATA_DIR=str(data)))


def test_the_secret_stands_in_the_document_before_1_126(tmp_path: Path) -> None:
    """Older releases do not read a secret path; the same secret is derived in every era."""
    data = str(make_data(tmp_path / "data", WORKERS))
    runtime = str(tmp_path)
    old = rendered_documents(
        HOMESERVER, settings("1.125.0", SYNAPSE_DATA_DIR=data, SYNAPSE_RUNTIME_DIR=runtime)
    )["homeserver.yaml"]
    assert len(old["worker_replication_secret"]) == 64
    assert "worker_replication_secret_path" not in old
    new = rendered_documents(
        HOMESERVER, settings("1.126.0", SYNAPSE_DATA_DIR=data, SYNAPSE_RUNTIME_DIR=runtime)
    )["homeserver.yaml"]
    assert new["worker_replication_secret_path"] == f"{runtime}/replication_secret"
    off = settings("1.125.0", SYNAPSE_DATA_DIR=data, SYNAPSE_REPLICATION_SECRET="off")
    assert "worker_replication_secret" not in rendered_documents(HOMESERVER, off)["homeserver.yaml"]
    missing = settings("1.125.0", SYNAPSE_REPLICATION_SECRET_FILE=f"{runtime}/none")
    with pytest.raises(ConfigError, match=r"none: the replication secret is missing; mount it"):
        rendered_documents(HOMESERVER, missing)


def test_a_worker_speaks_tls_since_1_72() -> None:
    """In older releases the TLS port would serve plain HTTP, so no TLS listener is rendered."""
    reader = {"SYNAPSE_WORKER": "synapse.app.federation_reader"}
    old = rendered("1.71.0", HOMESERVER, **reader)["worker.yaml"]["worker_listeners"]
    assert [row["port"] for row in old if "federation" in str(row["resources"])] == [8008]
    (warning,) = [
        line for line in find_warnings(HOMESERVER, settings("1.71.0", **reader)) if "TLS" in line
    ]
    assert warning == (
        "Synapse 1.71.0 does not support TLS on workers (1.72 does); federation_reader serves "
        "federation without TLS on port 8008: terminate TLS at the reverse proxy"
    )
    new = rendered("1.72.0", HOMESERVER, **reader)["worker.yaml"]["worker_listeners"]
    assert [row["port"] for row in new if row.get("tls")] == [8448]
