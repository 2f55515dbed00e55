"""Which listeners trust X-Forwarded-For: a client that reaches such a port can fake its address."""

import pytest

from worker.listeners import listener, listener_kinds
from worker.settings import Settings, parse
from worker.worker_types import load_table


def settings(worker: str, **variables: str) -> Settings:
    """Parse ``variables`` on top of the complete variables of ``worker``."""
    base = {"SYNAPSE_WORKER": worker, "SYNAPSE_HOSTNAME": "host-1"}
    if worker != "synapse.app.homeserver":
        base["SYNAPSE_REPLICATION_HOST"] = "main"
    return parse(base | variables)


def believing(chosen: Settings) -> set[str]:
    """Return the kinds of the process's listeners that have ``x_forwarded``."""
    return {kind for kind in listener_kinds(chosen, {}) if "x_forwarded" in listener(kind, chosen)}


@pytest.mark.parametrize("worker", sorted(load_table().apps))
def test_only_the_port_behind_a_proxy_believes_the_header(worker: str) -> None:
    """Synapse terminates TLS on port 8448, so the peer there is the client itself."""
    assert believing(settings(worker)) <= {"client"}
    assert believing(settings(worker, SYNAPSE_X_FORWARDED="off")) == set()


def test_the_operator_says_that_a_proxy_is_before_8448() -> None:
    """That proxy connects to Synapse over TLS again."""
    chosen = settings("synapse.app.homeserver", SYNAPSE_X_FORWARDED="all")
    assert believing(chosen) == {"client", "federation"}


def test_federation_without_tls_is_behind_the_proxy_that_ends_it() -> None:
    """Federation then shares port 8008 with clients."""
    chosen = settings("synapse.app.federation_reader", SYNAPSE_FEDERATION_TLS="off")
    assert believing(chosen) == {"client"}


def test_a_unix_socket_has_no_other_address() -> None:
    """Without the header, rate limits would treat all clients as one."""
    chosen = settings(
        "synapse.app.homeserver", SYNAPSE_UNIX_SOCKETS="/sockets", SYNAPSE_X_FORWARDED="off"
    )
    assert believing(chosen) == {"client"}
