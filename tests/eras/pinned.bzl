"""Targets of a certain pin, chosen as users choose it: by the two build settings alone."""

load("//config:synapse_pins.bzl", "SYNAPSE_PINS")

# Pins made from sources that anyone can fetch; whoever adds pins tests those by the build settings,
# and whoever removes one of these has its tests no more.
ERAS = [
    pair
    for pair in [
        ("element-hq/synapse", "v1.144.0"),
        ("matrix-org/synapse", "master"),
        ("matrix-org/synapse", "v1.66.0"),
    ]
    if pair in SYNAPSE_PINS
]

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
    doc = "The files of `target`, as the pin of `repository` and `branch` makes them.",
    attrs = {
        "branch": attr.string(doc = "--synapse_branch", mandatory = True),
        "repository": attr.string(doc = "--synapse_repo", mandatory = True),
        "target": attr.label(allow_files = True, cfg = _choose, doc = "What is built.", mandatory = True),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)
