"""Runs services from pinned Debian packages, each at its own address, such as PostgreSQL."""

import shutil
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from sandbox.bwrap import KERNEL, Sandbox, read_only, symlinks, system_bwrap, tmpfs, writable
from testbed.processes import Process, answers

_USER = 999
_POSTGRES = "/usr/lib/postgresql/17/bin"


def container(root: Path, state: Path) -> Sandbox:
    """Return the container of a service; only ``state``, mounted at /state, holds its data.

    Raises:
        MissingProgramError: if bwrap is not installed.
    """
    passwd = state / "passwd"
    passwd.write_text(f"service:x:{_USER}:{_USER}::/state:/bin/sh\n")
    return Sandbox(
        bwrap=(system_bwrap(),),
        mounts=(
            read_only(root / "usr", "/usr"),
            *symlinks(root),
            read_only(passwd, "/etc/passwd"),
            *KERNEL,
            tmpfs("/var"),
            writable(state, "/state"),
        ),
        user=(_USER, _USER),
        # As in a container, when the first process dies, so do all processes that it started.
        unshare=("pid",),
        environ={"PATH": f"{_POSTGRES}:/usr/sbin:/usr/bin"},
        folder="/state",
    )


def _copy_pair(tls: Path, state: Path) -> None:
    """Copy certificate and key for a service; PostgreSQL requires that the key is private."""
    for name, mode in (("tls.crt", 0o644), ("tls.key", 0o600)):
        shutil.copy(tls / name, state / name)
        (state / name).chmod(mode)


def postgres(
    root: Path, folder: Path, address: str, tls: Path | None = None, password: str = ""
) -> Process:
    """Start PostgreSQL at ``address`` with the user and database ``synapse``; return it.

    Args:
        root: the services' root.
        folder: the folder for its state and log.
        address: the address where it listens, on port 5432.
        tls: the folder with its ``tls.crt`` and ``tls.key``; if None, TLS is off.
        password: the password of the user (SCRAM); if empty, all connections are trusted.
    """
    state = folder / "postgres"
    state.mkdir()
    inside = container(root, state)
    initdb = ["initdb", "-D", "/state/data", "-U", "synapse", "--no-sync"]
    if password:
        (state / "password").write_text(password)
        initdb += ["--auth=scram-sha-256", "--pwfile=/state/password"]
        inside = inside.with_environ({"PGPASSWORD": password})
    else:
        initdb += ["--auth=trust"]
    made = subprocess.run(
        inside.command(*initdb, "--locale=C", "--encoding=UTF8"),
        text=True,
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    settings = {
        "listen_addresses": address,
        "unix_socket_directories": "",
        "max_connections": "400",
        # The data does not need to survive a crash of the machine.  synchronous_commit stays on:
        # without it, a killed PostgreSQL loses committed transactions, and Synapse then refuses
        # every event in the room (as measured).
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
    process = Process("postgres", inside.command(*command), folder / "postgres.log")
    process.start()
    query = ["psql", "-h", address, "-U", "synapse", "-d", "postgres", "-Atc"]

    def made_database() -> bool:
        create = "CREATE DATABASE synapse TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        done = subprocess.run(inside.command(*query, create), capture_output=True, check=False)
        return done.returncode == 0

    process.wait_until(made_database)
    return process


def query(root: Path, folder: Path, address: str, statement: str) -> list[str]:
    """Run an SQL statement; return the rows, with the columns of each joined by ``|``.

    Raises:
        subprocess.CalledProcessError: if psql fails, for example on an SQL error.
    """
    command = ["psql", "-h", address, "-U", "synapse", "-d", "synapse", "-v", "ON_ERROR_STOP=1"]
    done = subprocess.run(
        container(root, folder / "postgres").command(*command, "-Atqc", statement),
        text=True,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return done.stdout.splitlines()


def redis(
    root: Path, folder: Path, address: str, tls: Path | None = None, password: str = ""
) -> Process:
    """Start Redis at ``address``, port 6379, without persistence on disk; return it.

    Args:
        root: the services' root.
        folder: the folder for its state and log.
        address: the address where it listens.
        tls: the folder with its ``tls.crt`` and ``tls.key``, and the ``ca.crt`` for its clients'
            certificates, which are then required; if set, it accepts only TLS.
        password: the password for all clients; if empty, none is required.
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
    process = Process("redis", container(root, state).command(*command), folder / "redis.log")
    process.start()
    process.wait_until(lambda: answers(address, 6379))
    return process


# Maps each reverse proxy to the command that runs it with its configuration in /state/conf.
_PROXIES = {
    "haproxy": ("haproxy", "-db", "-f", "/state/conf"),
    "nginx": ("nginx", "-e", "stderr", "-c", "/state/conf", "-g", "daemon off;"),
}


def proxy(
    name: str,
    root: Path,
    folder: Path,
    address: str,
    configuration: str,
    tls: Path,
    folders: Mapping[str, Path],
) -> Process:
    """Start a reverse proxy; return it once it listens.

    Args:
        name: ``nginx`` or ``haproxy``.
        root: the services' root.
        folder: the folder for its state and log.
        address: the address where it listens, on port 8008 among others.
        configuration: its configuration.
        tls: the folder with its ``tls.crt`` and ``tls.key``.
        folders: more folders that it needs, by path in its container.
    """
    state = folder / name
    state.mkdir()
    _copy_pair(tls, state)
    (state / "conf").write_text(configuration)
    mounts = (writable(source, target) for target, source in folders.items())
    inside = container(root, state).with_mounts(*mounts)
    process = Process(name, inside.command(*_PROXIES[name]), folder / f"{name}.log")
    process.start()
    process.wait_until(lambda: answers(address, 8008))
    return process


_PROMETHEUS = """\
global:
  scrape_interval: 1s
  scrape_timeout: 1s
  evaluation_interval: 1s
scrape_configs:
  - job_name: synapse
    metrics_path: /_synapse/metrics
    file_sd_configs:
      - files: [targets.json]
rule_files: [rules.yml]
"""


def prometheus(root: Path, folder: Path, address: str, targets: str, rules: str) -> Process:
    """Start Prometheus at ``address``, port 9090, with a scrape each second; return it.

    Args:
        root: the services' root.
        folder: the folder for its state and log.
        address: the address where it listens.
        targets: a file for ``file_sd_configs``, in JSON.
        rules: a file for ``rule_files``.
    """
    state = folder / "prometheus"
    state.mkdir()
    for name, text in (
        ("prometheus.yml", _PROMETHEUS),
        ("targets.json", targets),
        ("rules.yml", rules),
    ):
        (state / name).write_text(text)
    command = ["prometheus", f"--web.listen-address={address}:9090"]
    command += ["--config.file=/state/prometheus.yml", "--storage.tsdb.path=/state/data"]
    inside = container(root, state).command(*command)
    process = Process("prometheus", inside, folder / "prometheus.log")
    process.start()
    process.wait_until(lambda: _is_ready(address))
    return process


def _is_ready(address: str) -> bool:
    """Return whether Prometheus has opened its database, before which it answers with 503."""
    try:
        with urllib.request.urlopen(f"http://{address}:9090/-/ready", timeout=5):
            return True
    except OSError:
        return False
