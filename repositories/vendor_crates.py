"""Vendors the crates in a source's Cargo.lock, with the pinned cargo of a build root.

cargo uses the registry that is configured on this machine, and checks each crate against the lock.
Uses only the standard library, because the repository rule runs it before anything else is fetched.
The tool that checks pins uses it too.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from repositories.addresses import redacted
from repositories.git_client import without_git

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


class CratesError(Exception):
    """The crates cannot be fetched; the message has cargo's explanation."""


def authorities(environ: Mapping[str, str]) -> str:
    """Return the path of this machine's CA bundle, which includes the CA of a proxy, if any.

    Raises:
        CratesError: if there is none.
    """
    for path in (environ.get("SSL_CERT_FILE", ""), *_BUNDLES):
        if path and Path(path).exists():
            return path
    raise CratesError("no bundle of certificate authorities; set SSL_CERT_FILE to the path of one")


def cargo(root: Path) -> list[str]:
    """Return the command line of cargo in the unpacked build root ``root``."""
    libraries = root / _LIBRARIES
    loader = [libraries / "ld-linux-x86-64.so.2", "--library-path", libraries]
    return [str(word) for word in (*loader, root / "usr/bin/cargo")]


def vendor(root: Path, source: Path, target: Path) -> None:
    """Fetch the crates in the Cargo.lock of ``source`` into ``target``, without using a cache.

    Args:
        root: the unpacked build root, which contains cargo.
        source: the top folder of the source.
        target: the folder to create.

    Raises:
        CratesError: if a crate is not available or does not match the lock.
    """
    command = [*cargo(root), "vendor", "--locked", "--quiet", "--versioned-dirs"]
    # Otherwise cargo would ignore the mirror in the user's configuration.
    command += ["--respect-source-config"]
    with tempfile.TemporaryDirectory() as home:
        # A temporary home, so that cargo neither uses earlier fetches nor writes to the user's
        # home. The user's configuration is still read.
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
    """Return cargo's error and its causes on one line; the last one is the actual reason."""
    lines = [line.strip() for line in stderr.splitlines()]
    causes = [line for line in lines if line and line != "Caused by:"]
    return "; ".join(causes).removeprefix("error: ") or "cargo printed nothing"


def main(argv: list[str]) -> int:
    """Vendor the crates according to the arguments; return the exit code."""
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
