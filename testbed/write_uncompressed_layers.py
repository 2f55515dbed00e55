"""Writes the layers of an image in an OCI layout as tar files, each named after its diff_id."""

import argparse
from pathlib import Path

from testbed.image import layer_tar, layers, read_image

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    image = read_image(options.image)
    for digest, diff_id in layers(image):
        (options.output / diff_id).write_bytes(layer_tar(image, digest, diff_id))
