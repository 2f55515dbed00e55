"""oci_push: pushes an image by digest and then tags it, with crane."""

def _oci_push_impl(ctx):
    script = ctx.actions.declare_file(ctx.label.name + ".sh")
    ctx.actions.expand_template(
        template = ctx.file._template,
        output = script,
        substitutions = {
            "{{image}}": ctx.file.image.short_path,
            "{{repository}}": ctx.attr.repository,
        },
        is_executable = True,
    )
    runfiles = ctx.runfiles([ctx.file.image], transitive_files = ctx.attr.image[OutputGroupInfo]._layers)
    return [DefaultInfo(executable = script, runfiles = runfiles)]

oci_push_rule = rule(
    implementation = _oci_push_impl,
    doc = "Pushes an image; takes --repository and --tag as in rules_oci.",
    attrs = {
        "image": attr.label(allow_single_file = True, mandatory = True),
        "repository": attr.string(doc = "The repository to push to without --repository."),
        "_template": attr.label(allow_single_file = True, default = "//oci/private:push.sh"),
    },
    executable = True,
)
