"""What a mounted folder, the environment and a client of port 8448 may not decide."""

import os
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.image import Image, enter, entrypoint, read_image, unpack
from cluster.processes import Process
from cluster.site import SQLITE, make_data

# Modules that the entrypoint or Synapse imports, or Python itself when it starts.
_TRAPS = ("json", "sitecustomize", "synapse", "usercustomize", "yaml")
_PORT = "127.0.0.1:8448"
_FORGED = "203.0.113.7"


@dataclass(frozen=True)
class Site:
    """A main process among traps.

    Attributes:
        image: the image.
        folder: has its root, data and log.
        process: what runs.
    """

    image: Image
    folder: Path
    process: Process


def set_traps(folder: Path, *, marks: bool = True) -> None:
    """Put modules that leave a mark where Python might look for some."""
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
    """Return how an engine would start the main process, or another verb."""
    mounts = {"/data": folder / "data"}
    for name in ("synapse_media", "synapse_runtime"):
        mounts[f"/{name}"] = folder / name
        mounts[f"/{name}"].mkdir(exist_ok=True)
    inside = enter(image, folder / "root", mounts, _ENVIRON | variables)
    # Signals go to Synapse itself, which is not behind a PID namespace here.
    inside.remove("--unshare-pid")
    inside.remove("--die-with-parent")
    return [*inside, *entrypoint(image), *arguments]


def run(site: Site, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a verb beside the main process."""
    return subprocess.run(
        command(site.image, site.folder, *arguments, **variables),
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )


def healthy() -> bool:
    """Whether the health port answers."""
    try:
        with urllib.request.urlopen("http://127.0.0.1:8080/health", timeout=3) as answer:
            return bool(answer.read() == b"OK")
    except OSError:
        return False


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The main process, with traps in /data, which is HOME and the working folder too."""
    folder = tmp_path_factory.mktemp("site")
    image = read_image(Path(os.environ["IMAGE"]))
    unpack(image, folder / "root")
    make_data(folder / "data", SQLITE)
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
    """Return what was imported from /data."""
    return sorted(path.name for path in (site.folder / "data/marks").iterdir())


def test_nothing_is_imported_from_a_mounted_folder(site: Site) -> None:
    """Whoever can write to /data would run code with every secret of the homeserver."""
    assert marks(site) == []


@pytest.mark.parametrize(
    "arguments", [["check"], ["print-config"], ["doctor", "pusher"], ["healthcheck", "--ready"]]
)
def test_no_verb_imports_from_a_mounted_folder(site: Site, arguments: list[str]) -> None:
    """Each has its own imports."""
    assert "Traceback" not in run(site, *arguments).stderr
    assert marks(site) == []


def test_modules_that_are_asked_for_are_imported(site: Site) -> None:
    """Behind everything of the image: the traps beside them stay what they are."""
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
        "error: SYNAPSE_MODULES_DIR=/data/absent: it is not a folder that uid 991 can read"
    )


def test_the_home_folder_is_synapses_own(site: Site) -> None:
    """Neither mounted, nor one that it cannot enter."""
    lines = Path(f"/proc/{site.process.pid}/environ").read_text().split("\0")
    environ = dict(line.partition("=")[::2] for line in lines if line)
    assert environ["HOME"] == "/synapse_runtime/home"
    assert not [name for name in environ if name.startswith("PYTHON")]
    assert (site.folder / "synapse_runtime/home").stat().st_mode & 0o777 == 0o700


def ask(url: str, context: ssl.SSLContext | None = None) -> None:
    """Ask with a forged address."""
    headers = {"X-Forwarded-For": _FORGED, "X-Forwarded-Proto": "https"}
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=30, context=context) as answer:
        answer.read()


def logged(site: Site, port: int, path: str) -> str:
    """Return the address in the access log's line of a request."""
    found: list[str] = []

    def seen() -> bool:
        lines = (site.folder / "log").read_text().splitlines()
        found[:] = [line for line in lines if f" - {port} - " in line and path in line]
        return bool(found)

    site.process.wait_until(seen, 10)
    return found[-1].split(f" - {port} - ")[0].rpartition(" - ")[2]


def test_a_client_of_8448_cannot_choose_its_address(site: Site) -> None:
    """TLS ends in Synapse there: the peer is another server, and no proxy."""
    context = ssl.create_default_context(cafile=str(site.folder / "data/tls.crt"))
    context.check_hostname = False
    ask(f"https://{_PORT}/_matrix/federation/v1/version", context)
    assert logged(site, 8448, "/_matrix/federation/v1/version") == "127.0.0.1"


def test_the_proxy_before_8008_says_who_asked(site: Site) -> None:
    """As with the predecessor: rate limits would take all clients for one otherwise."""
    ask("http://127.0.0.1:8008/_matrix/client/versions")
    assert logged(site, 8008, "/_matrix/client/versions") == _FORGED
