"""Registers the Python that runs the tools and tests in host mode."""

load("@rules_python//python:repositories.bzl", "python_register_toolchains")
load("@rules_python//python:versions.bzl", "TOOL_VERSIONS")

# The wheels in requirements.lock.json are for CPython 3.14.
_VERSION = "3.14.4"

def python_toolchain():
    """Registers rules_python's hermetic Python.

    The older rules_python of debian mode does not have this version. There, .bazelrc chooses the
    Python of the private root, which is 3.14 as well.
    """
    if _VERSION in TOOL_VERSIONS:
        python_register_toolchains(
            name = "python",
            python_version = _VERSION,
        )
