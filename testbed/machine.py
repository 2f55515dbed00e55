"""A machine with systemd and podman, from pinned Debian packages and in namespaces of its own.

Root is needed: podman gives the files of a container to many users.
"""

import shutil
import subprocess
from pathlib import Path

from sandbox.bwrap import Sandbox, program, read_only, symlinks, system_bwrap, tmpfs, writable
from testbed.processes import Process

ADDRESS = "192.0.2.1"  # Of this machine, in its own network (RFC 5737).
WORK = "/srv"  # Its folder for the files of an administrator.
_PATH = "/usr/local/bin:/usr/sbin:/usr/bin"
# The units that sysinit.target wants set up a machine: they mount file systems of the kernel, load
# modules, and write to sysctl and /dev, all of which are also those of the real machine.  Of these
# units, only the following write nothing but their own files.
_HARMLESS = ("systemd-journald.service", "systemd-tmpfiles-setup.service")
_ADDED = ("systemd-remount-fs.service",)  # A generator may add it to what systemd starts.
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
    "hosts": f"127.0.0.1 localhost\n{ADDRESS} example.com matrix.example.com\n",
    "machine-id": "0" * 31 + "1\n",
    "passwd": "root:x:0:0::/root:/usr/bin/bash\nmessagebus:x:101:101::/:/usr/sbin/nologin\n",
    "resolv.conf": "",
}
# systemd needs the kernel's files of its own network and of its own group of processes.
_INIT = """\
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
ip address add {address}/32 dev lo
exec /usr/lib/systemd/systemd --unit=multi-user.target --log-target=null
"""


class Machine:
    """A machine with systemd as process 1.

    Attributes:
        work: the folder that is ``WORK`` on the machine.
    """

    def __init__(self, services_root: Path, folder: Path) -> None:
        """Prepare a machine.

        Args:
            services_root: the unpacked packages.
            folder: an empty folder for its files.

        Raises:
            MissingProgramError: if bwrap or nsenter is not installed.
        """
        self.work = folder / "work"
        etc, containers = folder / "etc", folder / "containers"
        for path in (self.work, containers, etc / "containers", etc / "systemd/system"):
            path.mkdir(parents=True)
        for name in ("dbus-1", "ssl", "pam.d", "systemd"):
            source = services_root / "etc" / name
            if source.is_dir():
                shutil.copytree(source, etc / name, symlinks=True, dirs_exist_ok=True)
        for name, text in _FILES.items():
            (etc / name).write_text(text)
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
                tmpfs("/root"),
                ("--dir", "/var/tmp"),
                ("--symlink", "../run", "/var/run"),
                writable(containers, "/var/lib/containers"),
                writable(self.work, WORK),
                ("--proc", "/proc"),
                ("--dev", "/dev"),
                ("--bind", "/sys", "/sys"),
            ),
            unshare=("pid", "net", "ipc", "uts", "cgroup"),
            capabilities=("ALL",),
            environ={"PATH": _PATH, "container": "test"},
            hostname="machine",
            first=True,
        )
        init = _INIT.format(address=ADDRESS)
        self._process = Process(
            "machine", sandbox.command("/usr/bin/bash", "-euc", init), folder / "machine.log"
        )

    def start(self) -> None:
        """Start it; return once systemd has started everything.

        Raises:
            StartError: if it does not.
        """
        self._process.start()
        self._process.wait_until(
            lambda: self.run("systemctl is-system-running", check=False).stdout == "running\n"
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
            *(self._nsenter, "--target", str(self._process.pid), "--mount", "--uts", "--ipc"),
            *("--net", "--pid", "--cgroup", "--root", "--wd", "--"),
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
        if self._process.running:
            self._process.kill()
