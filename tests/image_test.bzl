"""The macro for tests that run the image."""

load("//tools:pytest.bzl", "pytest_test")

def image_test(name, srcs, data = [], deps = [], env = {}, image = "//image", services = False, **attributes):
    """Runs `srcs` with pytest; they find an image at `$IMAGE`, and what `testbed.unpack` reads.

    Args:
        name: The name of the test target.
        srcs: The test modules.
        data: More files that they read.
        deps: More Python libraries that they import.
        env: More environment variables of the test.
        image: The image; it has the layers of `//image`.
        services: Whether they also start PostgreSQL, Redis or other programs, from `$SERVICES`.
        **attributes: Other attributes of `pytest_test`.
    """
    stamps = ["@services_root//:stamp.json"] if services else []
    labels = {"IMAGE": image, "LAYERS": "//testbed:layers"}
    labels |= {"SERVICES": label for label in stamps}
    pytest_test(
        name = name,
        srcs = srcs,
        data = data + [label for label in labels.values() if label not in data],
        deps = deps + ["//testbed"],
        env = {variable: "$(rootpath %s)" % label for variable, label in labels.items()} | env,
        **attributes
    )
