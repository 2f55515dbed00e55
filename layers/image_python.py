"""The image's Python: the one that runs the layer writer, since both roots come from one suite."""

import sys

NAME = f"python{sys.version_info[0]}.{sys.version_info[1]}"
