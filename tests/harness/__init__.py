"""Runs the built image as a container engine would, without one."""
