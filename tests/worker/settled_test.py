"""Tests for parsed settings and rendered files that no golden file covers."""

import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.site import PLANNED, WORKERS
from worker.documents import derives_secret, documents, log_document
from worker.errors import ConfigError
from worker.settings import Settings, parse
from worker.worker_types import Table, installed_version, load_table

GOOD: dict[str, Any] = yaml.safe_load(WORKERS)
BARE: dict[str, Any] = yaml.safe_load(PLANNED)


def settings(worker: str, **variables: str) -> Settings:
    """Return the settings of ``worker``, with ``variables`` in its environment."""
    return parse(
        {"SYNAPSE_WORKER": worker, "SYNAPSE_REPLICATION_HOST": "main"} | variables, load_table()
    )


@pytest.mark.parametrize("folders", [["matrix_synapse-1.126.0.dist-info"], []])
def test_the_version_is_that_of_the_synapse_that_would_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: list[str]
) -> None:
    """Other packages, and folders that do not exist, are ignored."""
    for name in [*folders, "matrix_common-1.3.0.dist-info", "synapse"]:
        (tmp_path / name).mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "none"), str(tmp_path)])
    assert installed_version() == ("1.126.0" if folders else "")


def table(version: str) -> Table:
    """Return a table with a feature that only some releases have."""
    return Table(ports={}, types={}, apps={}, features={"odd": (70, 90)}, version=version)


@pytest.mark.parametrize(
    ("version", "has"),
    [("1.69.0", False), ("1.70.0", True), ("1.90.2rc1", True), ("1.91.0", False), ("", False)],
)
def test_a_feature_is_there_from_its_first_release_to_its_last(version: str, has: bool) -> None:
    """An empty version counts as the newest release."""
    assert table(version).has("odd") is has


def test_roles_are_joined_by_plus_and_named_in_their_order() -> None:
    """The default name lists the worker types; unknown and repeated ones are not accepted."""
    found = load_table().find(" typing + pusher ")
    assert found is not None
    assert (found.slug, found.app) == ("typing-pusher", "synapse.app.generic_worker")
    assert found.resources == {"client"}
    assert load_table().find("typing+nobody") is None
    assert load_table().find("typing+typing") is None


def test_json_logs_come_from_synapses_own_formatter() -> None:
    """Only Synapse's formatter knows the fields of its log lines."""
    formatters = log_document(settings("pusher", SYNAPSE_LOG_FORMAT="json"))["formatters"]
    assert formatters == {"console": {"class": "synapse.logging.TerseJsonFormatter"}}


def test_a_log_line_names_application_and_host() -> None:
    """A percent sign in the host name is escaped, so it is not part of the format."""
    document = log_document(settings("pusher", SYNAPSE_HOSTNAME="50%", SYNAPSE_LOG_LEVEL="ERROR"))
    assert document["formatters"]["console"]["format"] == (
        "synapse.app.generic_worker [50%%] - %(asctime)s - %(name)s - %(lineno)d - %(levelname)s - "
        "%(request)s - %(message)s"
    )
    assert document["root"] == {"level": "ERROR", "handlers": ["console"]}
    assert document["loggers"] == {"synapse.storage.SQL": {"level": "INFO"}}


@pytest.mark.parametrize("old", ["start_pushers", "notify_appservices", "send_federation"])
def test_a_plan_drops_the_older_setting_of_the_same_duty(old: str) -> None:
    """If both were set, Synapse would either fail or follow the older one."""
    plan = "pusher, appservice, federation_sender"
    homeserver = BARE | {old: False}
    for worker in ("homeserver", "pusher"):
        shared = documents(homeserver, settings(worker, SYNAPSE_WORKERS=plan))["homeserver.yaml"]
        assert old not in shared
        assert documents(homeserver, settings(worker))["homeserver.yaml"][old] is False


