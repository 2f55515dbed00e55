"""The command lines of `./bazelw run pin`, and the files and package names passed in them."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from pinning.as_of import now
from pinning.debian import SUITES
from pinning.errors import PinError
from pinning.hand_written import check_requirements
from repositories.addresses import redacted

BASE = os.environ.get("SYNAPSE_GIT_BASE", "")
_WHAT = (
    "Pins a repository and branch of Synapse, or the Debian packages; updates, lists and checks "
    "pins."
)


class _Parser(argparse.ArgumentParser):
    """An argument parser whose error messages mask credentials."""

    def error(self, message: str) -> NoReturn:
        super().error(redacted(message))


def parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="./bazelw run pin --", description=_WHAT)
    parser.add_argument("--repo", help="OWNER/NAME, an address for git, or the path of a checkout")
    parser.add_argument("--branch", help="a branch, a tag or a commit")
    parser.add_argument("--release", default="", help="a release on the package index, or newest")
    parser.add_argument(
        "--suite", help="Debian release of the image (default: the newest whose Python has wheels)"
    )
    parser.add_argument(
        "--newer",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="a package that may be newer than the source; :all: for every one (repeatable)",
    )
    parser.add_argument("--no-newer", action="store_true", help="drop what --newer named earlier")
    parser.add_argument("--extras", help="Synapse's extras, separated by commas (default: all)")
    parser.add_argument("--constraints", type=Path, help="the file for the pin's constraints.in")
    parser.add_argument("--modules", type=Path, help="the file for the pin's modules.in")
    parser.add_argument(
        "--patches",
        type=Path,
        help="a folder of *.patch files, applied in the order of their names",
    )
    parser.add_argument(
        "--base", default=BASE, help="the server for OWNER/NAME ($SYNAPSE_GIT_BASE)"
    )
    parser.add_argument("--no-build", action="store_true", help="do not build or check the pin")
    parser.add_argument("--update", nargs="*", metavar="PIN", help="update pins (default: all)")
    parser.add_argument("--list", action="store_true", help="list the pins")
    parser.add_argument("--remove", metavar="PIN", help="remove a pin")
    parser.add_argument(
        "--check", nargs="*", metavar="PIN", help="fetch and check all files of pins"
    )
    return parser


def debian_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="./bazelw run pin -- debian", description="Locks the Debian packages.")
    parser.add_argument("--update", action="store_true", help="update every lock")
    parser.add_argument("--check", action="store_true", help="fetch and check all packages")
    parser.add_argument("--suite", choices=SUITES, action="append", help="one suite (default: all)")
    return parser


def hand_written(options: argparse.Namespace, folder: Path) -> dict[str, bytes]:
    """Return the hand-written files of a pin.

    Files passed on the command line replace those in the pin's folder.
    """
    contents = {}
    for name in ("constraints.in", "modules.in"):
        given = getattr(options, name.partition(".")[0])
        path = Path(os.environ.get("BUILD_WORKING_DIRECTORY", "."), given) if given else None
        if path is not None and not path.is_file():
            raise PinError(f"--{name.partition('.')[0]}={given}: there is no such file")
        path = path or folder / name
        if path.exists():
            contents[name] = path.read_bytes()
            check_requirements(f"--{name.partition('.')[0]}={path}", contents[name])
    patches = folder / "patches"
    if options.patches:
        patches = Path(os.environ.get("BUILD_WORKING_DIRECTORY", "."), options.patches)
        if not list(patches.glob("*.patch")):
            raise PinError(f"--patches={options.patches}: there is no *.patch in it")
    contents |= {
        f"patches/{path.name}": path.read_bytes() for path in sorted(patches.glob("*.patch"))
    }
    return contents


def newer(options: argparse.Namespace, old: Mapping[str, str], *, move: bool) -> dict[str, str]:
    """Return the cutoff time of each package that may be newer than the source, by name.

    Args:
        options: the command line.
        old: the pin's current cutoff times.
        move: whether to move the times in ``old`` to now.
    """
    time = now()
    kept = {} if options.no_newer else {name: time if move else old[name] for name in old}
    return kept | dict.fromkeys(options.newer, time)
