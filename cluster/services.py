"""PostgreSQL, Redis and nginx from pinned Debian packages, each on an address of its own."""

import os
import shutil
import subprocess
from pathlib import Path

from cluster.processes import Process, answers

_USER = "999"
_POSTGRES = "/usr/lib/postgresql/17/bin"


def enter(root: Path, state: Path) -> list[str]:
    """Return the bwrap command that enters the services' root.

    ``state`` alone is writable there, as /state; the command to run follows the last word.
    """
    bwrap = shutil.which("bwrap")
    assert bwrap, "bwrap is not on PATH; install bubblewrap"
    command = [bwrap, "--unshare-user", "--uid", _USER, "--gid", _USER, "--clearenv"]
    # As in a container: when the first process dies, so do all that it started.
    command += ["--unshare-pid", "--die-with-parent"]
    command += ["--setenv", "PATH", f"{_POSTGRES}:/usr/sbin:/usr/bin", "--cap-drop", "ALL"]
    command += ["--ro-bind", str(root / "usr"), "/usr"]
    for name in sorted(os.listdir(root)):
        if (root / name).is_symlink():
            command += ["--symlink", os.readlink(root / name), f"/{name}"]
    passwd = state / "passwd"
    passwd.write_text(f"service:x:{_USER}:{_USER}::/state:/bin/sh\n")
    command += ["--ro-bind", str(passwd), "/etc/passwd"]
    command += ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/var"]
    return [*command, "--bind", str(state), "/state", "--chdir", "/state", "--"]


def _copy_pair(tls: Path, state: Path) -> None:
    """Copy certificate and key to where a service reads them; PostgreSQL wants the key private."""
    for name, mode in (("tls.crt", 0o644), ("tls.key", 0o600)):
        shutil.copy(tls / name, state / name)
        (state / name).chmod(mode)


def postgres(
    root: Path, folder: Path, address: str, tls: Path | None = None, password: str = ""
) -> Process:
    """Return a PostgreSQL at ``address`` with the user and database ``synapse``.

    Args:
        root: the services' root.
        folder: gets its state and log.
        address: where it listens, on port 5432.
        tls: has its ``tls.crt`` and ``tls.key``; without one it speaks no TLS.
        password: of the user (SCRAM); without one everyone is trusted.
    """
    state = folder / "postgres"
    state.mkdir()
    inside = enter(root, state)
    initdb = ["initdb", "-D", "/state/data", "-U", "synapse", "--no-sync"]
    if password:
        (state / "password").write_text(password)
        initdb += ["--auth=scram-sha-256", "--pwfile=/state/password"]
        inside[-1:] = ["--setenv", "PGPASSWORD", password, "--"]
    else:
        initdb += ["--auth=trust"]
    made = subprocess.run(
        [*inside, *initdb, "--locale=C", "--encoding=UTF8"],
        text=True,
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    settings = {
        "listen_addresses": address,
        "unix_socket_directories": "",
        "max_connections": "400",
        # Data that outlives the machine is not asked for.  synchronous_commit stays on: without it
        # even a killed PostgreSQL forgets what it committed, and Synapse then refuses every event
        # of the room (measured).
        "fsync": "off",
        "full_page_writes": "off",
    }
    if tls is not None:
        _copy_pair(tls, state)
        settings |= {
            "ssl": "on",
            "ssl_cert_file": "/state/tls.crt",
            "ssl_key_file": "/state/tls.key",
        }
    command = ["postgres", "-D", "/state/data"]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    process = Process("postgres", [*inside, *command], folder / "postgres.log")
    process.start()
    query = ["psql", "-h", address, "-U", "synapse", "-d", "postgres", "-Atc"]

    def made_database() -> bool:
        create = "CREATE DATABASE synapse TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        done = subprocess.run([*inside, *query, create], capture_output=True, check=False)
        return done.returncode == 0

    process.wait_until(made_database)
    return process


def query(root: Path, folder: Path, address: str, statement: str) -> list[str]:
    """Return the rows of one SQL statement, the columns of each joined by ``|``.

    Raises:
        subprocess.CalledProcessError: when PostgreSQL refuses it.
    """
    command = ["psql", "-h", address, "-U", "synapse", "-d", "synapse", "-v", "ON_ERROR_STOP=1"]
    done = subprocess.run(
        [*enter(root, folder / "postgres"), *command, "-Atqc", statement],
        text=True,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return done.stdout.splitlines()


def redis(
    root: Path, folder: Path, address: str, tls: Path | None = None, password: str = ""
) -> Process:
    """Return a Redis at ``address``, port 6379, that keeps nothing on disk.

    Args:
        root: the services' root.
        folder: gets its state and log.
        address: where it listens.
        tls: has its ``tls.crt`` and ``tls.key``, and the ``ca.crt`` of its clients' certificates,
            which are then required; it speaks TLS only.
        password: of every client; without one there is none.
    """
    state = folder / "redis"
    state.mkdir()
    command = ["redis-server", "--bind", address, "--save", ""]
    command += ["--dir", "/state", "--protected-mode", "no"]
    if tls is None:
        command += ["--port", "6379"]
    else:
        _copy_pair(tls, state)
        shutil.copy(tls / "ca.crt", state / "ca.crt")
        command += ["--port", "0", "--tls-port", "6379", "--tls-ca-cert-file", "/state/ca.crt"]
        command += ["--tls-cert-file", "/state/tls.crt", "--tls-key-file", "/state/tls.key"]
    if password:
        command += ["--requirepass", password]
    process = Process("redis", [*enter(root, state), *command], folder / "redis.log")
    process.start()
    process.wait_until(lambda: answers(address, 6379))
    return process


def nginx(
    root: Path, folder: Path, address: str, configuration: str, tls: Path, sockets: Path | None
) -> Process:
    """Return an nginx with ``configuration``, which names the certificate and key in ``tls``.

    ``sockets`` is the folder that it sees as /sockets.
    """
    state = folder / "nginx"
    state.mkdir()
    _copy_pair(tls, state)
    (state / "nginx.conf").write_text(configuration)
    command = ["nginx", "-e", "stderr", "-p", "/state", "-c", "/state/nginx.conf"]
    inside = enter(root, state)
    if sockets is not None:
        inside[-1:] = ["--bind", str(sockets), "/sockets", "--"]
    process = Process("nginx", [*inside, *command], folder / "nginx.log")
    process.start()
    process.wait_until(lambda: answers(address, 8008))
    return process
