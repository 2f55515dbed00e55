"""Tests of a source on an SSH server: a real sshd on loopback that serves git repositories."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.bwrap import read_only
from testbed.processes import Process, answers
from testbed.services import container
from tests.pins.servers import GitServer
from tests.pins.workspace import Workspace, fetch, needs_bazel, refused, version, wish

ADDRESS = "127.0.0.1"
SERVICES = Path(os.environ["SERVICES"]).resolve().parent / "root"
pytestmark = pytest.mark.skipif(not shutil.which("ssh"), reason="ssh is not on PATH")
_CONFIG = """\
HostKey /state/host_key
AuthorizedKeysFile /state/user_key.pub
KbdInteractiveAuthentication no
PasswordAuthentication no
PidFile none
StrictModes no
UsePAM no
"""


class SshServer:
    """An sshd that serves a git server's repositories to clients that have the user key."""

    def __init__(self, folder: Path, served: Path) -> None:
        self.state = folder / "ssh"
        self.state.mkdir()
        inside = container(SERVICES, self.state).with_mounts(read_only(served, "/git"))
        for name in ("host_key", "user_key", "other_key"):
            keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"/state/{name}"]
            subprocess.run(inside.command(*keygen), check=True)
        (self.state / "sshd_config").write_text(_CONFIG)
        with socket.socket() as probe:
            probe.bind((ADDRESS, 0))
            self.port = probe.getsockname()[1]
        command = ["/usr/sbin/sshd", "-D", "-e", "-f", "/state/sshd_config"]
        command += ["-o", f"ListenAddress={ADDRESS}:{self.port}"]
        self.process = Process("sshd", inside.command(*command), folder / "sshd.log")
        self.process.start()
        self.process.wait_until(lambda: answers(ADDRESS, self.port))
        host_key = (self.state / "host_key.pub").read_text()
        self.known = self.state / "known_hosts"
        self.known.write_text(f"[{ADDRESS}]:{self.port} {host_key}")

    @property
    def address(self) -> str:
        """The SSH address of the repository."""
        return f"ssh://service@{ADDRESS}:{self.port}/git/us/synapse.git"

    def client(self, key: str = "user_key", known: str = "") -> str:
        """Return a GIT_SSH_COMMAND that uses the key ``key`` and no SSH settings of the machine."""
        return (
            f"ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -i {self.state / key} "
            f"-o UserKnownHostsFile={known or self.known}"
        )


@pytest.fixture
def ssh(tmp_path: Path, server: GitServer) -> Iterator[SshServer]:
    """An SSH server for the repositories of the git server."""
    made = SshServer(tmp_path, server.served)
    yield made
    print(made.process.tail())
    made.process.stop()


@needs_bazel
def test_a_source_on_an_ssh_server(workspace: Workspace, server: GitServer, ssh: SshServer) -> None:
    """Both the tool and a build fetch the source with the key that git is configured to use."""
    arguments = wish(server, "--repo", ssh.address)
    made = workspace.pin(*arguments, GIT_SSH_COMMAND=ssh.client())
    assert made.returncode == 0, made.stderr
    commit = server.git("rev-parse", "HEAD")
    assert f"branch main of {ssh.address} is commit {commit}" in made.stdout
    (folder,) = (workspace.folder / "config/pins").iterdir()
    text, said = fetch(workspace, server, folder.name, GIT_SSH_COMMAND=ssh.client())
    assert version(text) == 'version = "1.66.0"', said


def test_a_key_that_the_server_does_not_know(
    workspace: Workspace, server: GitServer, ssh: SshServer
) -> None:
    """The message says that credentials are needed, and ssh does not prompt for them."""
    arguments = wish(server, "--repo", ssh.address)
    said = refused(workspace, *arguments, GIT_SSH_COMMAND=ssh.client("other_key"))
    assert said == (
        f"error: {ssh.address} asks for credentials; give git yours (a credential helper, ~/.netrc "
        "or an SSH key) and try again\n"
    )


def test_a_host_whose_key_is_not_known(
    workspace: Workspace, server: GitServer, ssh: SshServer
) -> None:
    """An unknown host key is not trusted, and the message says how to add it."""
    arguments = wish(server, "--repo", ssh.address)
    said = refused(workspace, *arguments, GIT_SSH_COMMAND=ssh.client(known="/dev/null"))
    assert said == (
        f"error: {ssh.address}: ssh does not know the host's key; connect once by hand, or put the "
        "key into ~/.ssh/known_hosts, and try again\n"
    )
