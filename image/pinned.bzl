"""Builds targets for a specific pin, selected with the same two build settings that users set."""

load("//config:synapse_pins.bzl", "SYNAPSE_PINS")

# The tests of pinning resolve from a package index with the files of this pin.
INDEX_PIN = ("matrix-org/synapse", "v1.66.0")

# Pins of public sources that have tests of their own, besides the one that the build settings
# select. //tests/config:tested_pins_test fails if one of them is not pinned.
TESTED_PINS = [
    ("element-hq/synapse", "v1.144.0"),
    ("matrix-org/synapse", "master"),
    INDEX_PIN,
]

# Those that are pinned. Without the others, the remaining tests still run: `./bazelw run pin` starts
# each new pin with one of them.
ERAS = [pair for pair in TESTED_PINS if pair in SYNAPSE_PINS]

def _choose_impl(settings, attr):
    return {
        "//config:synapse_branch": attr.branch,
        "//config:synapse_repo": attr.repository,
    }

_choose = transition(
    implementation = _choose_impl,
    inputs = [],
    outputs = [
        "//config:synapse_branch",
        "//config:synapse_repo",
    ],
)

def _pinned_impl(ctx):
    return [DefaultInfo(files = ctx.attr.target[0][DefaultInfo].files)]

pinned = rule(
    implementation = _pinned_impl,
    doc = "The files of `target`, built with the pin of `repository` and `branch`.",
    attrs = {
        "branch": attr.string(doc = "The value of --synapse_branch.", mandatory = True),
        "repository": attr.string(doc = "The value of --synapse_repo.", mandatory = True),
        "target": attr.label(allow_files = True, cfg = _choose, doc = "A target.", mandatory = True),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)
