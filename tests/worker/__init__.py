"""Tests of the entrypoint."""
