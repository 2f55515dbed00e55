"""A machine with systemd and podman, from pinned Debian packages and in namespaces of its own.

Root is needed: podman gives the files of a container to many users.
"""

import shutil
import subprocess
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
# systemd needs the kernel's files of its own network and of its own group of processes. Users
# without privileges need programs with the set-user-ID bit, which give them more user IDs, and a
# device for their networks; the packages are unpacked without such bits, and neither has an effect
# where bwrap has mounted it.
_PREPARE = """\
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
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
_INIT = ("/usr/lib/systemd/systemd", "--unit=multi-user.target", "--log-target=null")
_NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--cgroup", "--root", "--wd")


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
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n{ADDRESS} example.com\n")
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
            unshare=("net", "ipc", "uts", "cgroup"),
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

    def start(self) -> None:
        """Start it; return once systemd has started everything.

        Raises:
            StartError: if it does not.
        """
        self._namespaces.start()
        self._namespaces.wait_until(lambda: self._comm() == "sleep")
        self._process = Process(
            "machine",
            [
                *(self._setpriv, "--pdeathsig", "KILL"),
                *(self._nsenter, "--target", str(self._namespaces.pid), *_NAMESPACES, "--"),
                *("/usr/bin/env", "-i", f"PATH={_PATH}", "container=test"),
                *("/usr/bin/unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
                *("--propagation", "shared", *_INIT),
            ],
            self._log,
        )
        self._process.start()
        self._process.wait_until(
            lambda: self.run("systemctl is-system-running", check=False).stdout == "running\n"
        )

    def _comm(self) -> str:
        return Path(f"/proc/{self._namespaces.pid}/comm").read_text().strip()

    def join(self, other: "Machine") -> None:
        """Connect its network to that of another machine, which also runs, by a cable."""
        inside = [self._nsenter, "--target", str(self._namespaces.pid), *_NAMESPACES, "--"]
        peer = str(other._namespaces.pid)
        add = ("/usr/bin/ip", "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", peer)
        subprocess.run([*inside, *add], check=True)
        for one in (self, other):
            one.run(
                f"ip address del {one.address}/32 dev lo\n"
                f"ip address add {one.address}/24 dev eth0\n"
                "ip link set eth0 up\n"
            )

    def run(
        self, script: str, *, seconds: int = 300, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of bash as root in ``WORK``; return its result.

        Raises:
            AssertionError: if it fails, or takes longer than ``seconds``, unless ``check`` is
                false; the message has its output.
        """
        command = [
            *(self._nsenter, "--target", str(self._process.pid), "--pid", *_NAMESPACES, "--"),
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
        for process in (self._process, self._namespaces):
            if process.running:
                process.kill()
