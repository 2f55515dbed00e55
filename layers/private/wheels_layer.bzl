"""The rule that builds a layer with wheels in the image's site-packages folder."""

load(":write_layer.bzl", "WRITE_LAYER_ATTRS", "write_layer")

_ATTRS = WRITE_LAYER_ATTRS | {
    "scripts": attr.bool(doc = "Whether to install the wheels' scripts in /usr/local/bin."),
    "wheels": attr.label_list(
        allow_files = True,
        doc = "The wheels, or folders of them.",
        mandatory = True,
    ),
    "_installer": attr.label(
        default = "@wheel_installer//:sources",
        doc = "The library installer.",
    ),
}

def _wheels_layer_impl(ctx):
    args = ctx.actions.args()
    args.add_all(ctx.files.wheels, before_each = "--wheel")
    args.add("--site", ctx.attr._installer.label.workspace_root + "/packages")
    if ctx.attr.scripts:
        args.add("--scripts")
    inputs = ctx.files.wheels + ctx.files._installer
    return write_layer(ctx, "wheels", args, inputs, "wheels")

wheels_layer = rule(
    implementation = _wheels_layer_impl,
    doc = "Wheels in the image's site-packages folder, checked against RECORD, with bytecode.",
    attrs = _ATTRS,
)