@pytest.mark.parametrize(
    ("worker", "tls", "has"),
    [
        ("homeserver", "on", True),
        ("homeserver", "off", False),
        ("federation_reader", "on", True),
        ("synchrotron", "on", False),
    ],
)
def test_only_who_speaks_tls_gets_the_paths(worker: str, tls: str, has: bool) -> None:
    """A process with these options reads the files, and exits if they are missing."""
    homeserver = GOOD | {"tls_certificate_path": "/old", "tls_private_key_path": "/old"}
    chosen = settings(worker, SYNAPSE_FEDERATION_TLS=tls, SYNAPSE_DATA_DIR="/keys")
    shared = documents(homeserver, chosen)["homeserver.yaml"]
    paths = (shared.get("tls_certificate_path"), shared.get("tls_private_key_path"))
    assert paths == (("/keys/tls.crt", "/keys/tls.key") if has else (None, None))


def test_every_process_gets_the_same_paths_and_metrics() -> None:
    """The values in homeserver.yaml are replaced."""
    homeserver = GOOD | {"media_store_path": "/x", "signing_key_path": "/y", "log_config": "/z"}
    chosen = settings(
        "homeserver",
        SYNAPSE_DATA_DIR="/keys",
        SYNAPSE_MEDIA_DIR="/media",
        SYNAPSE_RUNTIME_DIR="/rendered",
    )
    shared = documents(homeserver | {"enable_metrics": False}, chosen)["homeserver.yaml"]
    assert shared["media_store_path"] == "/media"
    assert shared["signing_key_path"] == "/keys/signing.key"
    assert shared["log_config"] == "/rendered/log.yaml"
    assert shared["enable_metrics"] is True


def test_every_variable_reaches_the_settings() -> None:
    """The settings hold parsed values, not the text of the variables."""
    found = settings(
        "federation_reader",
        GID="4321",
        SYNAPSE_BIND_ADDRESSES="127.0.0.1",
        SYNAPSE_CPU_AFFINITY="0x23",
        SYNAPSE_DATABASE_PASSWORD_FILE="/run/password",
        SYNAPSE_DATA_DIR="/keys",
        SYNAPSE_LOG_LEVEL="fatal",
        SYNAPSE_REPLICATION_HOST="[fd00::7]",
        SYNAPSE_REPLICATION_SECRET_FILE="/run/secret",
        SYNAPSE_WAIT_SECONDS="86400",
        SYNAPSE_WORKER_NAME="reader",
        UID="1234",
    )
    assert (found.uid, found.gid, found.cpus) == (1234, 4321, frozenset({0, 1, 5}))
    assert (found.config_path, found.data_dir) == (Path("/keys/homeserver.yaml"), Path("/keys"))
    assert (found.media_dir, found.runtime_dir) == (
        Path("/synapse_media"),
        Path("/synapse_runtime"),
    )
    assert found.database_password_file == Path("/run/password")
    assert found.replication_secret_file == Path("/run/secret")
    assert (found.replication_host, found.name, found.name_given) == ("fd00::7", "reader", True)
    assert (found.log_level, found.wait_seconds) == ("CRITICAL", 86400)
    assert (found.log_json, found.jemalloc, found.federation_tls) == (False, True, True)
    assert (found.replication_secret_off, found.sockets_dir, found.modules_dir) == (
        False,
        None,
        None,
    )
    assert found.bind_addresses == ("127.0.0.1",)


def test_an_empty_environment_means_the_documented_defaults() -> None:
    """An empty variable counts as unset."""
    found = settings("homeserver", UID="", SYNAPSE_DATA_DIR="", SYNAPSE_BIND_ADDRESSES="")
    assert (found.uid, found.gid, found.cpus) == (991, 991, frozenset())
    assert (found.data_dir, found.config_path) == (Path("/data"), Path("/data/homeserver.yaml"))
    assert (found.name, found.name_given, found.replication_host) == ("", False, "")
    assert (found.bind_addresses, found.wait_seconds) == (("0.0.0.0",), 0)
    assert (found.log_level, found.log_json, found.plan) == ("INFO", False, None)
    assert found.hostname == socket.gethostname()


