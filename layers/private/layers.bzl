"""Rules that turn pinned inputs into deterministic layers."""

load("//build_root:defs.bzl", "BUILD_ROOT_ATTRS", "run_in_build_root")

_ATTRS = BUILD_ROOT_ATTRS | {
    "_modules": attr.label(default = "//layers:writer_modules", doc = "What the writer imports."),
    "_writer": attr.label(
        allow_single_file = True,
        default = "//layers:write_layer.py",
        doc = "Writes every layer.",
    ),
}

def _write(ctx, kind, arguments, inputs, what):
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

def _debian_layer_impl(ctx):
    args = ctx.actions.args()
    args.add_all(ctx.files.debs, before_each = "--deb")
    args.add_all(ctx.attr.leave_out.keys(), before_each = "--leave-out")
    return _write(ctx, "debian", args, ctx.files.debs, "Debian packages")

debian_layer = rule(
    implementation = _debian_layer_impl,
    doc = "The base: Debian packages, users, authorities, the linker's cache.",
    attrs = _ATTRS | {
        "debs": attr.label(doc = "The .deb files.", mandatory = True),
        "leave_out": attr.string_dict(doc = "Packages of the closure left out, each with why."),
    },
)

def _wheels_layer_impl(ctx):
    args = ctx.actions.args()
    args.add_all(ctx.files.wheels, before_each = "--wheel")
    if ctx.attr.scripts:
        args.add("--scripts")
    return _write(ctx, "wheels", args, ctx.files.wheels, "wheels")

wheels_layer = rule(
    implementation = _wheels_layer_impl,
    doc = "Wheels in the one site-packages folder, with bytecode.",
    attrs = _ATTRS | {
        "scripts": attr.bool(doc = "Whether console scripts go to /usr/local/bin."),
        "wheels": attr.label_list(doc = "The wheels, or folders of them.", mandatory = True),
    },
)

def _program_layer_impl(ctx):
    # Sources and data only: the launcher differs between versions of rules_python, and the
    # interpreter and PyYAML are those of the layers below.
    files = [
        file
        for file in ctx.attr.binary[DefaultInfo].default_runfiles.files.to_list()
        if file.extension in ["json", "py"] and not file.short_path.startswith("../")
    ]
    args = ctx.actions.args()
    for file in files:
        args.add("--file", file, format = file.short_path + "=%s")
    args.add("--file", ctx.file.main, format = "__main__.py=%s")
    return _write(ctx, "program", args, files + [ctx.file.main], "the entrypoint")

program_layer = rule(
    implementation = _program_layer_impl,
    doc = "The sources and data of a py_binary, to be run as `python3 -I /usr/lib/synapse-worker`.",
    attrs = _ATTRS | {
        "binary": attr.label(doc = "The py_binary.", mandatory = True),
        "main": attr.label(allow_single_file = True, doc = "Its __main__.py.", mandatory = True),
    },
)
