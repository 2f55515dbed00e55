"""A machine with systemd and podman, from pinned Debian packages and in namespaces of its own.

Root is needed: podman gives the files of a container to many users.
"""

import os
import re
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from sandbox.bwrap import Sandbox, program, read_only, symlinks, system_bwrap, tmpfs, writable
from testbed.processes import Process

ADDRESS = "192.0.2.1"  # Of a machine that is alone, in its own network (RFC 5737).
WORK = "/srv"  # Its folder for the files of an administrator.
_PATH = "/usr/local/bin:/usr/sbin:/usr/bin"
# The units that sysinit.target wants set up a machine: they mount file systems of the kernel, load
# modules, and write to sysctl and /dev, all of which are also those of the real machine.  Of these
# units, only the following write nothing but their own files.
_HARMLESS = ("systemd-journald.service", "systemd-tmpfiles-setup.service")
_ADDED = ("systemd-remount-fs.service",)  # A generator may add it to what systemd starts.
# What a program needs to open a session, in which systemd then starts the services of its user.
_PAM = {
    "account": "account required pam_permit.so\n",
    "auth": "auth required pam_deny.so\n",
    "password": "password required pam_deny.so\n",
    "session": "session required pam_permit.so\nsession optional pam_systemd.so\n",
    "session-noninteractive": "session required pam_permit.so\n",
}
_FILES = {
    "containers/containers.conf": (
        "[containers]\n"
        'default_ulimits = ["nofile=20000:20000", "nproc=4000:4000"]\n'
        "pids_limit = 0\n"  # A machine's processes may be in a group without this controller.
        "[engine]\n"
        'cgroup_manager = "cgroupfs"\n'
        'events_logger = "file"\n'
    ),
    "containers/policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}\n',
    "group": "root:x:0:\nmessagebus:x:101:\nsystemd-journal:x:102:\n",
    "machine-id": "0" * 31 + "1\n",
    "passwd": "root:x:0:0::/root:/usr/bin/bash\nmessagebus:x:101:101::/:/usr/sbin/nologin\n",
    "resolv.conf": "",
    **{f"pam.d/common-{name}": lines for name, lines in _PAM.items()},
}
# systemd needs the kernel's files of its own network. Users without privileges need programs with
# the set-user-ID bit, which give them more user IDs, and a device for their networks. The packages
# are unpacked without such bits, and neither has an effect in what bwrap has mounted.
_PREPARE = """\
mount -t sysfs sysfs /sys
mkdir /groups
mount -t cgroup2 cgroup2 /groups
ip link set lo up
ip address add {address}/32 dev lo
mkdir /special /dev/net
mount -t tmpfs tmpfs /special
for name in newuidmap newgidmap; do
  install -m 4755 /usr/bin/$name /special
  mount --bind /special/$name /usr/bin/$name
done
mknod -m 666 /special/tun c 10 200
touch /dev/net/tun
mount --bind /special/tun /dev/net/tun
exec sleep infinity
"""
_CONNECTED = """\
ip address replace {address}/24 dev eth0
ip link set eth0 up
ip address delete {address}/32 dev lo 2> /dev/null || true
"""
_START_SECONDS = 240  # Including the services that an administrator has enabled.
# systemd, in a control group of its own, in which there is nothing from an earlier start. It can
# give controllers to groups below only if no process is in the group itself, so the parent that
# waits for systemd is in one of them.
_INIT = """\
export group=$(mktemp -d "/groups$(sed -n s/^0:://p /proc/self/cgroup)/machine-XXXXXX")
echo $$ > $group/cgroup.procs
exec unshare --cgroup bash -euc '
  mkdir $group/parent
  echo $$ > $group/parent/cgroup.procs
  exec unshare --pid --fork --kill-child --mount-proc --propagation shared bash -euc "
    echo 0 > $group/cgroup.procs
    umount /groups
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    unset group
    exec /usr/lib/systemd/systemd --unit=multi-user.target --log-target=null"'
"""
_NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--root", "--wd")


