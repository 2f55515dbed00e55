"""Runs upstream's own tests against our wheel with the image's Python, libraries and user."""

import os
import re
import subprocess
import tarfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import parameterized

from testbed import services
from testbed.image import container, entrypoint, read_image, unpack
from testbed.processes import Process

MODULES = os.environ["MODULES"].split()
FEWEST = int(os.environ["FEWEST"])
MOST_SKIPS = int(os.environ["MOST_SKIPS"])
_ADDRESS = "127.0.0.1"
# Upstream's tests drop their databases while some of their connections are open: PostgreSQL waits
# five seconds for these, and upstream tries five times. This ends such connections.
_END_CONNECTIONS = """\
SELECT pg_terminate_backend(other.pid)
FROM pg_stat_activity AS dropping JOIN pg_stat_activity AS other
ON dropping.query LIKE 'DROP DATABASE IF EXISTS ' || other.datname || ';'
WHERE dropping.state = 'active' \\watch 0.1
"""
# Synapse itself must come from the image: only the tests are taken from its source.
_TRIAL = """\
import sys
sys.path[:0] = ["/tmp/upstream"]
import synapse
assert synapse.__file__.startswith("/usr/local/lib/python3."), synapse.__file__
from twisted.scripts.trial import run
run()
"""


def test_upstreams_own_tests_pass(tmp_path: Path) -> None:
    """The modules' tests pass, and not too few ran, so that none can disappear unnoticed."""
    image = read_image(Path(os.environ["IMAGE"]))
    root = tmp_path / "root"
    unpack(image, root)
    upstream = tmp_path / "upstream"
    with tarfile.open(os.environ["SOURCE"]) as archive:
        members = [info for info in archive if info.name.startswith("synapse/tests/")]
        archive.extractall(tmp_path, members, filter="data")
    (tmp_path / "synapse").rename(upstream)
    library = Path(parameterized.__file__).parent
    subprocess.run(["cp", "-rL", library, upstream / "parameterized"], check=True)
    work = tmp_path / "work"
    work.mkdir()
    mounts = {"/tmp/upstream": upstream, "/tmp/work": work}
    environ = {"PYTHONDONTWRITEBYTECODE": "1", "HOME": "/tmp/work"}
    place = Path(os.environ["SERVICES"]).resolve().parent / "root"
    # The tests make certificates with openssl, which is not in the image.
    (work / "openssl").write_bytes((place / "usr/bin/openssl").read_bytes())
    (work / "openssl").chmod(0o755)
    # Container engines provide this file.
    (work / "hosts").write_text("127.0.0.1 localhost\n")
    environ["PATH"] = "/tmp/work:/usr/local/bin:/usr/bin"
    with ExitStack() as stack:
        if os.environ["DATABASE"] == "postgres":
            stack.callback(services.postgres(place, tmp_path, _ADDRESS).stop)
            (tmp_path / "postgres/end.sql").write_text(_END_CONNECTIONS)
            psql = ["psql", "-h", _ADDRESS, "-U", "synapse", "postgres", "-f", "/state/end.sql"]
            inside = services.container(place, tmp_path / "postgres")
            ending = Process("psql", inside.command(*psql), tmp_path / "psql.log")
            ending.start()
            stack.callback(ending.stop)
            environ |= {"SYNAPSE_POSTGRES": "1", "SYNAPSE_POSTGRES_HOST": _ADDRESS}
            environ["SYNAPSE_POSTGRES_USER"] = "synapse"
        inside = container(image, root, mounts, environ, {"/etc/hosts": work / "hosts"})
        command = replace(inside, folder="/tmp/work").command(
            entrypoint(image)[0], "-c", _TRIAL, f"-j{os.cpu_count() or 1}", *MODULES
        )
        done = subprocess.run(
            command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    tail = "\n".join(done.stdout.splitlines()[-60:])
    assert done.returncode == 0, tail
    ran = re.search(r"Ran (\d+) tests? in ([\d.]+)s", done.stdout)
    assert ran is not None, tail
    outcome = done.stdout.strip().splitlines()[-1]
    print(f"{' '.join(MODULES)}: {ran[0]}, {outcome}")
    assert int(ran[1]) >= FEWEST, tail
    skips = re.search(r"skips=(\d+)", outcome)
    reasons = re.findall(r"^\[SKIPPED\]\n(.*)$", done.stdout, re.MULTILINE)
    print(f"skipped for: {sorted(set(reasons)) or 'nothing'}")
    assert (int(skips[1]) if skips else 0) <= MOST_SKIPS, reasons
    subprocess.run(["rm", "-rf", root], check=True)
