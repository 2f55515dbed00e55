"""Limits on what a mounted folder, the environment and a client of port 8448 can control."""

import os
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.image import Image, container, entrypoint, read_image, unpack
from testbed.processes import Process
from testbed.site import SQLITE, make_mounts

# Modules that the entrypoint, Synapse or the starting Python interpreter imports.
_TRAPS = ("json", "sitecustomize", "synapse", "usercustomize", "yaml")
_PORT = "127.0.0.1:8448"
_FORGED = "203.0.113.7"


@dataclass(frozen=True)
class Site:
    """A main process that runs with trap modules around it.

    Attributes:
        image: the image.
        folder: the folder with its root, data and log.
        process: the running main process.
    """

    image: Image
    folder: Path
    process: Process


def set_traps(folder: Path, *, marks: bool = True) -> None:
    """Put modules that leave a mark when imported in the places where Python may look for them."""
    for python in ("python3.11", "python3.13"):
        (folder / f".local/lib/{python}/site-packages").mkdir(parents=True)
    for place in [folder, *folder.glob(".local/lib/*/site-packages")]:
        for name in _TRAPS:
            mark = f"/data/marks/{name}"
            text = f"import os\nos.close(os.open({mark!r}, os.O_CREAT | os.O_WRONLY))\n"
            (place / f"{name}.py").write_text(text)
        (place / "trap.pth").write_text("import yaml\n")
    if marks:
        (folder / "marks").mkdir()


_ENVIRON = {
    "HOME": "/data",
    "PYTHONHOME": "/data",
    "PYTHONINSPECT": "1",
    "PYTHONPATH": "/data",
    "PYTHONPLATLIBDIR": "data",
    "PYTHONPYCACHEPREFIX": "/data/marks",
    "PYTHONSTARTUP": "/data/yaml.py",
    "PYTHONUSERBASE": "/data/.local",
    "SYNAPSE_HOSTNAME": "host-1",
    "SYNAPSE_WORKER": "synapse.app.homeserver",
}


def command(image: Image, folder: Path, *arguments: str, **variables: str) -> list[str]:
    """Return the command line with which an engine would start the main process or another verb."""
    mounts = make_mounts(folder)
    inside = container(image, folder / "root", mounts, _ENVIRON | variables).in_our_processes()
    return inside.command(*entrypoint(image), *arguments)


def run(site: Site, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a verb while the main process is running."""
    return subprocess.run(
        command(site.image, site.folder, *arguments, **variables),
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )


def healthy() -> bool:
    """Return whether the health port answers."""
    try:
        with urllib.request.urlopen("http://127.0.0.1:8080/health", timeout=3) as answer:
            return bool(answer.read() == b"OK")
    except OSError:
        return False


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Yield a main process with traps in /data, which is also HOME and the working folder."""
    folder = tmp_path_factory.mktemp("site")
    image = read_image(Path(os.environ["IMAGE"]))
    unpack(image, folder / "root")
    make_mounts(folder, SQLITE)
    set_traps(folder / "data")
    process = Process("main", command(image, folder), folder / "log")
    process.start()
    try:
        process.wait_until(healthy)
        yield Site(image, folder, process)
    finally:
        if process.running:
            process.stop()
        subprocess.run(["rm", "-rf", folder / "root"], check=True)


def marks(site: Site) -> list[str]:
    """Return the names of the modules that were imported from /data."""
    return sorted(path.name for path in (site.folder / "data/marks").iterdir())


def test_nothing_is_imported_from_a_mounted_folder(site: Site) -> None:
    """Otherwise, write access to /data would allow running code with access to all secrets."""
    assert marks(site) == []


@pytest.mark.parametrize(
    "arguments", [["check"], ["print-config"], ["doctor", "pusher"], ["healthcheck", "--ready"]]
)
def test_no_verb_imports_from_a_mounted_folder(site: Site, arguments: list[str]) -> None:
    """Each verb imports different modules, and none of them come from /data."""
    assert "Traceback" not in run(site, *arguments).stderr
    assert marks(site) == []


def test_modules_that_are_asked_for_are_imported(site: Site) -> None:
    """SYNAPSE_MODULES_DIR comes last on the import path, so the traps in it are not imported."""
    modules = site.folder / "data/modules"
    set_traps(modules, marks=False)
    (modules / "asked_for.py").write_text(
        "class Module:\n    def __init__(self, config, api):\n        pass\n"
        "    @staticmethod\n    def parse_config(config):\n        print('asked for')\n"
    )
    text = SQLITE + "modules: [{module: asked_for.Module, config: {}}]\n"
    (site.folder / "data/with_module.yaml").write_text(text)
    config = {"SYNAPSE_CONFIG_PATH": "/data/with_module.yaml"}
    refused = run(site, "check", **config)
    assert "No module named 'asked_for'" in refused.stderr
    done = run(site, "check", **config, SYNAPSE_MODULES_DIR="/data/modules")
    assert done.stdout.startswith("asked for\nok: "), done.stderr
    assert marks(site) == []
    absent = run(site, "check", **config, SYNAPSE_MODULES_DIR="/data/absent")
    assert absent.stderr.startswith(
        "error: SYNAPSE_MODULES_DIR=/data/absent is not a folder that uid 991 can read"
    )


def test_the_home_folder_is_synapses_own(site: Site) -> None:
    """HOME is a private folder in /synapse_runtime, and no PYTHON* variable is set."""
    lines = Path(f"/proc/{site.process.pid}/environ").read_text().split("\0")
    environ = dict(line.partition("=")[::2] for line in lines if line)
    assert environ["HOME"] == "/synapse_runtime/home"
    assert not [name for name in environ if name.startswith("PYTHON")]
    assert (site.folder / "synapse_runtime/home").stat().st_mode & 0o777 == 0o700


def ask(url: str, context: ssl.SSLContext | None = None) -> None:
    """Send a request with a forged client address."""
    headers = {"X-Forwarded-For": _FORGED, "X-Forwarded-Proto": "https"}
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=30, context=context) as answer:
        answer.read()


def logged(site: Site, port: int, path: str) -> str:
    """Return the client address that the access log has for a request."""
    found: list[str] = []

    def seen() -> bool:
        lines = (site.folder / "log").read_text().splitlines()
        found[:] = [line for line in lines if f" - {port} - " in line and path in line]
        return bool(found)

    site.process.wait_until(seen, 10)
    return found[-1].split(f" - {port} - ")[0].rpartition(" - ")[2]


def test_a_client_of_8448_cannot_choose_its_address(site: Site) -> None:
    """Synapse itself terminates TLS on this port: the peer is another server, not a proxy."""
    context = ssl.create_default_context(cafile=str(site.folder / "data/tls.crt"))
    context.check_hostname = False
    ask(f"https://{_PORT}/_matrix/federation/v1/version", context)
    assert logged(site, 8448, "/_matrix/federation/v1/version") == "127.0.0.1"


def test_the_proxy_before_8008_says_who_asked(site: Site) -> None:
    """X-Forwarded-For is used, as in the predecessor; rate limits need each client's address."""
    ask("http://127.0.0.1:8008/_matrix/client/versions")
    assert logged(site, 8008, "/_matrix/client/versions") == _FORGED
