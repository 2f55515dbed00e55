"""The program that `python3 -I /usr/lib/synapse-worker` runs in the image."""

import os
import sys

from worker.signals import end_on_signals, run


def _main() -> int:
    from worker.__main__ import main

    return main(sys.argv[1:], os.environ)


if __name__ == "__main__":
    end_on_signals()  # Before the imports, which take most of the time.
    run(_main)
