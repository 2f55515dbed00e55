"""The rule that writes the image's OCI labels from the pin (image-spec, annotations.md)."""

def _image_labels_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".txt")
    args = ctx.actions.args()
    args.add("--pin", ctx.file.pin)
    args.add("--output", out)
    ctx.actions.run(
        executable = ctx.executable._tool,
        arguments = [args],
        inputs = [ctx.file.pin],
        outputs = [out],
        mnemonic = "ImageLabels",
    )
    return [DefaultInfo(files = depset([out]))]

image_labels = rule(
    implementation = _image_labels_impl,
    doc = "A file of key=value lines that describe the image's content and where its source is.",
    attrs = {
        "pin": attr.label(allow_single_file = True, doc = "pin.json of the pin.", mandatory = True),
        "_tool": attr.label(cfg = "exec", default = "//image:labels_tool", executable = True),
    },
)
