"""A Bazel of a test's own, with a workspace that has this project's repository rules."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

# Debian's Bazel does not include Java.
_JAVA = Path("/usr/lib/jvm/default-java")


class NestedBazel:
    """A workspace and its Bazel server, which serves all tests of a file.

    Starting a server takes longer than a fetch.

    Attributes:
        workspace: the folder of the workspace; a test writes its WORKSPACE file.
    """

    def __init__(self, folder: Path, rules: Iterable[Path]) -> None:
        """Create the workspace below ``folder``, with ``rules`` in its package //repositories."""
        self._folder, self.workspace = folder, folder / "workspace"
        self._started = False
        (self.workspace / "repositories").mkdir(parents=True)
        for rule in rules:
            shutil.copy(rule, self.workspace / "repositories")
        (self.workspace / "repositories/BUILD.bazel").touch()
        (self.workspace / "BUILD.bazel").touch()

    def fetch(
        self, repository: str, environ: Mapping[str, str], *more_flags: str
    ) -> subprocess.CompletedProcess[str]:
        """Fetch ``repository``, even if nothing has changed, in the environment ``environ``."""
        flags = ["--noenable_bzlmod", "--enable_workspace", "--lockfile_mode=off", "--color=no"]
        flags += ["--repository_cache=", *more_flags]
        return self._run(["sync", f"--only={repository}", *flags], environ)

    def external(self, repository: str) -> Path:
        """Return the folder of a fetched repository."""
        return self._folder / "output/external" / repository

    def stop(self) -> None:
        """Stop the server, if a fetch has started it."""
        if self._started:
            done = self._run(["shutdown"], os.environ)
            assert done.returncode == 0, done.stderr

    def _run(
        self, arguments: list[str], environ: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        self._started = True
        options = [f"--output_user_root={self._folder}", f"--output_base={self._folder}/output"]
        if _JAVA.exists():
            options.append(f"--server_javabase={_JAVA}")
        # No test is long enough for the JVM's second compiler to pay off.
        options += ["--nohome_rc", "--host_jvm_args=-XX:TieredStopAtLevel=1"]
        return subprocess.run(
            ["bazel", *options, *arguments],
            cwd=self.workspace,
            env=environ,
            text=True,
            capture_output=True,
            check=False,
            timeout=300,
        )
