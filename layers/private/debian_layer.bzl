"""The rule that builds the base layer from Debian packages."""

load(":write_layer.bzl", "WRITE_LAYER_ATTRS", "write_layer")

_ATTRS = WRITE_LAYER_ATTRS | {
    "debs": attr.label(allow_files = [".deb"], doc = "The .deb files.", mandatory = True),
    "leave_out": attr.string_dict(doc = "The packages in `debs` to leave out, each with a reason."),
}

def _debian_layer_impl(ctx):
    for package, reason in ctx.attr.leave_out.items():
        if not reason:
            fail("%s: leave_out has no reason for %s; give one" % (
                ctx.label,
                package,
            ))
    args = ctx.actions.args()
    args.add_all(ctx.files.debs, before_each = "--deb")
    args.add_all(sorted(ctx.attr.leave_out.keys()), before_each = "--leave-out")
    return write_layer(ctx, "debian", args, ctx.files.debs, "Debian packages")

debian_layer = rule(
    implementation = _debian_layer_impl,
    doc = "The base layer: Debian packages, users, CAs, writable folders, and the linker cache.",
    attrs = _ATTRS,
)
