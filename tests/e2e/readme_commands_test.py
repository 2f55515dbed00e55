"""The README's container commands with podman or docker, unchanged except for names and paths."""

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from testbed.site import make_data

WORKSPACE = Path(os.environ["README"]).resolve().parent
SUFFIX = "-readme-test"
SERVICES_IMAGE = f"localhost/services{SUFFIX}"
NETWORK = f"synapse{SUFFIX}"
POSTGRES = "/usr/lib/postgresql/17/bin"


def engine() -> str:
    """Return the name of a working container engine, or skip the test."""
    for name in ("podman", "docker"):
        found = shutil.which(name)
        if (
            found
            and not subprocess.run([name, "info"], capture_output=True, check=False).returncode
        ):
            if os.geteuid() != 0:
                pytest.skip(f"{name} is there, but only root can give folders to user 991")
            return name
    pytest.skip("neither docker nor podman answers here")


def commands() -> list[list[str]]:
    """Return the command lines of the README's section on running it."""
    text = Path(os.environ["README"]).read_text()
    block = re.search(r"## Running it\n.*?```sh\n(.*?)```", text, re.DOTALL)
    assert block, "the README has no section on running it"
    return [shlex.split(line) for line in block[1].splitlines() if line.strip()]


def podman_health() -> list[str]:
    """Return podman's health options from docs/operating.md; there are none for docker's CLI."""
    text = (WORKSPACE / "docs/operating.md").read_text()
    options = re.search(r"podman run (--health-cmd .*) \.\.\.", text)
    assert options, "docs/operating.md has no health command for podman"
    return shlex.split(options[1])


def adapted(words: list[str], engine: str, folder: Path) -> list[str]:
    """Return a command from the README with the names and folders of this test."""
    renamed = {
        "docker": engine,
        "synapse": NETWORK,
        "synapse-homeserver": f"synapse-homeserver{SUFFIX}",
        "synapse-synchrotron": f"synapse-synchrotron{SUFFIX}",
        "SYNAPSE_REPLICATION_HOST=synapse-homeserver": "SYNAPSE_REPLICATION_HOST="
        f"synapse-homeserver{SUFFIX}",
    }
    return [re.sub("^/srv/", f"{folder}/", renamed.get(word, word)) for word in words]


def run(*command: str) -> str:
    """Run a command and return its standard output; fail with all of its output."""
    done = subprocess.run(command, text=True, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[str]:
    """Load the image and yield the engine; remove this test's containers and network afterwards."""
    name = engine()
    run(os.environ["LOAD_LAUNCHER"])
    yield name
    listed = ["synapse-synchrotron", "synapse-homeserver", "postgres", "redis"]
    for container in listed:
        done = subprocess.run(
            [name, "logs", "--tail", "20", container + SUFFIX],
            text=True,
            capture_output=True,
            check=False,
        )
        print(f"----- {container}\n{done.stdout}{done.stderr}")
        subprocess.run([name, "rm", "-f", container + SUFFIX], capture_output=True, check=False)
    subprocess.run([name, "network", "rm", NETWORK], capture_output=True, check=False)
    subprocess.run([name, "rmi", SERVICES_IMAGE], capture_output=True, check=False)


def start_services(name: str) -> None:
    """Start PostgreSQL and Redis from the pinned packages in the test's network."""
    root = Path(os.environ["SERVICES"]).resolve().parent / "root"
    archive = subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE)
    subprocess.run(
        [name, "import", "-", SERVICES_IMAGE], stdin=archive.stdout, check=True, capture_output=True
    )
    assert archive.wait() == 0
    base = [
        name,
        "run",
        "-d",
        "--network",
        NETWORK,
        "--user",
        "65534",
        "--tmpfs",
        "/state:mode=1777",
    ]
    base += ["--tmpfs", "/tmp"]
    setup = (
        "set -e; echo 'nobody:x:65534:65534::/:/bin/sh' > /tmp/passwd; "
        f"{POSTGRES}/initdb -D /state/data -U synapse --auth=trust --locale=C --encoding=UTF8; "
        "echo 'host all all all trust' >> /state/data/pg_hba.conf; "
        f"exec {POSTGRES}/postgres -D /state/data -c listen_addresses='*' "
        "-c unix_socket_directories=''"
    )
    etc = Path(os.environ["TEST_TMPDIR"] if "TEST_TMPDIR" in os.environ else "/tmp") / "passwd"
    etc.write_text("nobody:x:65534:65534::/state:/bin/sh\n")
    passwd = ["-v", f"{etc}:/etc/passwd"]
    run(*base, *passwd, "--name", f"postgres{SUFFIX}", SERVICES_IMAGE, "/bin/sh", "-c", setup)
    redis = ["redis-server", "--save", "", "--dir", "/state", "--protected-mode", "no"]
    run(*base, *passwd, "--name", f"redis{SUFFIX}", SERVICES_IMAGE, *redis)


def configure(folder: Path, scratch: Path) -> None:
    """Set the database and Redis in the generated homeserver.yaml, and add a TLS key pair."""
    config = folder / "synapse/homeserver.yaml"
    document = yaml.safe_load(config.read_text())
    args = {"user": "synapse", "dbname": "postgres", "host": f"postgres{SUFFIX}"}
    document["database"] = {"name": "psycopg2", "args": args}
    document["redis"] = {"enabled": True, "host": f"redis{SUFFIX}"}
    config.write_text(yaml.safe_dump(document))
    pair = make_data(scratch / "pair", "")
    for name in ("tls.crt", "tls.key"):
        shutil.copy(pair / name, folder / "synapse" / name)
        shutil.chown(folder / "synapse" / name, 991, 991)


def test_what_the_readme_says_works(docker: str, tmp_path: Path) -> None:
    """The commands lead from empty folders to a main process and a worker that are ready."""
    folder = tmp_path / "srv"
    for name in ("synapse", "media"):
        (folder / name).mkdir(parents=True)
        shutil.chown(folder / name, 991, 991)
    network, generate, *rest = [adapted(words, docker, folder) for words in commands()]
    run(*network)
    assert "wrote /data/homeserver.yaml" in run(*generate)
    configure(folder, tmp_path)
    start_services(docker)
    starts = [words for words in rest if "run" in words]
    checks = [words for words in rest if "exec" in words]
    assert (len(starts), len(checks)) == (2, 2)
    for words in starts:
        health = podman_health() if docker == "podman" else []
        run(*words[:2], *health, *words[2:])
    deadline = time.monotonic() + 240  # The machine may be busy with other tests.
    for words in checks:
        while True:
            done = subprocess.run(words, text=True, capture_output=True, check=False)
            if (done.returncode, done.stdout) == (0, "ready\n"):
                break
            assert time.monotonic() < deadline, done.stderr
            time.sleep(1)
    for name in ("synchrotron", "homeserver"):
        container = f"synapse-{name}{SUFFIX}"
        if docker == "podman":
            run(docker, "healthcheck", "run", container)
        run(docker, "stop", "-t", "20", container)
        status = run(docker, "inspect", "--format", "{{.State.ExitCode}}", container)
        assert status.strip() == "0", container
