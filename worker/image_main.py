"""What `python3 -I /usr/lib/synapse-worker` runs in the image."""

import os
import sys

from worker.__main__ import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
