"""Declares what the image is made of: Debian packages, the build root, Synapse pins, tools."""

load("//config/private:debian_packages.bzl", "debian_packages", "debian_root")
load("//config/private:python_files.bzl", "python_site")
load("//config/private:synapse_pin.bzl", "synapse_pin")

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
    synapse_pin(
        name = "pin_element-hq_synapse_master",
        build_root = "@build_root//:stamp.json",
        lock = "//config/pins/element-hq_synapse_master:files.lock.json",
        pin = "//config/pins/element-hq_synapse_master:pin.json",
    )
    python_site(
        name = "python_tools",
        lock = "//:requirements.lock.json",
    )
