"""The rule that decompresses the layers of an image once, for every test that unpacks it."""

def _uncompressed_layers_impl(ctx):
    out = ctx.actions.declare_directory(ctx.label.name)
    args = ctx.actions.args()
    args.add("--image", ctx.file.image.path)
    args.add("--output", out.path)
    ctx.actions.run(
        executable = ctx.executable._tool,
        arguments = [args],
        inputs = [ctx.file.image],
        outputs = [out],
        mnemonic = "UncompressedLayers",
        # Hundreds of megabytes that are made in two seconds.
        execution_requirements = {"no-cache": "1"},
    )
    return [DefaultInfo(files = depset([out]))]

uncompressed_layers = rule(
    implementation = _uncompressed_layers_impl,
    doc = "A folder with the layers of `image` as tar files, each named after its diff_id.",
    attrs = {
        "image": attr.label(
            allow_single_file = True,
            doc = "The folder of an OCI layout with one image.",
            mandatory = True,
        ),
        "_tool": attr.label(
            cfg = "exec",
            default = "//testbed:write_uncompressed_layers",
            executable = True,
        ),
    },
)
