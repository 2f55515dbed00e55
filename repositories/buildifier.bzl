"""Fetches buildifier, which formats and lints Starlark, for the lint test."""

_VERSION = "8.2.1"
_PROGRAM_SHA256 = "6ceb7b0ab7cf66fceccc56a027d21d9cc557a7f34af37d2101edb56b92fcfa1a"
_TARBALL_SHA256 = "b96ea9b13003036c801f52bee6f9b0314738f8432e5cb9d814c89f59292604ee"

_BUILD = """\
exports_files(
    ["program"],
    visibility = ["//visibility:public"],
)
"""

def _buildifier_impl(rctx):
    rctx.file("BUILD.bazel", _BUILD)
    registry = rctx.os.environ.get("NPM_CONFIG_REGISTRY", "").rstrip("/")
    if registry:
        rctx.download_and_extract(
            sha256 = _TARBALL_SHA256,
            stripPrefix = "package",
            type = "tar.gz",
            url = "%s/@bazel/buildifier/-/buildifier-%s.tgz" % (registry, _VERSION),
        )
        rctx.symlink("buildifier-linux_amd64", "program")
    elif not rctx.os.environ.get("BAZELW_INSIDE"):
        rctx.download(
            executable = True,
            output = "program",
            sha256 = _PROGRAM_SHA256,
            url = "https://github.com/bazelbuild/buildtools/releases/download/v%s/buildifier-linux-amd64" % _VERSION,
        )
    else:
        rctx.file("program", "")

buildifier = repository_rule(
    implementation = _buildifier_impl,
    doc = """The official program: from GitHub in host mode, or from NPM_CONFIG_REGISTRY.

In debian mode without that variable the file is empty, and the test is skipped.
""",
    environ = ["BAZELW_INSIDE", "NPM_CONFIG_REGISTRY"],
)
