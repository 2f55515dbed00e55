"""A macro for the derived image of a worker type."""

load("@rules_oci//oci:defs.bzl", "oci_image", "oci_load")
load(":push.bzl", "image_push")

def worker_image(name, application, base, visibility):
    """Declares an image that is based on `base` and starts as one worker type.

    Args:
        name: the name of the image. `<name>_load` loads it into a local container engine,
            `<name>.tar` is the archive that is loaded, and `<name>_push` pushes it.
        application: a key of WORKER_APPS.
        base: the image that all worker types share.
        visibility: the visibility of the targets.
    """
    oci_image(
        name = name,
        base = base,
        env = {"SYNAPSE_WORKER": application},
        visibility = visibility,
    )
    oci_load(
        name = name + "_load",
        image = ":" + name,
        repo_tags = ["synapse-worker:" + name],
        tags = ["manual"],
        visibility = visibility,
    )
    native.filegroup(
        name = name + ".tar",
        srcs = [":%s_load" % name],
        output_group = "tarball",
        tags = ["manual"],
        visibility = visibility,
    )
    image_push(
        name = name + "_push",
        image = ":" + name,
        visibility = visibility,
    )
