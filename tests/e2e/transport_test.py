"""PostgreSQL and Redis over TLS with passwords from files, in the entrypoint and in Synapse."""

import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed import services
from testbed.image import Image, as_root, container, entrypoint, read_image, unpack
from testbed.processes import Process
from testbed.site import SQLITE, make_authority, make_data

POSTGRES, REDIS, MAIN = "127.14.0.2", "127.14.0.3", "127.14.0.10"
PASSWORD, REDIS_PASSWORD = "hunter2 of 'postgres'", "hunter2ofRedis"
_TLS = {
    "use_tls": True,
    "ca_file": "/data/ca.crt",
    "certificate_file": "/data/tls.crt",
    "private_key_file": "/data/tls.key",
}
_ARGS = {"host": POSTGRES, "user": "synapse", "dbname": "synapse", "cp_min": 1, "cp_max": 2}


@dataclass(frozen=True)
class Site:
    """Services that use only TLS, and the files for starting a main process.

    Attributes:
        image: the image.
        folder: the folder with its root and data.
        services: the root with PostgreSQL and Redis.
        postgres: the PostgreSQL process.
    """

    image: Image
    folder: Path
    services: Path
    postgres: Process

    def command(
        self, *arguments: str, root: bool = False, stays: bool = False, **variables: str
    ) -> list[str]:
        """Return the command line with which an engine would start the main process or a verb.

        Args:
            arguments: the verb and its arguments.
            root: whether it is started as root.
            stays: whether it stays in our PID namespace, so that we can send it signals.
            variables: environment variables that override those of the container.
        """
        mounts = {}
        for name in ("synapse_media", "synapse_runtime"):
            mounts[f"/{name}"] = self.folder / f"{name}-{root}"
            mounts[f"/{name}"].mkdir(exist_ok=True)
            mounts[f"/{name}"].chmod(0o1777)
        environ = {
            "SYNAPSE_BIND_ADDRESSES": MAIN,
            "SYNAPSE_DATABASE_PASSWORD_FILE": "/data/database_password",
            "SYNAPSE_FEDERATION_TLS": "off",
            "SYNAPSE_WORKER": "synapse.app.homeserver",
        }
        if root:
            environ["HOME"] = "/root"
        files = {"/data": self.folder / "data"}
        inside = container(self.image, self.folder / "root", mounts, environ | variables, files)
        inside = as_root(inside) if root else inside
        if stays:
            inside = inside.in_our_processes()
        return inside.command(*entrypoint(self.image), *arguments)

    def run(
        self, *arguments: str, root: bool = False, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a verb and wait for it to end."""
        return subprocess.run(
            self.command(*arguments, root=root, stays=False, **variables),
            text=True,
            capture_output=True,
            check=False,
            timeout=60,
        )

    def configure(self, args: dict[str, Any], redis: dict[str, Any]) -> None:
        """Write homeserver.yaml with ``args`` for PostgreSQL and the ``redis`` settings."""
        document = yaml.safe_load(SQLITE)
        document["database"] = {"name": "psycopg2", "args": _ARGS | args}
        document["redis"] = {"enabled": True, "host": REDIS} | redis
        (self.folder / "data/homeserver.yaml").write_text(yaml.safe_dump(document))

    def connections(self) -> set[str]:
        """Return whether Synapse's connections to PostgreSQL use TLS: "t" or "f" for each state."""
        query = (
            "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
            "WHERE usename = 'synapse' AND pid <> pg_backend_pid()"
        )
        inside = services.container(self.services, self.folder / "postgres")
        inside = inside.with_environ({"PGPASSWORD": PASSWORD})
        psql = inside.command("psql", "-h", POSTGRES, "-U", "synapse", "-Atc", query)
        done = subprocess.run(psql, text=True, capture_output=True, check=True)
        return set(done.stdout.split())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start PostgreSQL and Redis with TLS and passwords; Redis requires client certificates."""
    folder = tmp_path_factory.mktemp("site")
    image = read_image(Path(os.environ["IMAGE"]))
    unpack(image, folder / "root")
    root = Path(os.environ["SERVICES"]).resolve().parent / "root"
    data = make_data(folder / "data", SQLITE, POSTGRES, make_authority(folder / "authority"))
    make_authority(folder / "other")
    shutil.copy(folder / "other/ca.crt", data / "other.crt")
    (data / "database_password").write_text(PASSWORD + "\n")
    (data / "redis_password").write_text(REDIS_PASSWORD + "\n")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)
    # Engines mount secrets like this, readable by every user in the container.
    for path in data.iterdir():
        path.chmod(0o444)
    processes = []
    try:
        processes.append(services.postgres(root, folder, POSTGRES, data, PASSWORD))
        processes.append(services.redis(root, folder, REDIS, data, REDIS_PASSWORD))
        yield Site(image, folder, root, processes[0])
    finally:
        for process in reversed(processes):
            process.stop()
        subprocess.run(["rm", "-rf", folder / "root"], check=True)


def healthy() -> bool:
    """Return whether the main process answers on its health port."""
    try:
        with urllib.request.urlopen(f"http://{MAIN}:8080/health", timeout=3) as answer:
            return bool(answer.read() == b"OK")
    except OSError:
        return False


@pytest.mark.parametrize(
    "root",
    [
        False,
        pytest.param(
            True, marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can start as root")
        ),
    ],
    ids=["user 991", "root"],
)
def test_synapse_speaks_tls_with_both(site: Site, root: bool) -> None:
    """This includes a start as root, whose home libpq cannot enter once privileges are dropped."""
    redis = _TLS | {"password_path": "/data/redis_password"}
    site.configure({"sslmode": "verify-ca", "sslrootcert": "/data/ca.crt"}, redis)
    waited = site.run("wait", "20", root=root)
    assert (waited.returncode, waited.stdout) == (0, "ready\n"), waited.stderr
    # By default, libpq would silently continue without TLS.
    site.configure({}, redis)
    process = Process("main", site.command(root=root, stays=True), site.folder / f"main-{root}.log")
    process.start()
    try:
        process.wait_until(healthy)
        assert site.connections() == {"t"}
        process.wait_until(lambda: "Connected to redis" in process.log.read_text(), 30)
        log = process.log.read_text()
        assert PASSWORD not in log
        assert REDIS_PASSWORD not in log
    finally:
        assert process.stop() == 0


@pytest.mark.parametrize(
    ("args", "redis", "line"),
    [
        pytest.param(
            {"sslmode": "verify-full", "sslrootcert": "/data/other.crt"},
            _TLS | {"password_path": "/data/redis_password"},
            f"PostgreSQL at {POSTGRES} port 5432 does not answer",
            id="PostgreSQL's certificate by another CA",
        ),
        pytest.param(
            {},
            _TLS | {"password_path": "/data/redis_password", "ca_file": "/data/other.crt"},
            f"Redis at {REDIS} port 6379 does not answer: ",
            id="Redis' certificate by another CA",
        ),
        pytest.param(
            {},
            {"password_path": "/data/redis_password"},
            f"Redis at {REDIS} port 6379 ",
            id="Redis without TLS",
        ),
        pytest.param(
            {},
            _TLS | {"password": "hunter2butwrong"},
            f"Redis at {REDIS} port 6379 answers with an error: WRONGPASS",
            id="a wrong password of Redis",
        ),
    ],
)
def test_what_is_wrong_is_named_without_the_secret(
    site: Site, args: dict[str, Any], redis: dict[str, Any], line: str
) -> None:
    """The error is reported before Synapse starts, which would only log it repeatedly."""
    site.configure(args, redis)
    done = site.run("wait", "1")
    assert done.returncode == 75
    assert line in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_a_wrong_database_password_is_not_shown(site: Site) -> None:
    """The password must stay secret even if the file belongs to another service."""
    site.configure({}, _TLS | {"password_path": "/data/redis_password"})
    done = site.run("wait", "1", SYNAPSE_DATABASE_PASSWORD_FILE="/data/redis_password")
    assert done.returncode == 75
    assert "password authentication failed" in done.stderr
    assert REDIS_PASSWORD not in done.stderr


def test_a_redis_without_a_ca_is_taken_as_synapse_takes_it(site: Site) -> None:
    """Without a CA, Synapse does not verify Redis's certificate, so the probe must not either."""
    redis = _TLS | {"password_path": "/data/redis_password"}
    del redis["ca_file"]
    site.configure({}, redis)
    done = site.run("wait", "20")
    assert (done.returncode, done.stdout) == (0, "ready\n"), done.stderr


@pytest.mark.parametrize("mode", [0o600, 0o444])
def test_libpqs_own_password_file_is_used_or_refused(site: Site, mode: int) -> None:
    """libpq silently ignores a file that others can read, which is how engines mount secrets."""
    passfile = site.folder / "data/pgpass"
    passfile.unlink(missing_ok=True)
    passfile.write_text(f"*:*:*:*:{PASSWORD}\n")
    passfile.chmod(mode)
    redis = _TLS | {"password_path": "/data/redis_password"}
    site.configure({"passfile": "/data/pgpass"}, redis)
    done = site.run("wait", "20", SYNAPSE_DATABASE_PASSWORD_FILE="")
    if mode == 0o600:
        assert (done.returncode, done.stdout) == (0, "ready\n"), done.stderr
    else:
        assert done.returncode == 2
        assert done.stderr.startswith(
            "error: homeserver.yaml: database.args.passfile=/data/pgpass: libpq ignores it: its "
            "mode lets other users access it; give uid 991 a copy with mode 0600, or set "
            "SYNAPSE_DATABASE_"
        )
