"""Runs a whole homeserver on loopback from the built image, for the demo, tests and benchmark."""
