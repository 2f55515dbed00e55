"""Fetches the Go modules that a go.mod names, with the pinned Go of an unpacked root.

Go uses the module proxy that is configured on this machine, and checks each module against go.sum.
Uses only the standard library, because the repository rule runs it before anything else is fetched.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from repositories.addresses import redacted
from repositories.git_client import without_git

# The variables that say where modules come from (https://go.dev/ref/mod#environment-variables).
_ALLOWED = ("GOAUTH", "GOENV", "GOINSECURE", "GONOPROXY", "GOPRIVATE", "GOPROXY", "GOVCS")


class ModulesError(Exception):
    """The modules cannot be fetched; the message has Go's explanation."""


def go_program(root: Path) -> Path:
    """Return the path of the go command in ``root``, which needs no libraries."""
    (program,) = root.glob("usr/lib/go-*/bin/go")
    return program


def go_environ(environ: Mapping[str, str], cache: Path, scratch: Path) -> dict[str, str]:
    """Return the environment variables of a go command that only fetches modules.

    Args:
        environ: the caller's environment, whose settings about servers are kept.
        cache: the folder for the modules.
        scratch: a folder for everything else that Go writes, such as its telemetry.
    """
    kept = {
        name: value
        for name, value in without_git(environ).items()
        if not name.startswith("GO") or name in _ALLOWED
    }
    config = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "/"), ".config"))
    return {
        # The user's own settings, which `go env -w` writes.
        "GOENV": str(Path(config, "go/env")),
        **kept,
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GOMODCACHE": str(cache.absolute()),
        "GOPATH": str(scratch),
        # What is fetched must be in go.sum already, so no server is asked for hashes.
        "GOSUMDB": "off",
        "GOTOOLCHAIN": "local",
        "XDG_CONFIG_HOME": str(scratch),
    }


def _values(text: str) -> Iterator[dict[str, Any]]:
    """Yield each value of a stream of JSON objects."""
    decoder = json.JSONDecoder()
    text = text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:].strip()


def fetch_modules(root: Path, module: Path, cache: Path) -> dict[str, Path]:
    """Fetch the modules that ``module/go.mod`` requires into ``cache``.

    Args:
        root: the unpacked root with Go.
        module: the folder with go.mod and go.sum.
        cache: the folder to create, in the layout of GOMODCACHE.

    Returns:
        The folder of each module by its path.

    Raises:
        ModulesError: if a module is not available, or go.sum does not have its hash.
    """
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [go_program(root), "mod", "download", "-json"],
            cwd=module,
            env=go_environ(os.environ, cache, Path(scratch)),
            text=True,
            capture_output=True,
            check=False,
        )
    modules = list(_values(done.stdout))
    reasons = [done.stderr] if done.returncode else []
    reasons += [f"{one['Path']}: {one['Error']}" for one in modules if one.get("Error")]
    if reasons:
        raise ModulesError(redacted(f"go mod download: {' '.join(' '.join(reasons).split())}"))
    known = (module / "go.sum").read_text().splitlines()
    for one in modules:
        # Go itself would accept a module that go.sum does not mention.
        if f"{one['Path']} {one['Version']} {one['Sum']}" not in known:
            raise ModulesError(f"go.sum has no hash of {one['Path']} {one['Version']}")
    return {one["Path"]: Path(one["Dir"]) for one in modules}


def _copy(folders: Mapping[str, Path], wish: str, target: Path) -> None:
    """Copy the files that ``MODULE:PATTERN`` names into ``target``."""
    path, _, pattern = wish.partition(":")
    files = sorted(folders[path].glob(pattern)) if path in folders else []
    if not files:
        raise ModulesError(f"--copy={wish}: there is no such file in the modules")
    for file in files:
        shutil.copyfile(file, target / file.name)


def main(argv: Sequence[str]) -> int:
    """Fetch the modules according to the arguments; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the unpacked root with Go")
    parser.add_argument("--module", type=Path, required=True, help="the folder with go.mod")
    parser.add_argument("--cache", type=Path, required=True, help="the folder that is made")
    parser.add_argument("--files", type=Path, help="the folder that is made for --copy")
    parser.add_argument("--copy", action="append", default=[], metavar="MODULE:PATTERN")
    options = parser.parse_args(argv)
    try:
        folders = fetch_modules(options.root, options.module, options.cache)
        if options.files:
            options.files.mkdir()
        for wish in options.copy:
            _copy(folders, wish, options.files)
    except ModulesError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    # The archives: go build reads the unpacked files.
    for archive in options.cache.glob("cache/download/**/*.zip"):
        archive.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
