"""Resolves lists of Debian packages with apt's own solver and writes their locks."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from pinning.errors import PinError
from pinning.files import write_atomically

SUITES = ("bookworm", "trixie")
ARCHITECTURES = ("amd64", "arm64")
LISTS = ("build", "go", "runtime", "services")
# The lists that only one suite has.
_ONLY_IN = {"go": "trixie"}
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_MADE_BY = "Made by: ./bazelw run pin -- debian"


def private_apt(
    folder: Path, mirrors: Mapping[str, str], suite: str, architecture: str
) -> dict[str, str]:
    """Configure apt in ``folder`` for ``suite`` only, with nothing installed.

    Returns:
        The environment variables that make apt use this configuration.
    """
    for name in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    option = f"[arch={architecture} signed-by={_KEYRING}]"
    (folder / "etc/sources.list").write_text(
        f"deb {option} {mirrors['debian']} {suite} main\n"
        f"deb {option} {mirrors['debian']} {suite}-updates main\n"
        f"deb {option} {mirrors['debian-security']} {suite}-security main\n"
    )
    settings = {
        "Dir::State": folder / "state",
        "Dir::Cache": folder / "cache",
        "Dir::Etc": folder / "etc",
        "Dir::State::status": folder / "status",
        "APT::Architecture": architecture,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Check-Valid-Until": "false",  # A frozen mirror's Release file has expired.
        "Acquire::Languages": "none",
    }
    config = folder / "apt.conf"
    lines = [f'{name} "{value}";\n' for name, value in settings.items()]
    config.write_text("".join([*lines, f'APT::Architectures {{"{architecture}";}};\n']))
    return {**os.environ, "APT_CONFIG": str(config), "LC_ALL": "C.UTF-8"}


def _run(environ: dict[str, str], *command: str) -> str:
    done = subprocess.run(command, env=environ, text=True, capture_output=True, check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith(("E:", "W: Failed"))]
    if done.returncode or errors:
        words = errors or done.stderr.strip().splitlines() or ["no word of it"]
        raise PinError(f"{' '.join(command[:2])}: {words[0]}")
    return done.stdout


def resolve(environ: dict[str, str], wishes: Sequence[str]) -> list[str]:
    """Return ``package=version`` for each package in ``wishes`` and its dependencies, sorted."""
    plan = _run(environ, "apt-get", "install", "--simulate", "--yes", *wishes)
    packages = []
    for line in plan.splitlines():
        if line.startswith("Inst "):
            _, name, version, *_ = line.split()
            packages.append(f"{name.partition(':')[0]}={version.lstrip('(')}")
    return sorted(packages)


def entries(environ: dict[str, str], packages: Sequence[str]) -> list[dict[str, Any]]:
    """Return one lock entry per package: name, version, archive, pool path, size, and sha256.

    Raises:
        PinError: if apt does not describe every package with these.
    """
    listing = _run(environ, "apt-cache", "show", "--no-all-versions", *packages)
    result = []
    for paragraph in listing.split("\n\n"):
        # A paragraph's fields have the form of headers (deb-control(5)).
        fields = HeaderParser().parsestr(paragraph)
        if "Filename" not in fields:
            continue
        missing = [name for name in ("Package", "SHA256", "Size", "Version") if not fields[name]]
        if missing:
            raise PinError(f"apt describes {fields['Filename']} without {', '.join(missing)}")
        path = fields["Filename"]
        result.append(
            {
                "archive": "debian-security" if path.startswith("pool/updates/") else "debian",
                "name": fields["Package"],
                "path": path,
                "sha256": fields["SHA256"],
                "size": int(fields["Size"]),
                "version": fields["Version"],
            }
        )
    if len(result) != len(packages):
        raise PinError(f"{len(packages)} packages resolved, but apt describes {len(result)}")
    return sorted(result, key=lambda entry: str(entry["name"]))


def read_wishes(path: Path) -> list[str]:
    """Return the packages in a package list; ``#`` starts a comment."""
    lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    return [line for line in lines if line]


def moved(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each package that differs, security updates first."""
    before = {entry["name"]: entry for entry in old}
    after = {entry["name"]: entry for entry in new}
    lines = []
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was and now and was["sha256"] == now["sha256"]:
            continue
        versions = f"{was['version'] if was else 'new'} -> {now['version'] if now else 'gone'}"
        security = now is not None and now["archive"] == "debian-security"
        lines.append((not security, f"{name} {versions}{' (security)' if security else ''}"))
    return [line for _, line in sorted(lines)]


def lock_paths(workspace: Path) -> Iterator[tuple[str, str, str, Path]]:
    """Yield (suite, architecture, list, path of the lock) for every Debian lock."""
    for suite in SUITES:
        for architecture in ARCHITECTURES:
            for name in LISTS:
                if _ONLY_IN.get(name, suite) == suite:
                    folder = workspace / "config/debian" / suite
                    yield suite, architecture, name, folder / f"{name}.{architecture}.lock.json"


def _current(lock: Path, wishes: Sequence[str]) -> bool:
    return lock.exists() and json.loads(lock.read_text()).get("wishes") == wishes


def machine_mirrors() -> dict[str, str]:
    """Return the mirrors that bazelw found in the machine's own apt sources.

    Raises:
        PinError: if apt-get is not on PATH, or a mirror is not set.
    """
    if shutil.which("apt-get") is None:
        raise PinError("apt-get is not on PATH; debian mode has it: BAZELW_MODE=debian ./bazelw")
    names = {"debian": "DEBIAN_MIRROR", "debian-security": "DEBIAN_SECURITY_MIRROR"}
    mirrors = {archive: os.environ.get(name, "") for archive, name in names.items()}
    for archive, name in names.items():
        if not mirrors[archive]:
            raise PinError(f"{name} is not set; set it to the address of a mirror of {archive}")
    return mirrors


def lock_debian(workspace: Path, suites: Sequence[str], *, update: bool) -> None:
    """Write the locks of ``suites`` whose package lists changed; print the changed packages.

    Args:
        workspace: the repository's top folder.
        suites: the suites to lock.
        update: whether to write every lock, even if its package list has not changed.

    Raises:
        PinError: if apt cannot resolve a list; no lock is written in that case.
    """
    mirrors = machine_mirrors()
    texts: dict[Path, str] = {}
    for suite in suites:
        for architecture in ARCHITECTURES:
            paths = {
                name: path
                for where, what, name, path in lock_paths(workspace)
                if (where, what) == (suite, architecture)
            }
            wishes = {name: read_wishes(path.parent / f"{name}.in") for name, path in paths.items()}
            due = [name for name in paths if update or not _current(paths[name], wishes[name])]
            if not due:
                print(
                    f"{suite} {architecture}: the package lists have not changed; "
                    "--update updates the locks"
                )
                continue
            with tempfile.TemporaryDirectory() as scratch:
                environ = private_apt(Path(scratch), mirrors, suite, architecture)
                _run(environ, "apt-get", "update")
                for name in due:
                    path = paths[name]
                    old = json.loads(path.read_text())["packages"] if path.exists() else []
                    new = entries(environ, resolve(environ, wishes[name]))
                    print(f"{suite} {architecture} {name}: {len(new)} packages")
                    for line in moved(old, new) if path.exists() else []:
                        print(f"  {line}")
                    document = {
                        "//": _MADE_BY,
                        "architecture": architecture,
                        "packages": new,
                        "suite": suite,
                        "wishes": wishes[name],
                    }
                    texts[path] = json.dumps(document, indent=1) + "\n"
    write_atomically(texts)
