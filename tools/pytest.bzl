"""Macros that declare pytest modules as Bazel tests, and the suites of a package."""

load("@rules_python//python:defs.bzl", "py_test")

def pytest_test(name, srcs, deps = [], data = [], size = "small", env = {}, tags = [], timeout = None):
    """Runs `srcs` with pytest.

    They are data to Bazel: rules_python compiles the sources of a test, and several tests that have
    a file in common, but differ in tags, would then write the same .pyc in different ways.

    Args:
        name: The name of the test target.
        srcs: The test modules.
        deps: The Python libraries that they import.
        data: The files that they read.
        size: The test size, as for any Bazel test.
        env: The environment variables of the test.
        tags: The tags, as for any Bazel test.
        timeout: The timeout, as for any Bazel test.
    """
    py_test(
        name = name,
        size = size,
        timeout = timeout,
        srcs = ["//tools:pytest_main.py"],
        args = ["$(rootpath %s)" % source for source in srcs if source.endswith("_test.py")],
        data = data + srcs,
        env = env,
        main = "//tools:pytest_main.py",
        tags = tags,
        deps = deps + ["@python_tools//:site"],
    )

def test_suites(name):
    """Declares the suites of the calling package: one of every test, and one of the small ones.

    They leave out slow tests: Bazel builds whatever is in a suite, with any --build_tag_filters, so
    `bazel test //...` would build the slow tests, too.

    Args:
        name: The name of the suite of every test; that of the small ones is `fast`.
    """
    native.test_suite(name = name, tags = ["-slow"], visibility = ["//tests:__pkg__"])
    native.test_suite(name = "fast", tags = ["small", "-slow"], visibility = ["//tests:__pkg__"])
