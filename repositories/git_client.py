"""Runs git, protected against unwanted effects of its arguments, environment, and configuration.

Uses only the standard library, because repository rules run it before anything is fetched.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from repositories.addresses import SCHEMES, SourceError, address_problem, shown

# The top folder in every archive, so that git and an sdist result in the same bytes.
TOP = "synapse"
# Far above the size of Synapse (40 MB). It stops a source that would unpack without end.
MOST_BYTES = 512 * 2**20
# The variables that users may need to reach a server. All others whose name starts with GIT_ are
# dropped: with an inherited GIT_DIR, fetching would write to the user's own repository, and
# GIT_TRACE_CURL would print what is sent (https://git-scm.com/docs/git#_environment_variables).
ALLOWED = (
    "GIT_ASKPASS",
    "GIT_HTTP_PROXY_AUTHMETHOD",
    "GIT_PROXY_COMMAND",
    "GIT_PROXY_SSL_CAINFO",
    "GIT_PROXY_SSL_CERT",
    "GIT_PROXY_SSL_KEY",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_SSL_CERT",
    "GIT_SSL_KEY",
)
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SETTINGS = (
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "core.eol=lf",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.version=2",
    "submodule.recurse=false",
    "tar.umask=0022",
)
_REFUSED = (
    "authentication failed",
    "could not read username",
    "could not read password",
    "permission denied (publickey",
    "terminal prompts disabled",
    "returned error: 401",
    "returned error: 403",
)
_ABSENT = (
    "does not appear to be a git repository",
    "does not exist",
    "not found",
    "not exported",
    "returned error: 404",
)


class GitFailedError(SourceError):
    """git ended with an error; the message is git's own reason."""


class CommitGoneError(SourceError):
    """The server no longer has a commit, because its branch was rewritten."""


