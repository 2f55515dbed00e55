"""Tests that selecting a repository and branch without a pin fails with a clear message."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//config:synapse_pins.bzl", "SYNAPSE_PINS")

def _unpinned_test_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.expect_failure(
        env,
        "--synapse_repo=element-hq/synapse --synapse_branch=no-such-branch is not pinned; " +
        "the pins are: " + ", ".join(["%s %s" % pair for pair in sorted(SYNAPSE_PINS)]) +
        "; pin it with: " +
        "./bazelw run pin -- --repo element-hq/synapse --branch no-such-branch",
    )
    return analysistest.end(env)

unpinned_test = analysistest.make(
    _unpinned_test_impl,
    config_settings = {str(Label("//config:synapse_branch")): "no-such-branch"},
    expect_failure = True,
)
