"""The image's Python. It also runs the layer writer, since both roots are from the same suite."""

import sys

NAME = f"python{sys.version_info[0]}.{sys.version_info[1]}"
