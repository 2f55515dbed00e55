"""A whole homeserver on loopback from the built image: what the demo, tests and benchmark share."""
