"""Writes one layer: of Debian packages, of wheels, or of a Python program.

Runs in the build root, whose Python is the image's own.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from bytecode import add_bytecode
from debian import add_linker_cache, add_package, add_system, check
from tar_writer import Layer
from wheels import add_wheel

_PROGRAM = "usr/lib/synapse-worker"


def _debian(layer: Layer, options: argparse.Namespace) -> None:
    wanted = set(options.leave_out)
    seen = {add_package(layer, deb, wanted) for deb in options.deb}
    if wanted - seen:
        names = ", ".join(sorted(wanted - seen))
        raise ValueError(f"left out, but not in the lock: {names}; drop it from leave_out")
    add_system(layer)
    add_linker_cache(layer)
    check(layer)


def _wheels(layer: Layer, options: argparse.Namespace) -> None:
    for wheel in sorted(options.wheel):
        add_wheel(layer, wheel, scripts=options.scripts)


def _program(layer: Layer, options: argparse.Namespace) -> None:
    for placed in options.file:
        place, _, path = placed.partition("=")
        layer.file(f"{_PROGRAM}/{place}", Path(path).read_bytes(), path)


def main(argv: list[str]) -> int:
    """Write the layer; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layer", type=Path, required=True)
    kinds = parser.add_subparsers(required=True)
    debian = kinds.add_parser("debian")
    debian.add_argument("--deb", type=Path, action="append", required=True)
    debian.add_argument("--leave-out", action="append", default=[], metavar="PACKAGE")
    debian.set_defaults(fill=_debian)
    wheels = kinds.add_parser("wheels")
    wheels.add_argument("--wheel", type=Path, action="append", required=True)
    wheels.add_argument("--scripts", action="store_true", help="add console scripts")
    wheels.set_defaults(fill=_wheels)
    program = kinds.add_parser("program")
    program.add_argument("--file", action="append", required=True, metavar="PLACE=PATH")
    program.set_defaults(fill=_program)
    options = parser.parse_args(argv)
    layer = Layer()
    try:
        options.fill(layer, options)
    except ValueError as error:
        sys.exit(f"error: {error}")
    for path in add_bytecode(layer):
        print(f"no bytecode, since it is not Python 3: {path}", file=sys.stderr)
    layer.write(options.layer)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
