"""The rule that builds the top layer from the sources of a py_binary."""

load(":write_layer.bzl", "WRITE_LAYER_ATTRS", "write_layer")

_ATTRS = WRITE_LAYER_ATTRS | {
    "binary": attr.label(doc = "The py_binary.", mandatory = True),
    "main": attr.label(
        allow_single_file = [".py"],
        doc = "The file that becomes its __main__.py.",
        mandatory = True,
    ),
}

# Only sources and data: the launcher, whose modules rules_python generates, differs between its
# versions, and the interpreter and PyYAML are in the layers below.
def _is_content(file):
    if file.short_path.startswith("../"):
        return False
    return file.extension == "json" or (file.extension == "py" and file.is_source)

def _entrypoint_layer_impl(ctx):
    runfiles = ctx.attr.binary[DefaultInfo].default_runfiles.files.to_list()
    files = [file for file in runfiles if _is_content(file)]
    args = ctx.actions.args()
    for file in files:
        args.add("--file", file, format = file.short_path + "=%s")
    args.add("--file", ctx.file.main, format = "__main__.py=%s")
    return write_layer(ctx, "program", args, files + [ctx.file.main], "the entrypoint")

entrypoint_layer = rule(
    implementation = _entrypoint_layer_impl,
    doc = "The sources and data of a py_binary, run as `python3 -I /usr/lib/synapse-worker`.",
    attrs = _ATTRS,
)
