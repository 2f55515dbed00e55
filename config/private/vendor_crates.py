"""Vendors the crates that a source's Cargo.lock names, with the pinned cargo of a build root.

cargo asks the registry that it knows on this machine, and checks each crate against the lock.
Standard library alone: the repository rule runs it before anything else is fetched, and so does
the tool that checks pins.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from config.private.addresses import redacted
from config.private.git_client import without_git

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


class CratesError(Exception):
    """The crates cannot be had; the message has cargo's own words."""


def authorities(environ: Mapping[str, str]) -> str:
    """Return the bundle of certificate authorities of this machine, a proxy's own among them.

    Raises:
        CratesError: when there is none.
    """
    for path in (environ.get("SSL_CERT_FILE", ""), *_BUNDLES):
        if path and Path(path).exists():
            return path
    raise CratesError("no bundle of certificate authorities; set SSL_CERT_FILE to the path of one")


def cargo(root: Path) -> list[str]:
    """Return the command line of the cargo of the unpacked build root ``root``."""
    libraries = root / _LIBRARIES
    loader = [libraries / "ld-linux-x86-64.so.2", "--library-path", libraries]
    return [str(word) for word in (*loader, root / "usr/bin/cargo")]


def vendor(root: Path, source: Path, target: Path) -> None:
    """Vendor into ``target`` what the Cargo.lock of ``source`` names, fetched anew.

    Args:
        root: the unpacked build root, which has cargo.
        source: the top folder of the source.
        target: the folder that is made.

    Raises:
        CratesError: when a crate is lost or is not what the lock says.
    """
    command = [*cargo(root), "vendor", "--locked", "--quiet", "--versioned-dirs"]
    # Otherwise it would pass over the mirror that the user's configuration names.
    command += ["--respect-source-config"]
    with tempfile.TemporaryDirectory() as home:
        # A home of our own, so that nothing of an earlier fetch answers and nothing is written
        # into the user's; its configuration is read.
        for name in ("config.toml", "config"):
            config = Path(os.environ.get("HOME", "/"), ".cargo", name)
            if config.exists():
                Path(home, name).symlink_to(config)
        environ = {**without_git(os.environ), "CARGO_HOME": home}
        environ["CARGO_HTTP_CAINFO"] = authorities(os.environ)
        done = subprocess.run(
            [
                *command,
                "--manifest-path",
                str(source.absolute() / "Cargo.toml"),
                str(target.absolute()),
            ],
            # Not in the source, whose own .cargo/config.toml could name programs to run.
            cwd="/",
            env=environ,
            text=True,
            capture_output=True,
            check=False,
        )
    if done.returncode:
        raise CratesError(redacted(f"cargo vendor: {_words(done.stderr)}"))


def _words(stderr: str) -> str:
    """Return cargo's causes in one line, the last of which is the reason."""
    lines = [line.strip() for line in stderr.splitlines()]
    causes = [line for line in lines if line and line != "Caused by:"]
    return "; ".join(causes).removeprefix("error: ") or "cargo said nothing"


def main(argv: list[str]) -> int:
    """Vendor as the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the unpacked build root")
    parser.add_argument("--source", type=Path, required=True, help="the source's top folder")
    parser.add_argument("--target", type=Path, required=True, help="the folder that is made")
    options = parser.parse_args(argv)
    try:
        vendor(options.root, options.source, options.target)
    except CratesError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
