"""The program that `python3 -I /usr/lib/synapse-worker` runs in the image."""

import os
import sys

from worker.signals import end_on_signals, run


def _main() -> int:
    end_on_signals()  # Before the import, which takes most of the time.
    from worker.__main__ import main

    return main(sys.argv[1:], os.environ)


if __name__ == "__main__":
    run(_main)
