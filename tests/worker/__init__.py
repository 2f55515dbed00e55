"""Tests for the entrypoint."""
