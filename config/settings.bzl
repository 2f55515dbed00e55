"""Selects the inputs of the pin that the two build settings specify."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load(":synapse_pins.bzl", "SYNAPSE_PINS")

def _unpinned_impl(ctx):
    fail("\n--synapse_repo=%s --synapse_branch=%s is not pinned; the pins are: %s; pin it with: %s" % (
        ctx.attr._repository[BuildSettingInfo].value,
        ctx.attr._branch[BuildSettingInfo].value,
        ", ".join(["%s %s" % pair for pair in sorted(SYNAPSE_PINS)]),
        "./bazelw run pin -- --repo %s --branch %s" % (
            ctx.attr._repository[BuildSettingInfo].value,
            ctx.attr._branch[BuildSettingInfo].value,
        ),
    ))

_unpinned = rule(
    implementation = _unpinned_impl,
    doc = "Fails the analysis with a message that names the pair without a pin.",
    attrs = {
        "_branch": attr.label(default = "//config:synapse_branch"),
        "_repository": attr.label(default = "//config:synapse_repo"),
    },
)

def with_modules(values):
    """Returns `values` for pins that have Synapse modules, and an empty list for others.

    Args:
        values: a list.

    Returns:
        A select.
    """
    return select({
        "//config:" + pin["folder"]: values
        for pin in SYNAPSE_PINS.values()
        if pin["modules"]
    } | {"//conditions:default": []})

def by_suite(values):
    """Returns the value for the Debian suite of the selected pin's image.

    Args:
        values: a dict from suite to value.

    Returns:
        A select.
    """
    return select({
        "//config:" + pin["folder"]: values[pin["suite"]]
        for pin in SYNAPSE_PINS.values()
    } | {"//conditions:default": values.values()[0]})

def pinned_inputs(name, parts, visibility):
    """Declares an alias for each part of the selected pin.

    Args:
        name: the prefix of the helper targets.
        parts: a dict from alias to label; {folder} and {suite} are replaced with those of the pin.
        visibility: the visibility of the aliases.
    """
    _unpinned(name = name + "_unpinned", tags = ["manual"], visibility = ["//visibility:private"])
    for (repository, branch), pin in SYNAPSE_PINS.items():
        native.config_setting(
            name = pin["folder"],
            flag_values = {
                ":synapse_branch": branch,
                ":synapse_repo": repository,
            },
            visibility = ["//visibility:public"],
        )

    # The parts cannot be labels: each pin has repositories of its own, which are named after its
    # row of SYNAPSE_PINS, and no label can depend on a build setting. The selects contain the real
    # labels of all pins, so `bazel query` does see them.
    for alias, target in parts.items():
        choices = {":" + pin["folder"]: target.format(**pin) for pin in SYNAPSE_PINS.values()}
        native.alias(
            name = alias,
            actual = select(choices | {"//conditions:default": ":%s_unpinned" % name}),
            visibility = visibility,
        )
