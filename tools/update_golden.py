"""Updates every golden file: image digests, rendered worker types, examples, and pictures.

The digests are those of the selected pin and of the older pins that the tests build.
"""

import json
import os
import sys
from pathlib import Path

from tools.curves import curves
from tools.digests import GOLDEN, pin_name
from tools.examples import example_files
from tools.golden import golden_files, monitoring_files
from tools.pictures import pictures


def digests() -> str:
    """Return the text of digests.json, updated with the digests of the images just built."""
    digest_by_pin = json.loads(GOLDEN.read_text())
    words = os.environ["IMAGES"].split()
    for pin, digest in zip(words[::2], words[1::2], strict=True):
        digest_by_pin[pin_name(Path(pin))] = Path(digest).read_text().strip()
    return json.dumps(digest_by_pin, indent=1, sort_keys=True) + "\n"


def main() -> int:
    """Write the files that changed to the workspace; return the exit code."""
    workspace = Path(os.environ["BUILD_WORKSPACE_DIRECTORY"])
    changed = []
    golden = {workspace / "image/digests.json": digests()}
    for name, text in golden_files():
        golden[workspace / "tests/worker/golden" / name] = text
    for name, text in monitoring_files():
        golden[workspace / "tests/monitoring/golden" / name] = text
    for name, text in example_files(workspace / "examples"):
        golden[workspace / "examples" / name] = text
    services = Path(os.environ["SERVICES"]).resolve().parent / "root"
    for name, text in pictures(workspace / "docs/pictures", services):
        golden[workspace / "docs/pictures" / name] = text
    for name, text in curves(workspace / "docs/pictures"):
        golden[workspace / "docs/pictures" / name] = text
    for path, text in golden.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            changed.append(path)
    for path in changed:
        print(f"updated {path.relative_to(workspace)}")
    print(f"{len(golden)} golden files, {len(changed)} updated")
    return 0


if __name__ == "__main__":
    sys.exit(main())
