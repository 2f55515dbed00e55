"""Tests that pitfalls observed with Synapse itself are reported or avoided."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.site import PLANNED, WORKERS, make_data
from worker.check import find_problems, find_warnings
from worker.documents import SECRET_FILE, documents
from worker.redaction import masked, without_secrets
from worker.replication_secret import derived_secret
from worker.settings import Settings, parse

GOOD: dict[str, Any] = yaml.safe_load(WORKERS)
BARE: dict[str, Any] = yaml.safe_load(PLANNED)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a valid /data folder."""
    return make_data(tmp_path / "data", WORKERS)


def settings(data: Path, worker: str, **variables: str) -> Settings:
    """Return the settings of ``worker``, with ``variables`` in its environment."""
    environ = {
        "SYNAPSE_WORKER": worker,
        "SYNAPSE_REPLICATION_HOST": "main",
        "SYNAPSE_DATA_DIR": str(data),
        "SYNAPSE_MEDIA_DIR": str(data),
    }
    return parse(environ | variables)


@pytest.mark.parametrize("worker", ["homeserver", "synapse.app.synchrotron"])
@pytest.mark.parametrize(
    ("key", "line"),
    [
        (None, "signing.key: the signing key is missing; mount it"),
        ("", "signing.key: it is not a signing key; each line must be: ed25519 NAME, and 32"),
        ("garbage\n", "signing.key: it is not a signing key; each line must be: ed25519 NAME"),
        ("ed25519 a short\n", "signing.key: it is not a signing key; each line must be: ed25519"),
        ("rsa a " + "B" * 43, "signing.key: it is not a signing key; each line must be: ed25519"),
        (
            "ed25519 a " + "A" * 43,
            "signing.key: the seed of a is all zero bytes, so that anyone can sign as this server; "
            "mount a key made by Synapse or by the verb generate",
        ),
        (
            "ed25519 a " + "B" * 43 + "\ned25519 old " + "A" * 43,
            "signing.key: the seed of old is all zero bytes, so that anyone can sign as this",
        ),
        ("ed25519 a " + "ä" * 43, "signing.key: it is not a signing key; each line must be: ed"),
    ],
)
def test_a_signing_key_is_there_and_is_one(
    data: Path, worker: str, key: str | None, line: str
) -> None:
    """Without a key, the main process would generate one, and with it a new identity."""
    (data / "signing.key").unlink()
    if key is not None:
        (data / "signing.key").write_text(key)
    (found,) = find_problems(GOOD, settings(data, worker))
    assert found.startswith(f"{data}/{line}")


def test_a_certificate_without_its_key_is_named(data: Path, tmp_path: Path) -> None:
    """Synapse itself would print eighty lines."""
    other = make_data(tmp_path / "other", WORKERS)
    (data / "tls.key").write_bytes((other / "tls.key").read_bytes())
    (found,) = find_problems(GOOD, settings(data, "homeserver"))
    assert found == (
        f"{data}/tls.crt and {data}/tls.key: they are not a certificate and its key "
        "(key values mismatch); mount a PEM pair without passphrase"
    )


@pytest.mark.parametrize("text", ["", "garbage", "-----BEGIN CERTIFICATE-----\n"])
def test_a_certificate_that_is_none_is_named(data: Path, text: str) -> None:
    """A failed download can leave an empty file."""
    (data / "tls.crt").write_text(text)
    (found,) = find_problems(GOOD, settings(data, "synapse.app.federation_reader"))
    assert found.startswith(f"{data}/tls.crt and {data}/tls.key: they are not a certificate and")


def test_a_key_with_a_passphrase_is_named_and_asks_nobody(data: Path) -> None:
    """OpenSSL would prompt for the passphrase on a terminal, which a container does not have."""
    key = str(data / "tls.key")
    command = ["openssl", "ec", "-aes128", "-passout", "pass:x", "-in", key, "-out", key]
    subprocess.run(command, check=True, capture_output=True)
    (found,) = find_problems(GOOD, settings(data, "homeserver"))
    assert found.startswith(f"{data}/tls.crt and {data}/tls.key: they are not a certificate and")


