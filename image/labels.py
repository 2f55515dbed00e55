"""Writes the image's labels from a pin; the AGPL requires that the source is named."""

import argparse
import json
import sys
from pathlib import Path

from repositories.addresses import public_source


def labels(pin: dict[str, str]) -> dict[str, str]:
    """Return the labels for ``pin``, using the predefined annotation keys of the OCI image-spec.

    The source is left out if its address contains credentials or is a local path, regardless of
    which tool wrote pin.json.
    """
    source = public_source(pin["source"])
    return {
        "org.opencontainers.image.title": "synapse-worker",
        "org.opencontainers.image.description": "Any process of a Matrix Synapse homeserver",
        "org.opencontainers.image.licenses": pin["licenses"],
        "org.opencontainers.image.revision": pin["revision"],
        **({"org.opencontainers.image.source": source} if source else {}),
        "org.opencontainers.image.version": pin["version"],
    }


def main(argv: list[str]) -> int:
    """Write the labels as key=value lines; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pin", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(argv)
    pin = json.loads(options.pin.read_text())
    options.output.write_text("".join(f"{key}={value}\n" for key, value in labels(pin).items()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
