"""Helpers that make a small Debian archive, serve it, and run a copy of bazelw against it."""

import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote

BAZELW = Path(os.environ["BAZELW"]).absolute()
TOOLS = ("apt-get", "dpkg-deb", "flock", "bwrap")
LACKING = [name for name in TOOLS if not shutil.which(name)]
BAZEL_VERSION = "7.7.1"

# CAP_NET_BIND_SERVICE on an executable, as tar stores it (vfs_cap_data, revision 2).
_CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000").decode("latin-1")
_BAZEL = """\
#!/usr/bin/bash
printf '%s\\n' "$*"
printf 'http_proxy=%s no_proxy=%s\\n' "$http_proxy" "$no_proxy"
printf 'mirrors %s %s\\n' "$DEBIAN_MIRROR" "$DEBIAN_SECURITY_MIRROR"
printf 'in %s\\n' "$PWD"
"""


def _files() -> dict[str, tuple[bytes, int]]:
    """Return (content, mode) by path for a package that has bash and a script named `bazel`."""
    bash = shutil.which("bash")
    assert bash
    listed = subprocess.run(["ldd", bash], text=True, capture_output=True, check=True).stdout
    files = {
        "./usr/bin/bazel": (_BAZEL.encode(), 0o755),
        "./usr/bin/given": (b"anyone may be root\n", 0o6755),
        "./usr/bin/capable": (b"anyone may bind port 80\n", 0o755),
        "./usr/lib/open": (b"anyone may write\n", 0o666),
        "./usr/bin/bash": (Path(bash).read_bytes(), 0o755),
    }
    for path in re.findall(r"(/\S+)", listed):
        files["./usr" + path.removeprefix("/usr")] = (Path(path).read_bytes(), 0o755)
    return files


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            if name.endswith("/capable"):
                entry.pax_headers = {"SCHILY.xattr.security.capability": _CAPABILITY}
            tar.addfile(entry, io.BytesIO(content))
    return written.getvalue()


def make_package(version: str, filler: int = 0) -> bytes:
    """Return a .deb (deb(5)) of bazel-bootstrap that is ``filler`` bytes larger than needed."""
    control = f"Package: bazel-bootstrap\nVersion: {version}\nArchitecture: all\n"
    control += "Maintainer: a <a@b.c>\nDescription: d\n"
    data = _files()
    if filler:
        data["./usr/lib/filler"] = (os.urandom(filler), 0o644)
    members = {
        "debian-binary": b"2.0\n",
        "control.tar": _tar({"./control": (control.encode(), 0o644)}),
        "data.tar": _tar(data),
    }
    deb = b"!<arch>\n"
    for name, content in members.items():
        deb += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        deb += content + b"\n" * (len(content) % 2)
    return deb


def add_suite(root: Path, suite: str, versions: Sequence[str], filler: int = 0) -> None:
    """Add a suite with ``versions`` of bazel-bootstrap to the archive in ``root``."""
    index = root / f"dists/{suite}/main/binary-amd64"
    index.mkdir(parents=True)
    (root / "pool").mkdir(exist_ok=True)
    packages = ""
    for version in versions:
        data = make_package(version, filler)
        path = f"pool/bazel-bootstrap_{version.partition(':')[2] or version}_all.deb"
        (root / path).write_bytes(data)
        packages += f"Package: bazel-bootstrap\nVersion: {version}\nArchitecture: all\n"
        packages += f"Filename: {path}\nSize: {len(data)}\n"
        packages += f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n"
    (index / "Packages").write_text(packages)
    (index / "Packages.gz").write_bytes(gzip.compress(packages.encode()))
    release = f"Suite: {suite}\nCodename: {suite}\nArchitectures: amd64 all\nComponents: main\n"
    release += "SHA256:\n"
    for name in ("Packages", "Packages.gz"):
        content = (index / name).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        release += f" {digest} {len(content)} main/binary-amd64/{name}\n"
    (root / f"dists/{suite}/Release").write_text(release)


@dataclass(frozen=True)
class Mirror:
    """A Debian archive: the folder of its files, and its URL."""

    root: Path
    address: str


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing, so that a test's output only contains that of bazelw."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve ``folder`` over HTTP on loopback; yield the URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@dataclass
class Proxy:
    """The URL of an HTTP proxy, and the URLs that were requested from it."""

    address: str = ""
    asked: list[str] = field(default_factory=list)


@contextmanager
def proxy_to(folder: Path) -> Iterator[Proxy]:
    """Run an HTTP proxy on loopback that serves the files of ``folder`` for every host."""
    proxy = Proxy()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer a request in absolute-form, as sent to a proxy (RFC 9112, 3.2.2)."""
            proxy.asked.append(self.path)
            path = folder / unquote(re.sub("^http://[^/]*/", "", self.path))
            content = path.read_bytes() if path.is_file() else b""
            self.send_response(200 if path.is_file() else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        proxy.address = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, daemon=True).start()
        yield proxy
        server.shutdown()


def checkout(folder: Path, version: str = BAZEL_VERSION) -> Path:
    """Copy bazelw and the files that it sources to ``folder``; return the path of bazelw."""
    (folder / "debian_mode").mkdir(parents=True, exist_ok=True)
    shutil.copy(BAZELW, folder / "bazelw")
    for name in ("mirrors.sh", "root.sh"):
        shutil.copy(BAZELW.parent / "debian_mode" / name, folder / "debian_mode")
    (folder / ".bazelversion").write_text(f"{version}\n")
    return folder / "bazelw"


def environ(tmp_path: Path, mirror: str, **more: str) -> dict[str, str]:
    """Return the environment variables of a new user with an empty home folder."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return {
        "BAZELW_APT_OPTIONS": "trusted=yes",
        "BAZELW_MODE": "debian",
        "BAZELW_PACKAGES": "bazel-bootstrap",
        "DEBIAN_MIRROR": mirror,
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        **more,
    }


def bazelw(
    env: dict[str, str], *arguments: str, program: Path | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run bazelw and wait for it; without ``program``, use a new checkout beside the home."""
    if program is None:
        home = Path(env.get("HOME") or env["XDG_CACHE_HOME"])
        program = checkout(home.parent / "work space")
    return subprocess.run(
        ["bash", program, *(arguments or ("version",))],
        env=env,
        cwd=cwd,
        text=True,
        capture_output=True,
        check=False,
        timeout=200,
    )


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return bazelw's error message, after checking that its last line is one of its own errors."""
    assert done.returncode == 2, done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("bazelw: error: "), done.stderr
    assert not re.search(r"^\S+: line \d+: ", done.stderr, re.MULTILINE), done.stderr
    return line.removeprefix("bazelw: error: ")


def cache_of(env: dict[str, str]) -> Path:
    """Return bazelw's cache folder."""
    cache = env.get("XDG_CACHE_HOME") or f"{env['HOME']}/.cache"
    return Path(cache, "synapse-worker-image")


def root_of(env: dict[str, str]) -> Path:
    """Return the private root; there must be exactly one."""
    (root,) = cache_of(env).glob("bazel-root-*")
    return root


def left(env: dict[str, str]) -> list[str]:
    """Return the sorted names of the cache folder's entries, without their hashes."""
    cache = cache_of(env)
    names = [path.name for path in cache.iterdir()] if cache.exists() else []
    return sorted(re.sub("-[0-9a-f]{16}$", "", name) for name in names)
