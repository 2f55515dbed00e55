"""Writes one layer from Debian packages, wheels, or a Python program.

Runs in the build root, whose Python is the same as the image's.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from bytecode import add_bytecode
from debian import add_packages, add_status
from layer_error import LayerError
from refusals import refuse_dangling_links, refuse_unwanted
from system_files import add_linker_cache, add_system
from tar_writer import Layer

_PROGRAM = "usr/lib/synapse-worker"


def _fill_debian(layer: Layer, options: argparse.Namespace) -> None:
    packages = add_packages(layer, options.deb, options.leave_out)
    add_system(layer)
    add_status(layer, packages)
    add_linker_cache(layer)
    refuse_dangling_links(layer)


def _fill_wheels(layer: Layer, options: argparse.Namespace) -> None:
    # Only now, since `wheels` imports the library, which the other layers do without.
    sys.path.insert(0, str(options.site))
    from wheels import add_wheels

    add_wheels(layer, options.wheel, scripts=options.scripts)


def _fill_program(layer: Layer, options: argparse.Namespace) -> None:
    for pair in options.file:
        place, _, path = pair.partition("=")
        layer.file(f"{_PROGRAM}/{place}", Path(path).read_bytes(), path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layer", type=Path, required=True, help="the .tar.gz to write")
    kinds = parser.add_subparsers(required=True)
    debian = kinds.add_parser("debian", help="of Debian packages")
    debian.add_argument("--deb", type=Path, action="append", required=True)
    debian.add_argument("--leave-out", action="append", default=[], metavar="PACKAGE")
    debian.set_defaults(fill=_fill_debian)
    wheels = kinds.add_parser("wheels", help="of wheels")
    wheels.add_argument("--wheel", type=Path, action="append", required=True)
    wheels.add_argument("--site", type=Path, required=True, help="the library installer's folder")
    wheels.add_argument("--scripts", action="store_true", help="add console scripts")
    wheels.set_defaults(fill=_fill_wheels)
    program = kinds.add_parser("program", help="of a Python program")
    program.add_argument("--file", action="append", required=True, metavar="PLACE=PATH")
    program.set_defaults(fill=_fill_program)
    return parser


def main(argv: list[str]) -> int:
    """Write the layer; return the exit code."""
    options = _parser().parse_args(argv)
    try:
        with Layer(options.layer.parent) as layer:
            options.fill(layer, options)
            failed = add_bytecode(layer)
            refuse_unwanted(layer)
            layer.write(options.layer)
    except LayerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if failed:
        print(f"no bytecode, since it is not Python 3: {', '.join(failed)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
