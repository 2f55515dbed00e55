"""Resolves a wish list of Debian packages with apt's own solver and writes its lock."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SUITE = "trixie"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def private_apt(folder: Path, mirror: str, security: str, architecture: str) -> dict[str, str]:
    """Return an environment in which apt knows only ``SUITE`` and nothing is installed."""
    for name in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    option = f"[arch={architecture} signed-by={_KEYRING}]"
    (folder / "etc/sources.list").write_text(
        f"deb {option} {mirror} {SUITE} main\n"
        f"deb {option} {mirror} {SUITE}-updates main\n"
        f"deb {option} {security} {SUITE}-security main\n"
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
    }
    config = folder / "apt.conf"
    lines = [f'{name} "{value}";\n' for name, value in settings.items()]
    config.write_text("".join([*lines, f'APT::Architectures {{"{architecture}";}};\n']))
    return {**os.environ, "APT_CONFIG": str(config), "LC_ALL": "C.UTF-8"}


def _run(environ: dict[str, str], *command: str) -> str:
    done = subprocess.run(command, env=environ, text=True, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"error: {' '.join(command[:2])}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def resolve(environ: dict[str, str], wishes: list[str]) -> list[str]:
    """Return ``package=version`` for everything that ``wishes`` need, wishes included."""
    plan = _run(environ, "apt-get", "install", "--simulate", "--yes", *wishes)
    found = []
    for line in plan.splitlines():
        if line.startswith("Inst "):
            _, name, version, *_ = line.split()
            found.append(f"{name.partition(':')[0]}={version.lstrip('(')}")
    return sorted(found)


def entries(environ: dict[str, str], packages: list[str]) -> list[dict[str, Any]]:
    """Return one lock entry per package: name, version, archive, pool path, size and sha256."""
    listing = _run(environ, "apt-cache", "show", "--no-all-versions", *packages)
    result = []
    for paragraph in listing.split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in paragraph.splitlines()
            if ": " in line and not line.startswith(" ")
        )
        if "Filename" not in fields:
            continue
        path = fields["Filename"]
        security = path.startswith("pool/updates/")
        result.append(
            {
                "archive": "debian-security" if security else "debian",
                "name": fields["Package"],
                "path": path,
                "sha256": fields["SHA256"],
                "size": int(fields["Size"]),
                "version": fields["Version"],
            }
        )
    if len(result) != len(packages):
        sys.exit(f"error: {len(packages)} packages resolved, {len(result)} described by apt")
    return sorted(result, key=lambda entry: str(entry["name"]))


def main(argv: list[str]) -> int:
    """Write ``LIST.lock.json`` beside each wish list ``LIST.in``; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", default="amd64")
    parser.add_argument("--mirror", default=os.environ.get("DEBIAN_MIRROR"))
    parser.add_argument("--security-mirror", default=os.environ.get("DEBIAN_SECURITY_MIRROR"))
    parser.add_argument("lists", nargs="+", help="wish lists: config/debian/NAME.in")
    options = parser.parse_args(argv)
    if not options.mirror or not options.security_mirror:
        sys.exit("error: no Debian mirror: set DEBIAN_MIRROR and DEBIAN_SECURITY_MIRROR")
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
    with tempfile.TemporaryDirectory() as scratch:
        environ = private_apt(
            Path(scratch), options.mirror, options.security_mirror, options.architecture
        )
        print("reading package lists", file=sys.stderr)
        _run(environ, "apt-get", "update")
        for name in options.lists:
            source = workspace / name
            wishes = [line for line in source.read_text().split("\n") if line and line[0] != "#"]
            lock = {
                "//": f"Made by: ./bazelw run //tools:lock_debian -- {name}",
                "architecture": options.architecture,
                "packages": entries(environ, resolve(environ, wishes)),
                "suite": SUITE,
            }
            target = source.with_suffix(".lock.json")
            target.write_text(json.dumps(lock, indent=1) + "\n")
            print(f"{target.name}: {len(lock['packages'])} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
