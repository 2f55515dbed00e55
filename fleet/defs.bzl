"""One derived image per worker type."""

load("@rules_oci//oci:defs.bzl", "oci_image", "oci_load")

def worker_image(name, application, base, visibility):
    """The image `base`, starting as one worker type.

    Args:
        name: the image; `<name>_load` puts it into a local engine, `<name>.tar` is what that loads.
        application: a key of WORKER_TYPES.
        base: the image that every worker type shares.
        visibility: who may test or push it.
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