class Machine:
    """A machine with systemd as process 1.

    It can be started again after `kill`, like a machine that lost its power: /etc, /home, /root,
    /var/lib and ``WORK`` keep their files.

    Attributes:
        address: its IP address.
        work: the folder that is ``WORK`` on the machine.
    """

    def __init__(self, services_root: Path, folder: Path, address: str = ADDRESS) -> None:
        """Prepare a machine.

        Args:
            services_root: the unpacked packages.
            folder: an empty folder for its files.
            address: its IP address, below 192.0.2.0/24.

        Raises:
            MissingProgramError: if bwrap, nsenter or setpriv is not installed.
        """
        self.address = address
        self.work = folder / "work"
        etc, home, root, lib = (folder / name for name in ("etc", "home", "root", "lib"))
        for path in (self.work, home, lib, etc / "containers", etc / "systemd/system"):
            path.mkdir(parents=True)
        root.mkdir(mode=0o700)
        for name in ("dbus-1", "ssh", "ssl", "pam.d", "security", "systemd"):
            source = services_root / "etc" / name
            if source.is_dir():
                shutil.copytree(source, etc / name, symlinks=True, dirs_exist_ok=True)
        for name, text in _FILES.items():
            (etc / name).write_text(text)
        (etc / "hosts").write_text(
            f"127.0.0.1 localhost\n{ADDRESS} example.com matrix.example.com\n"
        )
        wanted = services_root / "usr/lib/systemd/system/sysinit.target.wants"
        masked = {unit.name for unit in wanted.iterdir()}.difference(_HARMLESS)
        for name in masked.union(_ADDED):
            (etc / "systemd/system" / name).symlink_to("/dev/null")
        self._nsenter = program("nsenter", "util-linux")
        sandbox = Sandbox(
            bwrap=(system_bwrap(),),
            mounts=(
                read_only(services_root / "usr", "/usr"),
                *symlinks(services_root),
                writable(etc, "/etc"),
                tmpfs("/run"),
                tmpfs("/tmp"),
                writable(root, "/root"),
                writable(home, "/home"),
                ("--dir", "/var/tmp"),
                ("--symlink", "../run", "/var/run"),
                writable(lib, "/var/lib"),
                writable(self.work, WORK),
                ("--proc", "/proc"),
                ("--dev", "/dev"),
                ("--bind", "/sys", "/sys"),
            ),
            unshare=("net", "ipc", "uts"),
            capabilities=("ALL",),
            environ={"PATH": _PATH},
            hostname="machine",
        )
        prepare = _PREPARE.format(address=address)
        self._log = folder / "machine.log"
        # It keeps the namespaces. No program that bwrap starts can get more rights, as newuidmap
        # must, so systemd is started beside it.
        self._namespaces = Process(
            "namespaces", sandbox.command("/usr/bin/bash", "-euc", prepare), self._log
        )
        self._process = self._namespaces
        self._setpriv = program("setpriv", "util-linux")

    def start(self, beside: "Machine | None" = None) -> None:
        """Start it; return once systemd has started everything.

        Args:
            beside: another machine, which also runs, to connect it to by a cable.

        Raises:
            StartError: if it does not start.
        """
        self._namespaces.start()
        self._namespaces.wait_until(lambda: self._comm() == "sleep")
        if beside is not None:
            self._connect(beside)
        self._process = Process(
            "machine",
            [
                *(self._setpriv, "--pdeathsig", "KILL"),
                *(*self._enter(), "/usr/bin/env", "-i", f"PATH={_PATH}", "container=test"),
                *("/usr/bin/bash", "-euc", _INIT),
            ],
            self._log,
        )
        self._process.start()
        self._process.wait_until(
            lambda: self.run("systemctl is-system-running", check=False).stdout == "running\n",
            _START_SECONDS,
        )

    def _comm(self) -> str:
        return Path(f"/proc/{self._namespaces.pid}/comm").read_text().strip()

    def _enter(self) -> list[str]:
        """Return the command before one that is to run in the namespaces, without systemd."""
        return [self._nsenter, "--target", str(self._namespaces.pid), *_NAMESPACES, "--"]

    def _connect(self, other: "Machine") -> None:
        """Connect its network to that of another machine."""
        # The cable to a machine that was killed may still be there.
        script = "ip link delete eth0 2> /dev/null || true"
        subprocess.run([*other._enter(), "/usr/bin/bash", "-c", script], check=True)
        peer = str(other._namespaces.pid)
        add = ("/usr/bin/ip", "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", peer)
        subprocess.run([*self._enter(), *add], check=True)
        for one in (self, other):
            script = _CONNECTED.format(address=one.address)
            subprocess.run([*one._enter(), "/usr/bin/bash", "-euc", script], check=True)

    def run(
        self, script: str, *, seconds: int = 300, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of bash as root in ``WORK``; return its result.

        Raises:
            AssertionError: if it fails, or takes longer than ``seconds``, unless ``check`` is
                false; the message has its output.
        """
        command = [
            *(self._nsenter, "--target", str(self._process.pid), "--pid", "--cgroup"),
            *(*_NAMESPACES, "--"),
            *("/usr/bin/env", "-i", f"--chdir={WORK}", f"PATH={_PATH}", "HOME=/root"),
            *("LC_ALL=C.UTF-8", "/usr/bin/timeout", str(seconds)),
            *("/usr/bin/bash", "-euo", "pipefail", "-c", script),
        ]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, text=True, capture_output=True, check=False
        )
        if check:
            assert done.returncode == 0, (
                f"exit code {done.returncode} (124: not done after {seconds} s)\n{script}\n"
                f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
            )
        return done

    def kill(self) -> None:
        """End it with everything that runs on it."""
        if self._process is not self._namespaces and self._process.running:
            group = self._group()
            self._process.kill()
            # Its last processes may still be ending.
            deadline = time.monotonic() + 10
            while group.exists() and time.monotonic() < deadline:
                for folder, _, _ in os.walk(group, topdown=False):
                    with suppress(OSError):
                        os.rmdir(folder)
        if self._namespaces.running:
            self._namespaces.kill()

    def _group(self) -> Path:
        """Return the folder of the control group of systemd and everything that it started."""
        lines = Path(f"/proc/{self._process.pid}/cgroup").read_text()
        match = re.search(r"^0::(.*/machine-\w+)", lines, re.MULTILINE)
        assert match, lines
        return Path(f"/proc/{self._namespaces.pid}/root/groups{match[1]}")