def test_tls_files_are_asked_only_of_those_who_serve_tls(data: Path) -> None:
    """A TLS listener in the shared file would make every worker read the TLS files."""
    (data / "tls.key").unlink()
    (data / "tls.crt").unlink()
    assert find_problems(GOOD, settings(data, "synapse.app.synchrotron")) == []
    plain = settings(data, "homeserver", SYNAPSE_FEDERATION_TLS="off")
    assert find_problems(GOOD, plain) == []


@pytest.mark.parametrize(
    ("worker", "line"),
    [
        ("pusher", "homeserver.yaml: pusher_instances is None and does not name pusher, so this"),
        ("appservice", "homeserver.yaml: notify_appservices_from_worker is None and does not"),
        ("user_dir", "homeserver.yaml: update_user_directory_from_worker is None and does not"),
        ("background_worker", "homeserver.yaml: run_background_tasks_on is None and does not"),
        ("federation_sender", "homeserver.yaml: federation_sender_instances is None and does"),
    ],
)
def test_a_role_that_homeserver_yaml_gives_to_nobody_is_named(
    data: Path, worker: str, line: str
) -> None:
    """Otherwise, nothing would be sent, and nothing would be logged."""
    (found,) = find_problems(BARE, settings(data, worker))
    assert found.startswith(line)


def test_an_application_whose_list_names_another_is_named(data: Path) -> None:
    """Otherwise, nothing would be sent, and nothing would be logged."""
    homeserver = GOOD | {"pusher_instances": ["other"]}
    (found,) = find_problems(homeserver, settings(data, "synapse.app.pusher"))
    assert found == (
        "homeserver.yaml: pusher_instances names ['other'] and not pusher, so this worker would "
        "do nothing; name it there, or start it with SYNAPSE_WORKER_NAME=other"
    )


def test_a_stream_writer_must_be_named_and_found(data: Path) -> None:
    """Otherwise, requests to the stream writer fail, at once or after a minute."""
    found = find_problems(BARE, settings(data, "typing"))
    assert [line.split(" and ")[0].split(",")[0] for line in found] == [
        "homeserver.yaml: stream_writers.typing is None",
        "homeserver.yaml: instance_map lacks typing",
    ]
    right = {
        "stream_writers": {"typing": "typing"},
        "instance_map": {"typing": {"host": "a", "port": 9093}},
    }
    assert find_problems(BARE | right, settings(data, "typing")) == []
    rendered = documents(BARE | right, settings(data, "typing"))
    ports = [row["port"] for row in rendered["worker.yaml"]["worker_listeners"]]
    assert ports == [8008, 8080, 9000, 9093]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"instance_map": {"master": {}}}, "homeserver.yaml: instance_map has master, which"),
        (
            {"worker_replication_secret": "x", "worker_replication_secret_path": "/x"},
            "homeserver.yaml: worker_replication_secret and worker_replication_secret_path are",
        ),
    ],
)
def test_a_setting_that_synapse_misreads_is_named(
    data: Path, change: dict[str, Any], line: str
) -> None:
    """Each such setting is reported by its own message."""
    (found,) = find_problems(GOOD | change, settings(data, "synapse.app.synchrotron"))
    assert found.startswith(line)


def test_a_name_in_the_shared_file_reaches_nobody(data: Path) -> None:
    """A name there would give every worker and the main process the same name."""
    homeserver = GOOD | {"worker_name": "x", "worker_app": "synapse.app.pusher"}
    for worker in ("homeserver", "synapse.app.synchrotron"):
        shared = documents(homeserver, settings(data, worker))["homeserver.yaml"]
        assert not {"worker_name", "worker_app"} & shared.keys()


def test_duties_stand_in_the_shared_file_alone(data: Path) -> None:
    """In a worker's own file, these settings would cause work to be done twice."""
    worker = documents(GOOD, settings(data, "synapse.app.media_repository"))["worker.yaml"]
    assert sorted(worker) == [
        "enable_media_repo",
        "worker_app",
        "worker_listeners",
        "worker_log_config",
        "worker_name",
    ]


def test_each_listener_has_one_group_of_resources(data: Path) -> None:
    """A second group would replace the first, and every client path would return 404."""
    for worker in ("homeserver", "synapse.app.media_repository"):
        for name, document in documents(GOOD, settings(data, worker)).items():
            rows = document.get("listeners", []) + document.get("worker_listeners", [])
            assert all(len(row["resources"]) == 1 for row in rows), name