def test_a_worker_that_its_plan_names_is_called_so() -> None:
    """A worker is identified by its name, or by a type that the plan has only once."""
    plan = "pusher:2, a=typing+presence@[fd00::9]"
    by_name = settings("", SYNAPSE_WORKERS=plan, SYNAPSE_WORKER_NAME="pusher2")
    assert (by_name.name, by_name.process.slug, by_name.name_given) == ("pusher2", "pusher", True)
    by_type = settings("presence+typing", SYNAPSE_WORKERS="a=presence+typing")
    assert (by_type.name, by_type.name_given) == ("a", True)
    assert [worker.host for worker in by_name.plan or ()] == ["pusher1", "pusher2", "fd00::9"]


def test_a_plan_full_of_mistakes_is_cut_short() -> None:
    """The error has fifty problems, and a line that says there are more."""
    with pytest.raises(ConfigError) as refused:
        settings("homeserver", SYNAPSE_WORKERS=",".join(["bogus"] * 51))
    assert len(refused.value.problems) == 51
    assert refused.value.problems[-1] == (
        "SYNAPSE_WORKERS has more problems than these; fix these first"
    )
    with pytest.raises(ConfigError) as complete:
        settings("homeserver", SYNAPSE_WORKERS=",".join(["bogus"] * 50))
    assert len(complete.value.problems) == 50


def test_the_most_workers_beside_mistakes_are_not_too_many() -> None:
    """The limit of 500 workers is not exceeded, so it is not mentioned."""
    with pytest.raises(ConfigError) as refused:
        settings("homeserver", SYNAPSE_WORKERS=",".join(["pusher:500", *["bogus"] * 51]))
    assert refused.value.problems[50:] == (
        "SYNAPSE_WORKERS has more problems than these; fix these first",
    )


def test_the_choices_are_all_applications_and_then_all_worker_types() -> None:
    """Applications and worker types are each listed in the order of the table."""
    types = dict.fromkeys(["pusher", "typing"], load_table().types["pusher"])
    apps = dict.fromkeys(["a.main", "a.worker"], load_table().apps["synapse.app.homeserver"])
    found = Table(ports={}, types=types, apps=apps, features={})
    assert found.choices() == "a.main, a.worker, or worker types joined by +: pusher, typing"


def test_five_hundred_workers_are_the_most() -> None:
    """The workers of all entries are counted together."""
    found = settings("homeserver", SYNAPSE_WORKERS="pusher:250, synchrotron:250").plan
    assert found is not None
    assert (len(found), found[0].name, found[-1].name) == (500, "pusher1", "synchrotron250")


def test_what_is_called_by_its_application() -> None:
    """The default name is the last part of the application, for the main process too."""
    types = load_table().apps
    assert types["synapse.app.homeserver"].slug == "homeserver"
    assert types["synapse.app.generic_worker"].slug == "generic_worker"


def test_with_sockets_a_worker_needs_no_host() -> None:
    """The worker finds the main process's socket in the folder."""
    found = parse({"SYNAPSE_WORKER": "synapse.app.pusher", "SYNAPSE_UNIX_SOCKETS": "/sockets"})
    assert (found.replication_host, found.sockets_dir) == ("", Path("/sockets"))


def test_a_secret_of_the_operators_own_is_not_made(tmp_path: Path) -> None:
    """No secret is derived if a file or homeserver.yaml contains one."""
    own = settings("synapse.app.pusher", SYNAPSE_REPLICATION_SECRET_FILE=str(tmp_path / "secret"))
    assert derives_secret(BARE, settings("synapse.app.pusher"))
    assert not derives_secret(BARE, own)
    assert not derives_secret(BARE | {"worker_replication_secret": "x"}, settings("homeserver"))
