"""Tests of the parent that runs several processes in one container."""
