"""Declares the repositories with the inputs: Debian packages, build roots, Synapse pins, tools."""

load("//config:synapse_pins.bzl", "SYNAPSE_PINS")
load(":buildifier.bzl", "buildifier")
load(":debian_packages.bzl", "debian_packages", "debian_root")
load(":python_files.bzl", "python_site")
load(":synapse_pin.bzl", "synapse_pin")

# The Debian releases that an image can be based on.
_SUITES = ["bookworm", "trixie"]

# The generated files in a pin's folder; pin.json has their sha256.
_LOCKS = ["build_requirements_lock.txt", "files.lock.json", "requirements_lock.txt"]

def inputs():
    """Declares every input; Bazel fetches each one when a target needs it."""
    for suite in _SUITES:
        debian_packages(
            name = "debian_runtime_" + suite,
            lock = "//config/debian/%s:runtime.amd64.lock.json" % suite,
        )
        debian_root(
            name = "build_root_" + suite,
            lock = "//config/debian/%s:build.amd64.lock.json" % suite,
        )
    debian_root(
        name = "services_root",
        lock = "//config/debian/trixie:services.amd64.lock.json",
    )
    debian_root(
        name = "go_root",
        lock = "//config/debian/trixie:go.amd64.lock.json",
    )
    for pin in SYNAPSE_PINS.values():
        folder = pin["folder"]
        synapse_pin(
            name = "pin_" + folder,
            build_root = "@build_root_%s//:stamp.json" % pin["suite"],
            files = "//config/pins/%s:files.lock.json" % folder,
            folder = folder,
            locks = ["//config/pins/%s:%s" % (folder, lock) for lock in _LOCKS],
            patches = ["//config/pins/%s:patches/%s" % (folder, patch) for patch in pin["patches"]],
            pin = "//config/pins/%s:pin.json" % folder,
        )
    python_site(
        name = "python_tools",
        lock = "//:requirements.lock.json",
    )

    # Apart from the other tools, which an image is built without.
    python_site(
        name = "wheel_installer",
        lock = "//:requirements.lock.json",
        only = ["installer"],
    )
    buildifier(name = "buildifier")
