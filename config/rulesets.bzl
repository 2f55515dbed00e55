"""The rulesets that host mode downloads: path on github.com, sha256, and folder in the archive."""

load("@bazel_tools//tools/build_defs/repo:http.bzl", "http_archive")
load("@bazel_tools//tools/build_defs/repo:utils.bzl", "maybe")

_RULESETS = {
    "aspect_bazel_lib": struct(
        # The version that rules_oci 2.2.6 requires; later versions need tar.bzl.
        path = "aspect-build/bazel-lib/releases/download/v2.7.2/bazel-lib-v2.7.2.tar.gz",
        sha256 = "a8a92645e7298bbf538aa880131c6adb4cf6239bbd27230f077a00414d58e4ce",
        strip_prefix = "bazel-lib-2.7.2",
    ),
    "bazel_features": struct(
        path = "bazel-contrib/bazel_features/releases/download/v1.10.0/bazel_features-v1.10.0.tar.gz",
        sha256 = "95fb3cfd11466b4cad6565e3647a76f89886d875556a4b827c021525cb2482bb",
        strip_prefix = "bazel_features-1.10.0",
    ),
    "bazel_skylib": struct(
        path = "bazelbuild/bazel-skylib/releases/download/1.8.2/bazel-skylib-1.8.2.tar.gz",
        sha256 = "6e78f0e57de26801f6f564fa7c4a48dc8b36873e416257a92bbb0937eeac8446",
        strip_prefix = "",
    ),
    "platforms": struct(
        path = "bazelbuild/platforms/releases/download/1.0.0/platforms-1.0.0.tar.gz",
        sha256 = "3384eb1c30762704fbe38e440204e114154086c8fc8a8c2e3e28441028c019a8",
        strip_prefix = "",
    ),
    "rules_cc": struct(
        path = "bazelbuild/rules_cc/releases/download/0.1.5/rules_cc-0.1.5.tar.gz",
        sha256 = "b8b918a85f9144c01f6cfe0f45e4f2838c7413961a8ff23bc0c6cdf8bb07a3b6",
        strip_prefix = "rules_cc-0.1.5",
    ),
    "rules_oci": struct(
        path = "bazel-contrib/rules_oci/releases/download/v2.2.6/rules_oci-v2.2.6.tar.gz",
        sha256 = "5994ec0e8df92c319ef5da5e1f9b514628ceb8fc5824b4234f2fe635abb8cc2e",
        strip_prefix = "rules_oci-2.2.6",
    ),
    "rules_python": struct(
        path = "bazelbuild/rules_python/releases/download/1.9.2/rules_python-1.9.2.tar.gz",
        sha256 = "98880e2942e66fbe23202bd4174c089a54a203c32fc1cbc1c6c86df9f97ad7e3",
        strip_prefix = "rules_python-1.9.2",
    ),
    "rules_shell": struct(
        path = "bazelbuild/rules_shell/releases/download/v0.6.1/rules_shell-v0.6.1.tar.gz",
        sha256 = "e6b87c89bd0b27039e3af2c5da01147452f240f75d505f5b6880874f31036307",
        strip_prefix = "rules_shell-0.6.1",
    ),
}

def rulesets():
    """Declares every ruleset; debian mode overrides those that come from Debian packages."""
    for name, archive in _RULESETS.items():
        maybe(
            http_archive,
            name = name,
            sha256 = archive.sha256,
            strip_prefix = archive.strip_prefix,
            url = "https://github.com/" + archive.path,
        )
