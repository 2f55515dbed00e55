"""What `doctor` and `prometheus` print for a plan."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.site import PLANNED
from worker.__main__ import main

GOOD: dict[str, Any] = yaml.safe_load(PLANNED)


@pytest.fixture(autouse=True)
def rights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the test's privileges, since a sandbox that maps only root has no other user."""
    monkeypatch.setattr("worker.examination.drop_rights", lambda _: [])


def doctor(tmp_path: Path, homeserver: dict[str, Any], plan: str, *, key: bool = True) -> int:
    """Run `doctor` on ``homeserver``, with federation TLS off; return the exit code."""
    (tmp_path / "homeserver.yaml").write_text(yaml.safe_dump(homeserver))
    if key:
        (tmp_path / "signing.key").write_text("ed25519 a_test " + "B" * 42 + "A\n")
    environ = {
        "SYNAPSE_DATA_DIR": str(tmp_path),
        "SYNAPSE_MEDIA_DIR": str(tmp_path),
        "SYNAPSE_FEDERATION_TLS": "off",
    }
    return main(["doctor", plan], environ)


def test_the_doctor_says_who_is_who(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The doctor prints a line for each process when all is well."""
    plan = tmp_path / "plan"
    plan.write_text("pusher:2\nevents=event_persister@10.0.0.7\n")
    assert doctor(tmp_path, GOOD, str(plan)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ok: main: the main process",
        "ok: pusher1: pusher",
        "ok: pusher2: pusher",
        "ok: events: event_persister, replication at 10.0.0.7:9093",
    ]


def test_the_doctor_says_everything_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The doctor reports all problems together, before any process starts."""
    homeserver = GOOD | {"redis": {"enabled": False}, "start_pushers": False}
    homeserver["database"] = {"name": "sqlite3"}
    assert doctor(tmp_path, homeserver, "federation_inbound", key=False) == 2
    lines = capsys.readouterr().err.splitlines()
    assert all(line.endswith(" (every process)") for line in lines)
    assert [line.split(" is ")[0] for line in lines] == [
        "error: homeserver.yaml: redis",
        "error: homeserver.yaml: database.name",
        "error: homeserver.yaml: start_pushers",
        f"error: {tmp_path}/signing.key: the signing key",
    ]


def test_prometheus_can_tell_the_processes_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """Synapse's own metrics do not say which process they come from."""
    plan = "pusher:2, a=typing+to_device@10.0.0.7"
    assert main(["prometheus", plan], {"SYNAPSE_REPLICATION_HOST": "synapse"}) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(row["targets"], *row["labels"].values()) for row in found] == [
        (["synapse:9000"], "main", "main", "1"),
        (["pusher1:9000"], "pusher1", "pusher", "1"),
        (["pusher2:9000"], "pusher2", "pusher", "2"),
        (["10.0.0.7:9000"], "a", "typing+to_device", "1"),
    ]


def test_a_plan_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An argument with a slash is a path, since a plan has no slashes."""
    assert doctor(tmp_path, GOOD, "/no/such/plan") == 2
    assert capsys.readouterr().err == ("error: /no/such/plan: the plan is missing; mount it\n")


def test_an_empty_plan_is_the_main_process_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty SYNAPSE_WORKERS counts as unset."""
    assert doctor(tmp_path, GOOD, "") == 0
    assert capsys.readouterr().out == "ok: main: the main process\n"
    assert main(["prometheus", ""], {}) == 0
    assert [row["labels"]["instance"] for row in json.loads(capsys.readouterr().out)] == ["main"]


def scraping(capsys: pytest.CaptureFixture[str], plan: str, **environ: str) -> list[dict[str, Any]]:
    """Return the scrape configurations for what `compose` starts."""
    assert main(["prometheus", "--compose", plan], environ) == 0
    configurations: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["scrape_configs"]
    return configurations


def test_prometheus_finds_replicas_of_compose_by_their_common_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Their number can change at any time; workers with a duty keep their own names."""
    single, replicas = scraping(capsys, "synchrotron:2, pusher:2")
    hosts = [target for one in single["static_configs"] for target in one["targets"]]
    assert hosts == ["main:9000", "pusher1:9000", "pusher2:9000"]
    assert single["static_configs"][1]["labels"] == {
        "instance": "pusher1",
        "job": "pusher",
        "index": "1",
    }
    (names,) = replicas["dns_sd_configs"]
    assert (names["names"], names["type"], names["port"]) == (["synchrotron"], "A", 9000)
    assert replicas["relabel_configs"] == [{"target_label": "job", "replacement": "synchrotron"}]


def test_prometheus_finds_every_process_of_one_container(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """There are no replicas then."""
    (single,) = scraping(capsys, "synchrotron:2", SYNAPSE_PROCESSES="all")
    hosts = [target for one in single["static_configs"] for target in one["targets"]]
    assert len(set(hosts)) == 3
    assert {host.split(":")[0] for host in hosts} == {"main"}


def test_prometheus_lists_what_it_lists_without_the_option(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """If nothing is replicated, such as at hosts of the plan, the targets are the same."""
    plan = "a=synchrotron@10.0.0.7, b=typing+presence@10.0.0.8"
    environ = {"SYNAPSE_REPLICATION_HOST": "10.0.0.1"}
    assert main(["prometheus", plan], environ) == 0
    targets = json.loads(capsys.readouterr().out)
    (single,) = scraping(capsys, plan, **environ)
    assert single["static_configs"] == targets


@pytest.mark.parametrize("host", ["http://main", "10.0.0.5:9093"])
def test_prometheus_refuses_what_is_not_a_host(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prometheus would scrape nothing or reject the whole file."""
    assert main(["prometheus", "pusher"], {"SYNAPSE_REPLICATION_HOST": host}) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: SYNAPSE_REPLICATION_HOST={host!r} ")
