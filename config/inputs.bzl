"""Declares what the image is made of: Debian packages, the build root, Synapse pins, tools."""

load("//config/private:debian_packages.bzl", "debian_packages", "debian_root")
load("//config/private:python_files.bzl", "python_site")
load("//config/private:synapse_pin.bzl", "synapse_pin")
load(":synapse_pins.bzl", "SYNAPSE_PINS")

def inputs():
    """Declares every input; each is fetched when something needs it."""
    debian_packages(
        name = "debian_runtime",
        lock = "//config/debian:runtime.lock.json",
    )
    debian_root(
        name = "build_root",
        lock = "//config/debian:build.lock.json",
    )
    debian_root(
        name = "services_root",
        lock = "//config/debian:services.lock.json",
    )
    for folder in SYNAPSE_PINS.values():
        synapse_pin(
            name = "pin_" + folder,
            build_root = "@build_root//:stamp.json",
            lock = "//config/pins/%s:files.lock.json" % folder,
            pin = "//config/pins/%s:pin.json" % folder,
        )
    python_site(
        name = "python_tools",
        lock = "//:requirements.lock.json",
    )
