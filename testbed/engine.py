"""A machine with this image, stand-ins for others, and `docker`, for commands of documentation.

`docker` is podman with podman-compose, or Docker with its own Compose, from Debian packages.
"""

import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from deploy.images import Images
from testbed.logins import logged_in
from testbed.machine import ADDRESS, WORK, Machine
from testbed.stand_ins import make_stand_ins

# The names of this image; the second one is the same with another digest.
IMAGE, NEW_IMAGE = "localhost/synapse-worker:1", "localhost/synapse-worker:2"
_PAIR = "/etc/letsencrypt/live/example.com"
PROGRAMS = "/etc/bin"  # On the machine, /usr cannot be written.
# What every command gets.
ENVIRON = {
    "IMAGE": IMAGE,
    "NEW_IMAGE": NEW_IMAGE,
    "DOMAIN": "example.com",
    "CURL_CA_BUNDLE": f"{_PAIR}/fullchain.pem",
    "PATH": f"{PROGRAMS}:/usr/sbin:/usr/bin",
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
_PODMAN_SETUP = "install -m 755 docker podman_compose.py {programs}; rm docker podman_compose.py"
_DOCKER_UNIT = f"""\
[Service]
Type=notify
Environment=PATH={PROGRAMS}:/usr/sbin:/usr/bin
ExecStart=dockerd --bridge=none --data-root=/var/lib/containers/docker \\
  --exec-opt=native.cgroupdriver=cgroupfs
[Install]
WantedBy=multi-user.target
"""
# Docker needs an iptables, which Debian's packages link when they are installed. The images are
# made by podman in both cases.
_DOCKER_SETUP = """\
ln -s /usr/sbin/iptables-nft {programs}/iptables
mv dockerd.service /etc/systemd/system
systemctl enable --now --quiet dockerd
until docker version &> /dev/null; do sleep 1; done
podman save --quiet --multi-image-archive {images} | docker load
"""
_SETUP = """\
image=$(podman pull --quiet oci:{work}/layout)
podman tag $image {image} localhost/synapse-worker:latest
podman build --quiet --tag {new_image} - <<< 'FROM {image}'
mkdir -p {pair} {programs}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 \
  -subj /CN=example.com -addext subjectAltName=DNS:example.com,DNS:matrix.example.com \
  -keyout {pair}/privkey.pem -out {pair}/fullchain.pem
rm -r layout
"""


def run_commands(
    machine: Machine,
    script: str,
    *,
    seconds: int = 300,
    environ: Mapping[str, str] = {},
    as_user: bool = False,
) -> str:
    """Run commands of the documentation; return their standard output.

    Args:
        machine: the machine.
        script: the commands.
        seconds: how long they may take.
        environ: more variables.
        as_user: whether `testbed.logins.USER` runs them, after a login, instead of root.

    Raises:
        AssertionError: if one fails, or they take longer than ``seconds``.
    """
    variables = {**ENVIRON, **environ}
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    whole = logged_in(exports + script) if as_user else exports + script
    done = machine.run(whole, seconds=seconds)
    print(f"{script}{done.stdout}{done.stderr}", flush=True)
    return done.stdout


def _imitate_docker(machine: Machine) -> None:
    """Make a `docker` of podman and podman-compose."""
    (machine.work / "docker").write_text(_DOCKER.replace("{programs}", PROGRAMS))
    compose = find_spec("podman_compose")
    assert compose is not None
    shutil.copy(str(compose.origin), machine.work)
    machine.run(_PODMAN_SETUP.format(programs=PROGRAMS))


def _start_docker(machine: Machine) -> None:
    """Start Docker with the same images."""
    names = Images()
    (machine.work / "dockerd.service").write_text(_DOCKER_UNIT)
    images = (IMAGE, NEW_IMAGE, names.postgres_image, names.redis_image, names.proxy_image)
    machine.run(_DOCKER_SETUP.format(programs=PROGRAMS, images=" ".join(images)))


@contextmanager
def engine_machine(
    services_root: Path,
    layout: Path,
    folder: Path,
    engine: str = "podman",
    address: str = ADDRESS,
    beside: Machine | None = None,
) -> Iterator[Machine]:
    """Run a machine with images, `docker`, and a certificate for example.com.

    Args:
        services_root: the unpacked packages.
        layout: the OCI layout of this image.
        folder: an empty folder.
        engine: what `docker` is, either ``podman`` or ``docker``.
        address: the IP address of the machine.
        beside: another machine, which also runs, to connect it to.

    Raises:
        StartError: if it does not start.
    """
    machine = Machine(services_root, folder, address)
    try:
        machine.start(beside)
        make_stand_ins(machine)
        subprocess.run(["cp", "-rL", layout, machine.work / "layout"], check=True)
        machine.run(
            _SETUP.format(
                work=WORK, image=IMAGE, new_image=NEW_IMAGE, pair=_PAIR, programs=PROGRAMS
            )
        )
        if engine == "docker":
            _start_docker(machine)
        else:
            _imitate_docker(machine)
        yield machine
        print(machine.run(f"{engine} ps --all", check=False).stdout)
        logs = f"for id in $({engine} ps -aq); do {engine} logs --tail 8 $id 2>&1; done"
        print(machine.run(logs, check=False).stdout)
    finally:
        machine.kill()
