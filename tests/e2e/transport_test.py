"""PostgreSQL and Redis over TLS with passwords by file: through the entrypoint and Synapse."""

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

from cluster import services
from cluster.image import Image, enter, entrypoint, read_image, unpack
from cluster.processes import Process
from cluster.site import SQLITE, make_authority, make_data

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
    """Services that speak TLS alone, and where a main process may be started.

    Attributes:
        image: the image.
        folder: has its root and data.
        services: the root with PostgreSQL and Redis.
        postgres: the process.
    """

    image: Image
    folder: Path
    services: Path
    postgres: Process

    def command(self, *arguments: str, root: bool = False, **variables: str) -> list[str]:
        """Return how an engine would start the main process, or another verb."""
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
        inside = enter(self.image, self.folder / "root", mounts, environ | variables, files)
        if root:
            # As an engine does for `--user 0`: root's own home, and the right to leave it.
            user = inside.index("--unshare-user")
            del inside[user : user + 5]
            rights = inside.index("--cap-drop") + 2
            inside[rights:rights] = ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        return [*inside, *entrypoint(self.image), *arguments]

    def run(
        self, *arguments: str, root: bool = False, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a verb."""
        return subprocess.run(
            self.command(*arguments, root=root, **variables),
            text=True,
            capture_output=True,
            check=False,
            timeout=60,
        )

    def configure(self, args: dict[str, Any], redis: dict[str, Any]) -> None:
        """Write homeserver.yaml."""
        document = yaml.safe_load(SQLITE)
        document["database"] = {"name": "psycopg2", "args": _ARGS | args}
        document["redis"] = {"enabled": True, "host": REDIS} | redis
        (self.folder / "data/homeserver.yaml").write_text(yaml.safe_dump(document))

    def connections(self) -> set[str]:
        """Return whether Synapse's connections to PostgreSQL use TLS, as psql prints it."""
        query = (
            "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
            "WHERE usename = 'synapse' AND pid <> pg_backend_pid()"
        )
        inside = services.enter(self.services, self.folder / "postgres")
        inside[-1:] = ["--setenv", "PGPASSWORD", PASSWORD, "--"]
        psql = ["psql", "-h", POSTGRES, "-U", "synapse", "-Atc", query]
        done = subprocess.run([*inside, *psql], text=True, capture_output=True, check=True)
        return set(done.stdout.split())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """PostgreSQL and Redis with TLS and passwords; Redis asks for a client's certificate too."""
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
    # As engines mount secrets: everyone in the container may read them.
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
    """Whether the main process answers on its health port."""
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
    """Also when started as root, whose home folder libpq cannot enter after rights are dropped."""
    redis = _TLS | {"password_path": "/data/redis_password"}
    site.configure({"sslmode": "verify-ca", "sslrootcert": "/data/ca.crt"}, redis)
    waited = site.run("wait", "20", root=root)
    assert (waited.returncode, waited.stdout) == (0, "ready\n"), waited.stderr
    # Without sslmode libpq would go on without TLS, and say nothing.
    site.configure({}, redis)
    command = site.command(root=root)
    command.remove("--unshare-pid")
    command.remove("--die-with-parent")
    process = Process("main", command, site.folder / f"main-{root}.log")
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
            f"Redis at {REDIS} port 6379 refuses: WRONGPASS",
            id="a wrong password of Redis",
        ),
    ],
)
def test_what_is_wrong_is_named_without_the_secret(
    site: Site, args: dict[str, Any], redis: dict[str, Any], line: str
) -> None:
    """Before Synapse starts, which would only log it again and again."""
    site.configure(args, redis)
    done = site.run("wait", "1")
    assert done.returncode == 75
    assert line in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_a_wrong_database_password_is_not_shown(site: Site) -> None:
    """The file may be that of another database."""
    site.configure({}, _TLS | {"password_path": "/data/redis_password"})
    done = site.run("wait", "1", SYNAPSE_DATABASE_PASSWORD_FILE="/data/redis_password")
    assert done.returncode == 75
    assert "password authentication failed" in done.stderr
    assert REDIS_PASSWORD not in done.stderr


def test_a_redis_without_a_ca_is_taken_as_synapse_takes_it(site: Site) -> None:
    """Synapse checks no certificate of Redis: a probe that did would keep it from starting."""
    redis = _TLS | {"password_path": "/data/redis_password"}
    del redis["ca_file"]
    site.configure({}, redis)
    done = site.run("wait", "20")
    assert (done.returncode, done.stdout) == (0, "ready\n"), done.stderr


@pytest.mark.parametrize("mode", [0o600, 0o444])
def test_libpqs_own_password_file_is_used_or_refused(site: Site, mode: int) -> None:
    """libpq ignores one that others may read, as engines mount secrets, and says so to nobody."""
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
            "mode lets others read it; give uid 991 a copy with mode 0600, or set SYNAPSE_DATABASE_"
        )
