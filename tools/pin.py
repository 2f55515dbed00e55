"""Pins another repository and branch of Synapse: not written yet, and says so."""

import sys

if __name__ == "__main__":
    sys.exit(
        "error: pin cannot pin yet; the pairs that are pinned stand in config/synapse_pins.bzl"
    )
