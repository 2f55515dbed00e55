"""Compiles a Go program inside the build root, using only pinned modules."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

# A fixed path, although -trimpath keeps paths out of the program.
_BUILD = Path("/tmp/build")


def run(command: list[str], environ: dict[str, str]) -> str:
    """Run ``command`` in the source folder and return its output; if it fails, exit with code 1."""
    done = subprocess.run(
        command,
        cwd=_BUILD / "source",
        env=environ,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}error: {' '.join(command[:2])} fails: see its own lines above")
    return done.stdout


def main(argv: list[str]) -> int:
    """Compile the program; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", type=Path, required=True, help="go.sum; `cache` lies beside")
    parser.add_argument("--output", type=Path, required=True, help="the program")
    parser.add_argument("--source", type=Path, action="append", default=[])
    parser.add_argument("--vet", action="store_true", help="also run go vet")
    options = parser.parse_args(argv)
    source = _BUILD / "source"
    source.mkdir(parents=True)
    for path in options.source:
        shutil.copyfile(path, source / path.name)
    (root,) = Path("/usr/lib").glob("go-*")
    go, gofmt = str(root / "bin/go"), str(root / "bin/gofmt")
    environ = dict(os.environ) | {
        "CGO_ENABLED": "0",
        "GOAMD64": "v1",
        "GOARCH": "amd64",
        "GOCACHE": str(_BUILD / "cache"),
        "GOENV": "off",
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
        "GOMODCACHE": str(options.modules.resolve().parent / "cache"),
        "GOOS": "linux",
        "GOPROXY": "off",
        "GOSUMDB": "off",
        "GOTOOLCHAIN": "local",
    }
    unformatted = run([gofmt, "-l", "."], environ)
    if unformatted:
        sys.exit(f"error: gofmt would change {', '.join(unformatted.split())}")
    program = str(_BUILD / "program")
    run([go, "build", "-ldflags=-s -w -buildid=", "-o", program, "."], environ)
    if options.vet:
        run([go, "vet", "."], environ)
    shutil.copyfile(program, options.output)
    options.output.chmod(0o755)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