def test_log_levels_are_taken_in_any_case(data: Path) -> None:
    """Synapse itself prints sixty lines of errors for `info`."""
    assert settings(data, "homeserver", SYNAPSE_LOG_LEVEL="info").log_level == "INFO"
    assert settings(data, "homeserver", SYNAPSE_LOG_LEVEL="warn").log_level == "WARNING"


def test_the_secret_follows_from_the_signing_key(data: Path, tmp_path: Path) -> None:
    """All processes mount the key, so they have the same secret without configuration."""
    chosen = settings(data, "synapse.app.synchrotron")
    shared = documents(GOOD, chosen)["homeserver.yaml"]
    assert shared["worker_replication_secret_path"] == f"/synapse_runtime/{SECRET_FILE}"
    key = tmp_path / "signing.key"
    key.write_text("ed25519 a_test " + "B" * 42 + "A\n")
    # HKDF-SHA256 of RFC 5869, as computed by `openssl kdf`.
    expected = "8724c2d03c62ed661e8bccef9a8d405f5109d1e21285bc0204bacffbe3dcfc0f"
    assert derived_secret(key) == expected
    key.write_text("  ed25519 a_test " + "B" * 42 + "A  \ned25519 old " + "C" * 43)
    assert derived_secret(key) == expected


@pytest.mark.parametrize(
    ("change", "variables", "expected"),
    [
        ({}, {"SYNAPSE_REPLICATION_SECRET_FILE": "/s"}, {"worker_replication_secret_path": "/s"}),
        ({}, {"SYNAPSE_REPLICATION_SECRET": "off"}, {}),
        ({"worker_replication_secret": "x"}, {}, {"worker_replication_secret": "x"}),
        ({"worker_replication_secret_path": "/x"}, {}, {"worker_replication_secret_path": "/x"}),
    ],
)
def test_a_secret_that_is_given_is_used(
    data: Path, change: dict[str, Any], variables: dict[str, str], expected: dict[str, str]
) -> None:
    """The secret may be set by a file or by homeserver.yaml, or turned off explicitly."""
    shared = documents(GOOD | change, settings(data, "homeserver", **variables))["homeserver.yaml"]
    found = {name: shared[name] for name in shared if name.startswith("worker_replication")}
    assert found == expected


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_a_secret_file_must_hold_one(data: Path, text: str | None) -> None:
    """Synapse treats an empty file as no secret."""
    if text is not None:
        (data / "secret").write_text(text)
    path = f"{data}/secret"
    chosen = settings(data, "homeserver", SYNAPSE_REPLICATION_SECRET_FILE=path)
    (found,) = find_problems(GOOD, chosen)
    reason = "is missing; mount it" if text is None else "is empty; write one into it"
    assert found == f"SYNAPSE_REPLICATION_SECRET_FILE={path}: the replication secret {reason}"


def test_what_has_a_better_form_is_said(data: Path) -> None:
    """An environment written for the predecessor keeps working, with warnings."""
    (data / "tls.dh").touch()
    found = find_warnings(
        GOOD, settings(data, "synapse.app.synchrotron", SYNAPSE_REPLICATION_SECRET="off")
    )
    assert [line.split(";")[0].split(":")[0] for line in found] == [
        "SYNAPSE_WORKER_NAME is not set",
        f"{data}/tls.dh is not used",
        "SYNAPSE_REPLICATION_SECRET=off",
    ]
    named = settings(data, "synapse.app.synchrotron", SYNAPSE_WORKER_NAME="a")
    (data / "tls.dh").unlink()
    assert find_warnings(GOOD, named) == []


def test_secrets_are_found_wherever_they_stand() -> None:
    """Secrets are masked in print-config and in third-party errors."""
    document = {
        "redis": {"password": "hunter2", "password_path": "/run/redis"},
        "oidc_providers": [{"client_secret": "correct horse", "client_id": "synapse"}],
        "suppress_key_server_warning": True,
        "form_secret": 1234,
    }
    shown = yaml.safe_dump(masked(document))
    assert not any(secret in shown for secret in ("hunter2", "correct horse", "1234"))
    assert all(kept in shown for kept in ("/run/redis", "client_id: synapse", "warning: true"))
    words = "no 'hunter2' and no correct horse at /run/redis"
    assert without_secrets(words, document) == "no '(masked)' and no (masked) at /run/redis"
