"""Upstream's own tests against our wheel, with the image's Python, libraries and user."""

import os
import re
import subprocess
import tarfile
from pathlib import Path

import parameterized

from cluster import services
from cluster.image import enter, entrypoint, read_image, unpack

MODULES = os.environ["MODULES"].split()
FEWEST = int(os.environ["FEWEST"])
MOST_SKIPS = int(os.environ["MOST_SKIPS"])
_ADDRESS = "127.0.0.1"
# Synapse itself must come from the image: of its source, the tests alone are there.
_TRIAL = """\
import sys
sys.path[:0] = ["/tmp/upstream"]
import synapse
assert synapse.__file__.startswith("/usr/local/lib/python3."), synapse.__file__
from twisted.scripts.trial import run
run()
"""


def test_upstreams_own_tests_pass(tmp_path: Path) -> None:
    """Those modules, and at least so many tests: none can vanish unseen."""
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
    # The tests make certificates with a program that the image leaves out.
    (work / "openssl").write_bytes((place / "usr/bin/openssl").read_bytes())
    (work / "openssl").chmod(0o755)
    # As container engines do.
    (work / "hosts").write_text("127.0.0.1 localhost\n")
    environ["PATH"] = "/tmp/work:/usr/local/bin:/usr/bin"
    # Upstream skips what shards writers without PostgreSQL.
    database = services.postgres(place, tmp_path, _ADDRESS)
    environ |= {"SYNAPSE_POSTGRES": "1", "SYNAPSE_POSTGRES_HOST": _ADDRESS}
    environ["SYNAPSE_POSTGRES_USER"] = "synapse"
    command = enter(image, root, mounts, environ, {"/etc/hosts": work / "hosts"})
    command[command.index("--chdir") + 1] = "/tmp/work"
    # Upstream sleeps while it drops each test's database: one job per CPU left them idle for 65 %.
    command += [entrypoint(image)[0], "-c", _TRIAL, f"-j{3 * (os.cpu_count() or 1)}", *MODULES]
    try:
        done = subprocess.run(
            command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    finally:
        database.stop()
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
