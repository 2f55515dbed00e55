"""The commands of the examples' pages, run word for word on a machine with systemd and podman."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from testbed.machine import WORK, Machine
from testbed.stand_ins import make_stand_ins

EXAMPLES = Path(os.environ["EXAMPLE"]).resolve().parent
SERVICES = Path(os.environ["SERVICES"]).resolve().parent / "root"
LAYOUT = Path(os.environ["IMAGE"]).resolve()
IMAGES = {"IMAGE": "localhost/synapse-worker:1", "NEW_IMAGE": "localhost/synapse-worker:2"}
# `docker` of the pages, by podman and podman-compose. Unlike Docker, they check a starting
# container no more often than a running one, and do not wait for what nothing depends on.
DOCKER = """\
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
python3 -I /etc/bin/podman_compose.py "${words[@]}"
while [ -n "$(checked)" ]; do sleep 1; done
"""


@dataclass(frozen=True)
class Block:
    """Commands of a page.

    Attributes:
        script: the commands.
        output: what they print, if the page shows it.
    """

    script: str
    output: str | None


def blocks(text: str) -> list[Block]:
    """Return the commands of a page, in order."""
    fence = re.compile(r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)
    return [Block(match[1], match[2]) for match in fence.finditer(text)]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Yield a machine with the images and a certificate for example.com."""
    if os.geteuid() != 0:
        pytest.skip("only root can give the files of a container to many users")
    found = Machine(SERVICES, tmp_path)
    try:
        found.start()
        make_stand_ins(found)
        subprocess.run(["cp", "-rL", LAYOUT, found.work / "layout"], check=True)
        (found.work / "docker").write_text(DOCKER)
        compose = find_spec("podman_compose")
        assert compose is not None
        shutil.copy(str(compose.origin), found.work)
        found.run(
            f"image=$(podman pull --quiet oci:{WORK}/layout)\n"
            f"podman tag $image {IMAGES['IMAGE']}\n"
            f"podman build --quiet --tag {IMAGES['NEW_IMAGE']} - <<< 'FROM {IMAGES['IMAGE']}'\n"
            "folder=/etc/letsencrypt/live/example.com\n"
            "mkdir -p $folder /etc/bin\n"
            "install -m 755 docker podman_compose.py /etc/bin\n"
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 "
            "-subj /CN=example.com -addext subjectAltName=DNS:example.com "
            "-keyout $folder/privkey.pem -out $folder/fullchain.pem\n"
            "rm -r layout docker podman_compose.py\n"
        )
        yield found
        print(found.run("podman ps --all", check=False).stdout)
        logs = "for id in $(podman ps -aq); do podman logs --tail 8 $id 2>&1; done"
        print(found.run(logs, check=False).stdout)
    finally:
        found.kill()


def test_the_commands_lead_to_a_message_and_back_to_it_after_a_restore(machine: Machine) -> None:
    """Whoever follows a page should not have to correct it."""
    variables = IMAGES | {
        "DOMAIN": "example.com",
        "CURL_CA_BUNDLE": "/etc/letsencrypt/live/example.com/fullchain.pem",
        "PATH": "/etc/bin:/usr/sbin:/usr/bin",
    }
    exports = "".join(f"export {name}={value}\n" for name, value in variables.items())
    (machine.work / "plan.txt").write_text((EXAMPLES / "plan.txt").read_text())
    page = (EXAMPLES / "README.md").read_text()
    begin = time.monotonic()
    for block in blocks(page):
        done = machine.run(exports + block.script, seconds=150)
        seconds = time.monotonic() - begin
        print(f"{block.script}{done.stdout}{done.stderr}----- {seconds:.1f} s", flush=True)
        if block.output is not None:
            # podman-compose prints the names of the containers before.
            assert done.stdout.endswith(block.output), block.script
