"""A pytest file as a Bazel test."""

load("@rules_python//python:defs.bzl", "py_test")

def pytest_test(name, srcs, deps = [], data = [], size = "small", env = {}, tags = [], timeout = None):
    """Runs `srcs` with pytest.

    Args:
        name: the test.
        srcs: test modules.
        deps: Python libraries that they import.
        data: files that they read.
        size: as of any Bazel test.
        env: environment variables.
        tags: as of any Bazel test.
        timeout: as of any Bazel test.
    """
    py_test(
        name = name,
        size = size,
        timeout = timeout,
        srcs = srcs + ["//tools:pytest_main.py"],
        args = ["$(rootpath %s)" % source for source in srcs if source.endswith("_test.py")],
        data = data + srcs,
        env = env,
        main = "//tools:pytest_main.py",
        tags = tags,
        deps = deps + ["@python_tools//:site"],
    )
