"""A machine with this image, stand-ins for others, and `docker`, for commands of documentation."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from testbed.machine import WORK, Machine
from testbed.stand_ins import make_stand_ins

# The names of this image; the second one is the same with another digest.
IMAGE, NEW_IMAGE = "localhost/synapse-worker:1", "localhost/synapse-worker:2"
_PAIR = "/etc/letsencrypt/live/example.com"
_PROGRAMS = "/etc/bin"  # On the machine, /usr cannot be written.
# What every command gets.
ENVIRON = {
    "IMAGE": IMAGE,
    "NEW_IMAGE": NEW_IMAGE,
    "DOMAIN": "example.com",
    "CURL_CA_BUNDLE": f"{_PAIR}/fullchain.pem",
    "PATH": f"{_PROGRAMS}:/usr/sbin:/usr/bin",
}
# `docker` by podman and podman-compose. Unlike Docker, they check a starting
# container no more often than a running one, and do not wait for what nothing depends on.
_DOCKER = """\
#!/usr/bin/bash
set -eu
if [ "$1" != compose ]; then exec podman "$@"; fi
shift
checked() { podman ps --quiet --filter health=starting; }
(while true; do for id in $(checked); do podman healthcheck run $id || true; done; sleep 1; done) \
  > /dev/null 2>&1 &
trap "kill $!" EXIT
words=()
for word; do [ "$word" = --wait ] || words+=("$word"); done
python3 -I {programs}/podman_compose.py "${words[@]}"
while [ -n "$(checked)" ]; do sleep 1; done
"""
_SETUP = """\
image=$(podman pull --quiet oci:{work}/layout)
podman tag $image {image} localhost/synapse-worker:latest
podman build --quiet --tag {new_image} - <<< 'FROM {image}'
mkdir -p {pair} {programs}
install -m 755 docker podman_compose.py {programs}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 \
  -subj /CN=example.com -addext subjectAltName=DNS:example.com \
  -keyout {pair}/privkey.pem -out {pair}/fullchain.pem
rm -r layout docker podman_compose.py
"""


def run_commands(machine: Machine, script: str, *, seconds: int = 300) -> str:
    """Run commands of the documentation; return their standard output.

    Raises:
        AssertionError: if one fails, or they take longer than ``seconds``.
    """
    exports = "".join(f"export {name}={value}\n" for name, value in ENVIRON.items())
    done = machine.run(exports + script, seconds=seconds)
    print(f"{script}{done.stdout}{done.stderr}", flush=True)
    return done.stdout


@contextmanager
def engine_machine(services_root: Path, layout: Path, folder: Path) -> Iterator[Machine]:
    """Run a machine with images, `docker`, and a certificate for example.com.

    Args:
        services_root: the unpacked packages.
        layout: the OCI layout of this image.
        folder: an empty folder.

    Raises:
        StartError: if it does not start.
    """
    machine = Machine(services_root, folder)
    try:
        machine.start()
        make_stand_ins(machine)
        subprocess.run(["cp", "-rL", layout, machine.work / "layout"], check=True)
        (machine.work / "docker").write_text(_DOCKER.replace("{programs}", _PROGRAMS))
        compose = find_spec("podman_compose")
        assert compose is not None
        shutil.copy(str(compose.origin), machine.work)
        machine.run(
            _SETUP.format(
                work=WORK, image=IMAGE, new_image=NEW_IMAGE, pair=_PAIR, programs=_PROGRAMS
            )
        )
        yield machine
        print(machine.run("podman ps --all", check=False).stdout)
        logs = "for id in $(podman ps -aq); do podman logs --tail 8 $id 2>&1; done"
        print(machine.run(logs, check=False).stdout)
    finally:
        machine.kill()
