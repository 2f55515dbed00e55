"""Runs the parent, in Python's isolated mode and by path.

boot.py SPEC
"""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    # Only while these modules are imported, so that Synapse sees none of this program's folders.
    _folder = str(Path(__file__).parents[1])
    sys.path.insert(0, _folder)
    from supervisor.main import main

    sys.path.remove(_folder)
    os._exit(main(sys.argv[1]))
