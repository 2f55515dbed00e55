"""Which listeners believe X-Forwarded-For: anyone who reaches such a port chooses their address."""

import pytest

from worker.listeners import kinds, listener
from worker.settings import Settings, parse
from worker.worker_types import load_table


def settings(worker: str, **variables: str) -> Settings:
    """Parse a complete request for ``worker``."""
    base = {"SYNAPSE_WORKER": worker, "SYNAPSE_HOSTNAME": "host-1"}
    if worker != "synapse.app.homeserver":
        base["SYNAPSE_REPLICATION_HOST"] = "main"
    return parse(base | variables)


def believing(chosen: Settings) -> set[str]:
    """Return the kinds of listener of the process that have ``x_forwarded``."""
    return {kind for kind in kinds(chosen, {}) if "x_forwarded" in listener(kind, chosen)}


@pytest.mark.parametrize("worker", sorted(load_table().types))
def test_only_the_port_behind_a_proxy_believes_the_header(worker: str) -> None:
    """TLS of 8448 ends in Synapse: there the peer is the client itself."""
    assert believing(settings(worker)) <= {"client"}
    assert believing(settings(worker, SYNAPSE_X_FORWARDED="off")) == set()


def test_the_operator_says_that_a_proxy_is_before_8448() -> None:
    """One that speaks TLS to Synapse again."""
    chosen = settings("synapse.app.homeserver", SYNAPSE_X_FORWARDED="all")
    assert believing(chosen) == {"client", "federation"}


def test_federation_without_tls_is_behind_the_proxy_that_ends_it() -> None:
    """It shares port 8008 then."""
    chosen = settings("synapse.app.federation_reader", SYNAPSE_FEDERATION_TLS="off")
    assert believing(chosen) == {"client"}


def test_a_unix_socket_has_no_other_address() -> None:
    """Without the header every client would be one and the same to rate limits."""
    chosen = settings(
        "synapse.app.homeserver", SYNAPSE_UNIX_SOCKETS="/sockets", SYNAPSE_X_FORWARDED="off"
    )
    assert believing(chosen) == {"client"}
