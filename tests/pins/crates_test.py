"""A pin's check also fetches its crates, here with real cargo from a registry on loopback."""

import hashlib
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from repositories.vendor_crates import cargo
from tests.pins.servers import GitServer
from tests.pins.workspace import NAME, ROOT, Workspace, stand_in, wish

_MANIFEST = """\
[package]
name = "{}"
version = "1.0.0"
edition = "2021"

[lib]
path = "lib.rs"
"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without logging."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def crate(workspace: Workspace, tmp_path: Path) -> Iterator[Path]:
    """Serve a registry with the crate ``tiny``, configure cargo for it, and yield the crate file.

    It follows the "sparse" protocol, https://doc.rust-lang.org/cargo/reference/registry-index.html
    """
    served = tmp_path / "registry"
    file = served / "crates/tiny-1.0.0.crate"
    file.parent.mkdir(parents=True)
    with tarfile.open(file, "w:gz") as archive:
        for name, text in (("Cargo.toml", _MANIFEST.format("tiny")), ("lib.rs", "")):
            info = tarfile.TarInfo(f"tiny-1.0.0/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    row = {"name": "tiny", "vers": "1.0.0", "deps": [], "features": {}, "yanked": False}
    row["cksum"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (served / "index/ti/ny").mkdir(parents=True)
    (served / "index/ti/ny/tiny").write_text(json.dumps(row) + "\n")
    handler = partial(Quiet, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        download = {"dl": address + "/crates/{crate}-{version}.crate"}
        (served / "index/config.json").write_text(json.dumps(download))
        config = Path(workspace.environ()["HOME"], ".cargo/config.toml")
        config.parent.mkdir()
        config.write_text(
            '[source.crates-io]\nreplace-with = "mirror"\n\n'
            f'[source.mirror]\nregistry = "sparse+{address}/index/"\n'
        )
        Thread(target=server.serve_forever, daemon=True).start()
        yield file
        server.shutdown()


def test_crates_are_fetched_and_checked(
    workspace: Workspace, server: GitServer, crate: Path
) -> None:
    """The check names a crate that the mirror has changed or no longer has."""
    (server.checkout / "Cargo.toml").write_text(
        _MANIFEST.format("synapse") + '\n[dependencies]\ntiny = "1"\n'
    )
    (server.checkout / "lib.rs").touch()
    lock = [*cargo(ROOT), "generate-lockfile"]
    environ = workspace.environ()
    subprocess.run(lock, cwd=server.checkout, env=environ, check=True, capture_output=True)
    server.commit("Rust", {})
    made = workspace.pin(*wish(server))
    assert made.returncode == 0, made.stderr
    assert workspace.document(NAME)["crates"] == 1
    stand_in(workspace, "bookworm")

    def check() -> tuple[int, int, str]:
        """Return the number of good files, the number of all files, and the output."""
        said = workspace.pin("--check", NAME, "--base", server.base).stdout
        counted = re.search(rf"{NAME}: (\d+) of (\d+) files can be fetched", said)
        assert counted, said
        return int(counted[1]), int(counted[2]), said

    files = json.loads((workspace.folder / "config/pins" / NAME / "files.lock.json").read_text())
    good, number, said = check()
    # The source, the crate and the pin's three locks are counted in addition to the files.
    assert number == len(files["files"]) + 5
    # The test's index has no files for arm64.
    assert good == number - sum(file["architectures"] == ["arm64"] for file in files["files"])
    assert "cargo" not in said

    data = crate.read_bytes()
    crate.write_bytes(data + b"\0")
    changed = check()
    assert changed[:2] == (good - 1, number)
    assert f"{NAME}: cargo vendor: " in changed[2]
    assert "failed to verify the checksum of `tiny v1.0.0" in changed[2]

    crate.unlink()
    lost = check()
    assert lost[:2] == (good - 1, number)
    assert "tiny" in lost[2]
    assert "404" in lost[2]
