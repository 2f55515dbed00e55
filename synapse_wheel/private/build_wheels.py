"""Builds wheels from pinned sdists inside the build root, using only pinned inputs.

Runs in the build root's Python. The build backend is the one in the source's `[build-system]`
table (PEP 517). Crates come from a vendored folder, and cargo checks every file in it.
"""

import argparse
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

# A fixed path, because paths can end up in the output.
_BUILD = Path("/tmp/build")
# Python 3.11.2 in bookworm has no filters yet; the hashes of the archives were already checked.
_FILTER: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}

_CARGO_CONFIG = """\
[source.crates-io]
replace-with = "vendored"

[source.vendored]
directory = "{vendor}"

[net]
offline = true
"""


def run(command: list[str], environ: dict[str, str], what: str) -> None:
    """Run ``command``; if it fails, print the end of its output and exit with code 1."""
    done = subprocess.run(command, env=environ, text=True, capture_output=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-40:])
        sys.exit(f"{tail}\nerror: {what} does not build: see its own last lines above")


def install_backends(wheels: list[Path], target: Path, environ: dict[str, str]) -> None:
    """Install the pinned build backends into ``target``."""
    if not wheels:
        return
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--no-compile"]
    run([*pip, "--target", str(target), *map(str, wheels)], environ, "the build backends")


def normalise(wheel: Path, target: Path) -> None:
    """Copy ``wheel`` to ``target`` with sorted entries, fixed timestamps, and plain modes."""
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(target, "w") as result:
        for name in sorted(source.namelist()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = (0o100755 if name.endswith(".so") else 0o100644) << 16
            entry.create_system = 3
            result.writestr(entry, source.read(name), zipfile.ZIP_DEFLATED, 6)


def main(argv: list[str]) -> int:
    """Build a wheel from each sdist, in order; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sdist", type=Path, action="append", default=[])
    parser.add_argument("--output", type=Path, help="the wheel of a single sdist")
    parser.add_argument("--output-folder", type=Path, help="where the wheels of several go")
    parser.add_argument("--backend", type=Path, action="append", default=[])
    parser.add_argument("--crates", type=Path, help="crates.json; `vendor` lies beside it")
    options = parser.parse_args(argv)
    environ = dict(os.environ)
    backends = _BUILD / "backends"
    install_backends(options.backend, backends, environ)
    environ["PYTHONPATH"] = str(backends)
    environ["PATH"] = f"{backends}/bin:/usr/bin"
    if options.crates:
        vendor = options.crates.resolve().parent / "vendor"
        home = _BUILD / "cargo"
        home.mkdir(parents=True)
        # The vendored folder gets a fixed path, because its own path is in the user's cache.
        (_BUILD / "vendor").symlink_to(vendor)
        config = _CARGO_CONFIG.format(vendor=_BUILD / "vendor")
        (home / "config.toml").write_text(config)
        environ |= {
            "CARGO_HOME": str(home),
            "CARGO_TARGET_DIR": str(_BUILD / "target"),
            "CARGO_PROFILE_RELEASE_STRIP": "symbols",
            "RUSTFLAGS": " ".join(
                f"--remap-path-prefix={path}={name}"
                for path, name in ((vendor, "/vendor"), (_BUILD, "/build"))
            ),
        }
    environ["CFLAGS"] = f"-O2 -g0 -ffile-prefix-map={_BUILD}=/build"
    environ["LDFLAGS"] = "-Wl,--strip-all -Wl,--build-id=none"
    if options.output_folder:
        options.output_folder.mkdir(exist_ok=True)
    for sdist in options.sdist:
        source = _BUILD / "source" / sdist.name
        with tarfile.open(sdist) as archive:
            archive.extractall(source, **_FILTER)
        (unpacked,) = source.iterdir()
        # A fixed name, so that a commit and a release with the same files result in the same bytes.
        top = unpacked.rename(source / "source")
        out = _BUILD / "wheels" / sdist.name
        pip = [sys.executable, "-m", "pip", "wheel", "--no-index", "--no-deps"]
        pip += ["--no-build-isolation", "--no-cache-dir", "--wheel-dir", str(out), str(top)]
        run(pip, environ, sdist.name)
        (wheel,) = out.iterdir()
        if options.output:
            normalise(wheel, options.output)
        else:
            normalise(wheel, options.output_folder / wheel.name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
