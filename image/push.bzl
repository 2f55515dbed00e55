"""A macro for targets that push an image to a registry."""

load("@rules_oci//oci:defs.bzl", "oci_push")
load("@rules_python//python:defs.bzl", "py_binary")

def image_push(name, image, visibility):
    """Declares a program that pushes `image` to the repository named on its command line.

    Args:
        name: the name of the program; run it with `-- --repository HOST/NAME --tag TAG`.
        image: an oci_image in the same package, as ":NAME".
        visibility: the visibility of the program.
    """
    launcher = name + "_launcher"
    oci_push(
        name = launcher,
        image = image,
        # Always overridden by --repository.
        repository = "localhost/synapse-worker",
        tags = ["manual"],
    )
    py_binary(
        name = name,
        srcs = ["push.py"],
        data = [
            image + ".digest",
            ":" + launcher,
        ],
        env = {
            "PUSH_DIGEST": "$(rootpath %s.digest)" % image,
            "PUSH_LAUNCHER": "$(rootpath :%s)" % launcher,
        },
        main = "push.py",
        visibility = visibility,
    )
