"""Unusual addresses and paths that the image accepts also work in Synapse itself."""

import socket
import subprocess
import time
from pathlib import Path

import pytest

from testbed.image import Image, container, entrypoint
from testbed.site import make_mounts

FOLDER = "/my #data: {a}"
ENVIRON = {
    "SYNAPSE_DATA_DIR": FOLDER,
    "SYNAPSE_FEDERATION_TLS": "off",
    "SYNAPSE_REPORT_STATS": "no",
    "SYNAPSE_SERVER_NAME": "example.com",
    "SYNAPSE_WORKER": "synapse.app.homeserver",
}
PORTS = (8008, 8080, 9000, 9093)

# Synapse's own replication client, with a real server at ::1.
CLIENT = """
from synapse.config.workers import InstanceTcpLocationConfig
from synapse.http.replicationagent import ReplicationAgent
from twisted.internet import defer, reactor
from twisted.web import client, server, static

page = static.Data(b"", "text/plain")
page.isLeaf = True
site = server.Site(page)
port = reactor.listenTCP(0, site, interface="::1").getHost().port


async def ask():
    for host in ("::1", "[::1]"):
        where = {"main": InstanceTcpLocationConfig(host=host, port=port)}
        agent = ReplicationAgent(reactor, where, client.BrowserLikePolicyForHTTPS())
        try:
            answer = await agent.request(b"GET", b"synapse-replication://main/")
            print(host, answer.code)
        except ValueError as error:
            print(host, error)
    reactor.stop()


reactor.callWhenRunning(lambda: defer.ensureDeferred(ask()))
reactor.run()
"""


@pytest.fixture
def mounts(tmp_path: Path) -> dict[str, Path]:
    """Return the empty folders to mount, by their path in the container."""
    mounts = make_mounts(tmp_path)
    mounts[FOLDER] = mounts.pop("/data")
    return mounts


def run(
    image: Image, root: Path, mounts: dict[str, Path], *verb: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a verb and wait for it to end."""
    line = container(image, root, mounts, ENVIRON | variables).command(*entrypoint(image), *verb)
    return subprocess.run(line, text=True, capture_output=True, check=False)


def wait_for(address: str, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the port accepts connections; fail with the log after a minute."""
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection((address, port), 3).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


@pytest.mark.parametrize("addresses", ["0.0.0.0,::", "::,0.0.0.0", "127.0.0.1,::1", "::1,0::0"])
def test_every_port_answers_at_all_addresses_in_any_order(
    image: Image, root: Path, mounts: dict[str, Path], tmp_path: Path, addresses: str
) -> None:
    """A socket on :: also serves IPv4, which prevents opening another one on 0.0.0.0."""
    assert run(image, root, mounts, "generate").returncode == 0
    chosen = {"SYNAPSE_BIND_ADDRESSES": addresses}
    log = tmp_path / "log"
    line = container(image, root, mounts, ENVIRON | chosen).command(*entrypoint(image))
    with log.open("wb") as output:
        process = subprocess.Popen(line, stdout=output, stderr=output)
    try:
        for port in PORTS:
            for address in ("127.0.0.1", "::1"):
                wait_for(address, port, process, log)
        healthy = run(image, root, mounts, "healthcheck", **chosen)
        assert (healthy.returncode, healthy.stdout) == (0, "healthy\n"), healthy.stderr
        second = run(image, root, mounts, "start", **chosen)
        assert second.returncode == 2
        assert "error: port 8008 of " in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        process.terminate()
        process.wait(20)


def test_a_folder_that_yaml_would_cut_off_is_accepted_by_synapse(
    image: Image, root: Path, mounts: dict[str, Path]
) -> None:
    """The YAML library quotes the path, and Synapse's own parser reads it back."""
    assert run(image, root, mounts, "generate").returncode == 0
    checked = run(image, root, mounts, "check")
    assert checked.stdout.startswith("ok: synapse.app.homeserver: accepted"), checked.stderr
    written = (mounts[FOLDER] / "homeserver.yaml").read_text()
    assert f"database: '{FOLDER}/homeserver.db'\n" in written


def test_synapse_takes_an_ipv6_host_without_brackets_alone(image: Image, root: Path) -> None:
    """Synapse rejects an IPv6 host in brackets, so the image removes them everywhere."""
    line = container(image, root, {}, {}).command("python3", "-c", CLIENT)
    done = subprocess.run(line, text=True, capture_output=True, check=False, timeout=60)
    assert done.stdout == "::1 200\n[::1] invalid hostname: [::1]\n", done.stderr