def without_git(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` without git's variables, except those in `ALLOWED`."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith("GIT_") or name in ALLOWED
    }


def _environ(repository: Path | None, *, network: bool) -> dict[str, str]:
    environ = without_git(os.environ)
    environ |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    environ["GIT_ALLOW_PROTOCOL"] = ":".join(SCHEMES)
    # Keeps git from searching for a repository: a source may look like one, with its own settings.
    environ["GIT_DIR"] = str(repository or os.devnull)
    if network:
        # ssh must not ask a question: it would wait forever for an answer.
        if "GIT_SSH" not in environ:
            environ.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
    else:
        # The user's configuration is only needed to reach servers. Here it could change the files:
        # a source's attributes select filters, and the configuration defines their programs.
        environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        environ["GIT_NO_LAZY_FETCH"] = "1"
    return environ


def git(
    *arguments: str,
    repository: Path | None = None,
    folder: Path = Path("/"),
    network: bool = False,
) -> bytes:
    """Run git and return its standard output, at most `MOST_BYTES`.

    Args:
        arguments: the command and its options; values chosen by the user or a server must follow
            ``--``, so that git cannot interpret them as options.
        repository: the bare repository to work on, if any.
        folder: the working directory if there is no repository.
        network: whether the command contacts a server, and so needs the user's configuration.

    Raises:
        GitFailedError: if git fails; the message has git's reason.
        SourceError: if git is not on PATH, or its output is too large.
    """
    command = ["git"]
    for setting in _SETTINGS:
        command += ["-c", setting]
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                [*command, *arguments],
                cwd=repository or folder,
                env=_environ(repository, network=network),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        except FileNotFoundError:
            raise SourceError("git is not on PATH; install git") from None
        with process:
            assert process.stdout is not None
            try:
                output = process.stdout.read(MOST_BYTES + 1)
                if len(output) > MOST_BYTES:
                    raise SourceError(f"the source is larger than {MOST_BYTES >> 20} MiB")
            except BaseException:
                process.kill()
                raise
        errors.seek(0)
        words = errors.read(2**20).decode(errors="replace")
    if process.returncode:
        raise GitFailedError(_reason(words))
    return output


def _reason(stderr: str) -> str:
    """Return the line of git's standard error that has the reason."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or [
        "git printed nothing"
    ]
    for number, line in enumerate(lines):
        if line.startswith("fatal:"):
            # If the connection ended, git does not know why; ssh printed the reason just before.
            ended = "could not read from remote repository" in line.lower()
            return lines[number - 1] if ended and number else line
    return lines[-1]


def explain(address: str, words: str) -> str:
    """Return a one-line message for git's error ``words`` about ``address``."""
    low = words.lower()
    if any(part in low for part in _REFUSED):
        return (
            f"{address} asks for credentials; give git yours (a credential helper, ~/.netrc or an "
            "SSH key) and try again"
        )
    if "host key verification failed" in low:
        return (
            f"{address}: ssh does not know the host's key; connect once by hand, or put the key "
            "into ~/.ssh/known_hosts, and try again"
        )
    if any(part in low for part in _ABSENT) and "remote ref" not in low:
        return f"{address} is not a readable git repository; check its name ({words})"
    return f"{address} cannot be read: {words}"


def branch_problem(branch: str) -> str:
    """Return why ``branch`` is not a valid name of a branch, tag, or commit, or "" if it is.

    Follows git's own rules (https://git-scm.com/docs/git-check-ref-format).

    Raises:
        SourceError: if git is not on PATH.
    """
    if branch.startswith("-"):
        return "it begins with a hyphen; git would take it as an option"
    try:
        git("check-ref-format", f"refs/heads/{branch}")
    except GitFailedError:
        return "git allows no branch or tag of that name"
    return ""


def listed(address: str, *names: str) -> dict[str, str]:
    """Return the commits of refs on the server, by ref name.

    Args:
        address: the address of the repository.
        *names: the refs to look up; without any, all branches are returned.

    Raises:
        SourceError: if the server does not answer.
    """
    _check(address)
    arguments = ["ls-remote", *([] if names else ["--heads"]), "--", address, *names]
    try:
        lines = git(*arguments, network=True).decode(errors="replace").splitlines()
    except GitFailedError as error:
        raise SourceError(explain(address, str(error))) from None
    rows = [line.partition("\t") for line in lines]
    return {name: commit for commit, _, name in rows if COMMIT.fullmatch(commit)}


def _check(address: str, commit: str = "0" * 40) -> None:
    """Reject values that must not be passed to git, including those from an edited pin.json.

    Raises:
        SourceError: if the address or the commit is not valid.
    """
    problem = address_problem(address)
    if problem:
        raise SourceError(f"{shown(address)}: {problem}")
    if not COMMIT.fullmatch(commit):
        raise SourceError(f"{commit!r} is not a full commit hash")


def fetch_commit(folder: Path, address: str, commit: str, *options: str) -> None:
    """Fetch ``commit`` from ``address`` into a bare repository at ``folder``.

    Args:
        folder: the repository's folder, which is created if it does not exist.
        address: an address that `address_problem` allows.
        commit: the full hash of the commit.
        *options: options of ``git fetch``; without any, only this commit is fetched.

    Raises:
        CommitGoneError: if the server does not have the commit.
        SourceError: if the server does not answer.
    """
    _check(address, commit)
    folder.mkdir(parents=True, exist_ok=True)
    git("init", "--quiet", "--bare", "--template=", repository=folder)
    fetch = ["fetch", "--quiet", "--no-tags", *(options or ("--depth=1",)), "--", address, commit]
    try:
        git(*fetch, repository=folder, network=True)
    except GitFailedError as error:
        # git has no exit code for this; what it says depends on its version and the server's.
        low = str(error).lower()
        if "not our ref" in low or "couldn't find remote ref" in low or "unadvertised" in low:
            raise CommitGoneError(
                f"commit {commit} is not at {address} any more; the branch was rewritten"
            ) from None
        raise SourceError(explain(address, str(error))) from None


def git_archive(folder: Path, commit: str) -> tuple[str, bytes]:
    """Return the tree id of ``commit``, and its files as an uncompressed tar archive."""
    tree = git("rev-parse", "--verify", f"{commit}^{{tree}}", repository=folder).decode().strip()
    archive = git("archive", "--format=tar", f"--prefix={TOP}/", commit, repository=folder)
    return tree, archive


def commit_time(folder: Path, commit: str) -> int:
    """Return the committer date of ``commit``, in seconds since the epoch."""
    arguments = ["log", "--max-count=1", "--format=%ct", commit, "--"]
    return int(git(*arguments, repository=folder))
