"""Updates every golden file: the image's digest and what each worker type renders."""

import os
import sys
from pathlib import Path

import yaml

from cluster.site import WORKERS
from worker.documents import documents
from worker.settings import parse
from worker.worker_types import load_table


def main() -> int:
    """Write the files into the workspace; return the exit status."""
    workspace = Path(os.environ["BUILD_WORKSPACE_DIRECTORY"])
    digest = Path(os.environ["DIGEST"]).read_text()
    changed = []
    golden = {workspace / "tests/image/digest.txt": digest}
    homeserver = yaml.safe_load(WORKERS)
    for app, worker in load_table().types.items():
        host = {} if worker.main else {"SYNAPSE_REPLICATION_HOST": "main"}
        settings = parse({"SYNAPSE_WORKER": app, "SYNAPSE_HOSTNAME": "host-1"} | host)
        text = yaml.safe_dump_all(documents(homeserver, settings).values(), sort_keys=False)
        golden[workspace / f"tests/worker/golden/{worker.slug}.yaml"] = text
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
