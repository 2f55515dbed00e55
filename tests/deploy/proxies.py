"""Starts the reverse proxies with the configuration that `deploy` makes for them."""

import http.client
import shutil
import signal
import sys
import urllib.request
from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from deploy.options import Options
from deploy.routing import Routing
from sandbox.bwrap import Mount, read_only, writable
from testbed import services
from testbed.processes import Process, answers

ADDRESS = "127.0.100.1"
CLIENT_PORT = 8443
FEDERATION_PORT = 8449
PLAIN_PORT = 8009
OPTIONS = Options(
    address=ADDRESS,
    client_port=CLIENT_PORT,
    federation_port=FEDERATION_PORT,
    plain_port=PLAIN_PORT,
    certificate="/state/tls.crt",
    key="/state/tls.key",
    hold_seconds=10,
)
# The name of the configuration file, and the command; the programs of the last two are static.
_COMMANDS = {
    "nginx": (
        "nginx.conf",
        ["nginx", "-e", "stderr", "-c", "/state/nginx.conf", "-g", "daemon off;"],
    ),
    "haproxy": ("haproxy.cfg", ["haproxy", "-W", "-db", "-f", "/state/haproxy.cfg"]),
    "caddy": (
        "Caddyfile",
        ["/program/caddy", "run", "--config", "/state/Caddyfile", "--adapter", "caddyfile"],
    ),
    "traefik": ("traefik.yml", ["/program/traefik"]),
}
_RELOAD = {"nginx": signal.SIGHUP, "haproxy": signal.SIGUSR2}
_CADDY_LOAD = "http://127.0.0.1:2019/load"  # Caddy's administration API.


def program(name: str) -> Path:
    """Return the program of a Python package: from its wheel, or beside this Python."""
    site = Path(pytest.__file__).resolve().parents[1]
    unpacked = list(site.glob(f"{name}_bin-*.data/scripts/{name}"))
    return (unpacked[0] if unpacked else Path(sys.executable).with_name(name)).resolve()


def start(
    name: str,
    root: Path,
    folder: Path,
    tls: Path,
    routing: Routing,
    sockets: Path | None = None,
    *,
    options: Options = OPTIONS,
    mounts: Iterable[Mount] = (),
) -> Process:
    """Start a proxy; return it once it listens.

    Args:
        name: its format.
        root: the root of the services.
        folder: an empty folder for its state and log.
        tls: the folder with its ``tls.crt`` and ``tls.key``.
        routing: the routes.
        sockets: the folder to mount at /sockets, if any.
        options: the choices for the configuration; its ports must be those of `OPTIONS`.
        mounts: more mounts for its container.
    """
    file_name, command = _COMMANDS[name]
    emitter = import_module(f"deploy.{name}")
    assert emitter.problems(routing, options) == []
    state = folder / "state"
    state.mkdir()
    for part in ("tls.crt", "tls.key"):
        shutil.copy(tls / part, state / part)
    (state / file_name).write_text(emitter.configuration(routing, options))
    if options.script:
        script = emitter.configuration(routing, replace(options, include="script"))
        (state / Path(options.script).name).write_text(script)
    # Container engines provide this file.
    (state / "hosts").write_text("127.0.0.1 localhost\n")
    inside = services.container(root, state).with_environ({"HOME": "/state"})
    inside = inside.with_mounts(read_only(state / "hosts", "/etc/hosts"))
    if command[0].startswith("/program/"):
        inside = inside.with_mounts(read_only(program(name), command[0]))
    if name == "traefik":
        # Its default path, which it reads again as the file of its routes.
        inside = inside.with_mounts(read_only(state / file_name, "/etc/traefik/traefik.yml"))
    if sockets is not None:
        inside = inside.with_mounts(writable(sockets, "/sockets"))
    inside = inside.with_mounts(*mounts)
    process = Process(name, inside.command(*command), folder / f"{name}.log")
    process.start()
    # Traefik listens before it has its routes, and answers 404 until then.
    process.wait_until(
        lambda: all(answers(ADDRESS, port) for port in (CLIENT_PORT, FEDERATION_PORT)) and _routes()
    )
    return process


def reload(name: str, process: Process, folder: Path, routing: Routing) -> None:
    """Give a proxy that `start` returned the routes of another plan, without a restart.

    Traefik notices the file by itself, if ``folder/state`` is mounted where it reads the file.
    """
    file_name, _ = _COMMANDS[name]
    text = import_module(f"deploy.{name}").configuration(routing, OPTIONS)
    # Replaced as a whole: Traefik would read a file of which only a part is written.
    new = folder / "state" / f"{file_name}.new"
    new.write_text(text)
    new.replace(folder / "state" / file_name)
    if name == "caddy":
        request = urllib.request.Request(
            _CADDY_LOAD, text.encode(), headers={"Content-Type": "text/caddyfile"}
        )
        with urllib.request.urlopen(request, timeout=60):
            pass
    elif name in _RELOAD:
        process.signal(_RELOAD[name])


def _routes() -> bool:
    """Return whether the proxy passes a request on to the main process."""
    connection = http.client.HTTPConnection(ADDRESS, PLAIN_PORT, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
