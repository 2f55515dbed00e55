"""The action that writes a layer, in the build root."""

load("//sandbox:defs.bzl", "BUILD_ROOT_ATTRS", "run_in_build_root")

WRITE_LAYER_ATTRS = BUILD_ROOT_ATTRS | {
    "_modules": attr.label(default = "//layers:writer_modules", doc = "The writer's modules."),
    "_writer": attr.label(
        allow_single_file = True,
        default = "//layers:write_layer.py",
        doc = "The program that writes every layer.",
    ),
}

def write_layer(ctx, kind, arguments, inputs, what):
    """Declares the action that writes the layer `<name>.tar.gz`.

    Args:
        ctx: the rule's context; its attributes include WRITE_LAYER_ATTRS.
        kind: the kind of layer, a subcommand of write_layer.py.
        arguments: the Args of that subcommand.
        inputs: the list of files that the arguments name.
        what: the layer's content, for the progress message.

    Returns:
        The rule's providers.
    """
    layer = ctx.actions.declare_file(ctx.label.name + ".tar.gz")
    start = ctx.actions.args()
    start.add("--layer", layer)
    start.add(kind)
    run_in_build_root(
        ctx,
        tool = ctx.file._writer,
        arguments = [start, arguments],
        inputs = inputs + ctx.files._modules,
        outputs = [layer],
        mnemonic = "Layer",
        progress_message = "Layering %s for %%{label}" % what,
    )
    return [DefaultInfo(files = depset([layer]))]
