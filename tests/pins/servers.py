"""A git server and a package index on loopback.

The index has the files of a real pin and the git server has its source, so the tests pin Synapse
itself.
"""

import base64
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
import zipfile
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HERE = Path.cwd()
LOCK = HERE / os.environ["LOCK"]
SOURCE = HERE / os.environ["SOURCE"]
REPOSITORY = "us/synapse"


# The upload time that the index reports for the files of the lock.
UPLOADED = "2022-01-01T00:00:00.000000Z"


class Index(ThreadingHTTPServer):
    """A package index with the files of a lock: PEP 691 for the tool and uv, PEP 503 for Bazel.

    It serves each wheel's metadata separately (PEP 658), as large indexes do.

    Attributes:
        paths: The paths of the files, by file name.
        projects: For each project, the sha256 of its files by file name.
        uploaded: The upload times that differ from ``UPLOADED``, by file name.
        tells: Whether its pages include upload times (PEP 700).
    """

    # With the default of 5, a busy machine's kernel drops some of Bazel's parallel connections.
    request_queue_size = 128

    def __init__(self, *, tells: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), _Pages)
        # USER:PASSWORD; if it is set, every request must carry it.
        self.credentials = ""
        self.asked: list[str] = []
        self.tells = tells
        self.uploaded: dict[str, str] = {}
        paths = [HERE / path for path in os.environ["FILES"].split()]
        self.paths = {path.name: path for path in paths}
        self.projects: dict[str, dict[str, str]] = {}
        for file in json.loads(LOCK.read_text())["files"]:
            self.projects.setdefault(file["name"], {})[file["filename"]] = file["sha256"]

    def add(
        self, folder: Path, name: str, version: str, uploaded: str, tag: str = "py3-none-any"
    ) -> None:
        """Add a wheel, or an sdist if the tag is ``sdist``, that contains only its metadata."""
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        if tag == "sdist":
            path = folder / f"{name}-{version}.tar.gz"
            with tarfile.open(path, "w:gz") as archive:
                for member, text in (("PKG-INFO", metadata), ("pyproject.toml", "")):
                    info = tarfile.TarInfo(f"{name}-{version}/{member}")
                    info.size = len(text)
                    archive.addfile(info, io.BytesIO(text.encode()))
        else:
            path = folder / f"{name}-{version}-{tag}.whl"
            with zipfile.ZipFile(path, "w") as wheel:
                inside = f"{name}-{version}.dist-info"
                wheel.writestr(f"{inside}/METADATA", metadata)
                wheel.writestr(f"{inside}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
                wheel.writestr(f"{inside}/RECORD", "")
        self.paths[path.name] = path
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.projects.setdefault(name, {})[path.name] = sha256
        self.uploaded[path.name] = uploaded

    @property
    def address(self) -> str:
        """The URL of its "simple" API."""
        return f"http://127.0.0.1:{self.server_port}/simple"


@cache
def _metadata(wheel: Path) -> bytes:
    """Return the content of a wheel's METADATA file."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return archive.read(min(names, key=len))


class _Pages(BaseHTTPRequestHandler):
    server: Index
    # HTTP/1.1 keeps connections open, as uv expects.
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        """Send the same response as for GET, without the body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Send a project's page, a file or a wheel's metadata."""
        self.server.asked.append(self.path)
        wanted = base64.b64encode(self.server.credentials.encode()).decode()
        if wanted and self.headers.get("Authorization") != f"Basic {wanted}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        parts = self.path.strip("/").split("/")
        if parts[0] == "files" and parts[1].removesuffix(".metadata") in self.server.paths:
            path = self.server.paths[parts[1].removesuffix(".metadata")]
            data = _metadata(path) if parts[1].endswith(".metadata") else path.read_bytes()
            self._answer(200, "application/octet-stream", data)
        elif parts[0] == "simple" and parts[-1] in self.server.projects:
            files = self.server.projects[parts[-1]]
            base = f"http://127.0.0.1:{self.server.server_port}/files"
            if "json" in self.headers.get("Accept", ""):
                rows: list[dict[str, Any]] = [
                    {"filename": name, "url": f"{base}/{name}", "hashes": {"sha256": sha256}}
                    for name, sha256 in files.items()
                ]
                for row in rows if self.server.tells else ():
                    row["upload-time"] = self.server.uploaded.get(row["filename"], UPLOADED)
                for row in rows:
                    row["core-metadata"] = row["filename"].endswith(".whl")
                page = {"meta": {"api-version": "1.0"}, "name": parts[-1], "files": rows}
                kind = "application/vnd.pypi.simple.v1+json"
                self._answer(200, kind, json.dumps(page).encode())
            else:
                lines = [f'<a href="{base}/{name}">{name}</a>' for name in files]
                self._answer(200, "text/html", "\n".join(lines).encode())
        else:
            self._answer(404, "text/plain", b"not here")


class GitServer:
    """A git daemon, and a checkout that pushes to its repository.

    Args:
        folder: The folder for both.
        first: A copy of the folder after the first commit; the first server creates it, and later
            servers start from it.
    """

    def __init__(self, folder: Path, first: Path) -> None:
        self.served = folder / "served"
        self.bare = self.served / f"{REPOSITORY}.git"
        self.checkout = folder / "checkout"
        if first.exists():
            shutil.copytree(first, folder, symlinks=True)
            self.git("remote", "set-url", "origin", str(self.bare))
        else:
            self._commit_first(folder / "unpacked")
            shutil.copytree(folder, first, symlinks=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = ["git", "daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1"]
        command += [f"--port={self.port}", f"--base-path={self.served}", str(self.served)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("git daemon does not answer")

    def _commit_first(self, unpacked: Path) -> None:
        self.bare.mkdir(parents=True)
        self.git("init", "--quiet", "--bare", "--initial-branch=main", folder=self.bare)
        with tarfile.open(SOURCE) as archive:
            archive.extractall(unpacked, filter="data")
        shutil.move(unpacked / "synapse", self.checkout)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", str(self.bare))
        for folder in (self.bare, self.checkout):
            # Automatic garbage collection would run in the background during the copying.
            self.git("config", "gc.auto", "0", folder=folder)
        self.commit("The first", {})

    @property
    def base(self) -> str:
        """The base URL to which OWNER/NAME is appended."""
        return f"git://127.0.0.1:{self.port}"

    def git(self, *arguments: str, folder: Path | None = None, time: str = "") -> str:
        """Run git in the checkout and return its output; ``time`` is the committer date."""
        command = ["git", "-c", "user.name=us", "-c", "user.email=us@example.com", *arguments]
        environ = os.environ | ({"GIT_COMMITTER_DATE": time} if time else {})
        done = subprocess.run(
            command,
            cwd=folder or self.checkout,
            env=environ,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(
        self, subject: str, edits: dict[str, tuple[str, str]], *more: str, time: str = ""
    ) -> str:
        """Replace text in files, commit, push to main and return the commit hash.

        ``edits`` maps a file to its old and new text; ``more`` are options for git commit.
        """
        for name, (old, new) in edits.items():
            path = self.checkout / name
            text = path.read_text()
            assert old in text, (name, old)
            path.write_text(text.replace(old, new, 1))
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", f"--message={subject}", *more, time=time)
        self.git("push", "--quiet", "--force", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def stop(self) -> None:
        """Stop the daemon."""
        self.process.terminate()
        self.process.wait(10)
