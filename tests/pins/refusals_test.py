"""A source that cannot be pinned is refused with a clear message, and nothing is written."""

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.nested_bazel import NestedBazel
from tests.pins.servers import REPOSITORY, UPLOADED, GitServer, Index
from tests.pins.workspace import Workspace, refused


def wish(server: GitServer, *more: str) -> list[str]:
    """Return the tool's arguments that pin the branch main, followed by ``more``."""
    return ["--repo", REPOSITORY, "--branch", "main", "--base", server.base, *more]


def test_an_unknown_repository(workspace: Workspace, server: GitServer) -> None:
    """The message names the address of the repository."""
    said = refused(workspace, "--repo", "us/nothing", "--branch", "main", "--base", server.base)
    assert said.startswith(
        f"error: {server.base}/us/nothing is not a readable git repository; check its name ("
    )


def test_an_unknown_branch(workspace: Workspace, server: GitServer) -> None:
    """The message lists the repository's branches."""
    said = refused(workspace, "--repo", REPOSITORY, "--branch", "nothing", "--base", server.base)
    assert said == (
        f"error: {server.base}/{REPOSITORY} has no branch and no tag 'nothing'; its branches are "
        "main\n"
    )


class _Closed(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Respond with 401, which asks for credentials."""
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def closed() -> Iterator[str]:
    """Run a server that rejects every request with 401; yield its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Closed) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_server_that_asks_for_credentials(workspace: Workspace, closed: str) -> None:
    """The tool fails with a message and does not prompt for credentials."""
    said = refused(workspace, "--repo", "us/synapse", "--branch", "main", "--base", closed)
    assert said == (
        f"error: {closed}/us/synapse asks for credentials; give git yours (a credential helper, "
        "~/.netrc or an SSH key) and try again\n"
    )


def test_no_network(workspace: Workspace, server: GitServer) -> None:
    """An unreachable git server and an unreachable package index are named in the message."""
    said = refused(workspace, "--repo", "a/b", "--branch", "main", "--base", "http://127.0.0.1:9")
    assert said.startswith("error: http://127.0.0.1:9/a/b cannot be read: fatal: unable to access ")
    said = refused(
        workspace, *wish(server, "--suite", "bookworm"), PIP_INDEX_URL="http://127.0.0.1:9/simple"
    )
    assert said.startswith("error: the requirements cannot be resolved; uv says:\n")
    assert "127.0.0.1:9" in said


def test_a_source_that_is_not_synapse(workspace: Workspace, server: GitServer) -> None:
    """The message says what the project is called."""
    server.commit("Another", {"pyproject.toml": ('name = "matrix-synapse"', 'name = "other"')})
    assert refused(workspace, *wish(server)) == (
        f"error: {REPOSITORY} main is not Synapse: its project is called 'other', and it has a "
        "folder synapse; pin a source of matrix-synapse\n"
    )


def test_a_python_that_the_source_does_not_take(workspace: Workspace, server: GitServer) -> None:
    """The message names a suite with a suitable Python, or says that there is none."""
    old = "Requires-Python: >=3.7.1,<4.0.0"
    server.commit("Older", {"PKG-INFO": (old, "Requires-Python: >=3.7.1,<3.12")})
    assert refused(workspace, *wish(server, "--suite", "trixie")) == (
        "error: Synapse 1.66.0 takes Python >=3.7.1,<3.12, and trixie has Python 3.13; use --suite "
        "bookworm\n"
    )
    server.commit(
        "Ancient", {"PKG-INFO": ("Requires-Python: >=3.7.1,<3.12", "Requires-Python: <3.8")}
    )
    assert refused(workspace, *wish(server)) == (
        "error: Synapse 1.66.0 takes Python <3.8, and no suite here has one: bookworm has 3.11, "
        "trixie has 3.13\n"
    )
    assert refused(workspace, *wish(server, "--suite", "trixie")) == (
        "error: Synapse 1.66.0 takes Python <3.8, and trixie has Python 3.13; no suite here has a "
        "Python for it\n"
    )


def test_requirements_that_exclude_each_other(
    workspace: Workspace, server: GitServer, tmp_path: Path
) -> None:
    """The message includes uv's own explanation."""
    (tmp_path / "c.in").write_text("attrs<19\n")
    said = refused(
        workspace, *wish(server, "--suite", "bookworm", "--constraints", str(tmp_path / "c.in"))
    )
    assert said.startswith("error: the requirements cannot be resolved; uv says:\n")
    assert "attrs" in said
    assert "unsatisfiable" in said
    assert re.search(
        r"\nPackages are taken as of 20\S+Z, the time of the source; --newer PACKAGE takes a newer "
        r"one\n$",
        said,
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--extras", "none"], "error: --extras: Synapse 1.66.0 has no extra 'none'; it has all, "),
        (
            ["--suite", "sarge"],
            "error: --suite=sarge is not a suite; choose one of bookworm, trixie\n",
        ),
        (["--constraints", "/no"], "error: --constraints=/no: there is no such file\n"),
        (["--patches", "/no"], "error: --patches=/no: there is no *.patch in it\n"),
        (["--release", "0.0.1"], "error: matrix-synapse is not in the package index: http://"),
        (["--newer", "a b"], "error: --newer=a b: not the name of a package; give a name such as "),
        (
            ["--newer", "nothing-here"],
            "error: --newer=nothing-here: nothing-here is not in the package index: http://",
        ),
    ],
)
def test_a_wrong_option(
    workspace: Workspace, server: GitServer, arguments: list[str], text: str
) -> None:
    """The message names the option and its value, and suggests a correct one."""
    assert refused(workspace, *wish(server, *arguments)).startswith(text)


def test_a_release_that_the_index_lacks(
    tmp_path: Path, server: GitServer, locked_index: Index, cache: Path, bazel: NestedBazel
) -> None:
    """A pre-release does not count as the newest release."""
    locked_index.add(tmp_path, "matrix_synapse", "1.0.0rc1", UPLOADED, "sdist")
    locked_index.projects["matrix-synapse"] = locked_index.projects.pop("matrix_synapse")
    workspace = Workspace(tmp_path / "workspace", locked_index.address, cache, bazel)

    assert refused(workspace, *wish(server, "--release", "0.0.1")) == (
        "error: --release=0.0.1: the package index has no matrix-synapse 0.0.1\n"
    )
    assert refused(workspace, *wish(server, "--release", "newest")) == (
        "error: the package index has no release of matrix-synapse\n"
    )


def test_a_wrong_command(workspace: Workspace) -> None:
    """Incomplete options, an address with a password, and unknown pins or folders are refused."""
    assert refused(workspace, "--repo", "a/b") == (
        "error: --repo and --branch are both needed; or one of --update --list --check\n"
    )
    secret = "https://us:hunter2@example.com/synapse"
    assert refused(workspace, "--repo", secret, "--branch", "main") == (
        "error: --repo=https://***@example.com/synapse: leave the user, password or token out of "
        "the address, and give it to git by a credential helper or ~/.netrc\n"
    )
    assert refused(workspace, "--remove", "none") == (
        "error: 'none' is not a pin; the pins are: none\n"
    )
    assert refused(workspace, "--repo", "./none", "--branch", "main") == (
        "error: --repo=./none: there is no such folder; give a checkout\n"
    )
