"""HAProxy behind another proxy, which terminates TLS and says for whom it passes requests on."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.deploy import proxies
from tests.deploy.asking import Client
from tests.deploy.served import served
from worker.routes import plan_routing

ROUTING = plan_routing({"SYNAPSE_REPLICATION_HOST": "127.0.107.1"}, "")


@pytest.fixture(scope="module", autouse=True)
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run the main process and the proxy."""
    options = replace(proxies.OPTIONS, trusts_peer=True)
    with served("haproxy", tmp_path_factory.mktemp("peer"), ROUTING, options=options):
        yield


@pytest.mark.parametrize(
    ("headers", "client", "scheme"),
    [
        pytest.param([], "127.0.0.1", "https", id="nothing said"),
        pytest.param(
            [("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Proto", "https")],
            "192.0.2.7",
            "https",
            id="said by the proxy",
        ),
        pytest.param(
            [("X-Forwarded-For", "203.0.113.9, 192.0.2.7")],
            "192.0.2.7",
            "https",
            id="the first is from the client itself",
        ),
        pytest.param([("X-Forwarded-For", "2001:db8::7")], "2001:db8::7", "https", id="IPv6"),
        pytest.param([("X-Forwarded-For", "unknown")], "127.0.0.1", "https", id="no address"),
        pytest.param([("X-Forwarded-Proto", "http")], "127.0.0.1", "http", id="without TLS"),
        pytest.param([("X-Forwarded-Proto", "gopher")], "127.0.0.1", "https", id="no scheme"),
        pytest.param(
            [("X-Forwarded-Host", "evil"), ("X-Real-IP", "203.0.113.9"), ("Forwarded", "for=a")],
            "127.0.0.1",
            "https",
            id="other headers",
        ),
    ],
)
def test_synapse_sees_the_client_of_the_other_proxy(
    headers: list[tuple[str, str]], client: str, scheme: str
) -> None:
    """Otherwise, all users would share the limits of one address."""
    with Client() as sender:
        request = sender.ask("GET", "/", headers)
    assert request.values("x-forwarded-for") == [client]
    assert request.values("x-forwarded-proto") == [scheme]
    for name in ("x-forwarded-host", "x-real-ip", "forwarded"):
        assert request.values(name) == []
