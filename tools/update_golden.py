"""Updates every golden file: the image's digest and what each worker type renders."""

import os
import sys
from pathlib import Path

from tools.golden import golden_files


def main() -> int:
    """Write the files into the workspace; return the exit status."""
    workspace = Path(os.environ["BUILD_WORKSPACE_DIRECTORY"])
    digest = Path(os.environ["DIGEST"]).read_text()
    changed = []
    golden = {workspace / "tests/image/digest.txt": digest}
    for name, text in golden_files():
        golden[workspace / "tests/worker/golden" / name] = text
    for path, text in golden.items():
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            changed.append(path)
    for path in changed:
        print(f"updated {path.relative_to(workspace)}")
    print(f"{len(golden)} golden files, {len(changed)} updated")
    return 0


if __name__ == "__main__":
    sys.exit(main())
