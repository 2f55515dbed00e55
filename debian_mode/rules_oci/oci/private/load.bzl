"""oci_load: a tarball, and a script that loads it into the available container engine."""

def _oci_load_impl(ctx):
    tarball = ctx.actions.declare_file(ctx.label.name + "/tarball.tar")
    args = ctx.actions.args()
    args.add("tarball")
    args.add_all([ctx.file.image], before_each = "--image", expand_directories = False)
    args.add("--tags", ctx.file.repo_tags)
    args.add("--output", tarball)
    ctx.actions.run(
        executable = ctx.executable._tool,
        arguments = [args],
        inputs = depset([ctx.file.image, ctx.file.repo_tags], transitive = [ctx.attr.image[OutputGroupInfo]._layers]),
        outputs = [tarball],
        mnemonic = "OCITarball",
        progress_message = "Writing the tarball of %{label}",
    )
    script = ctx.actions.declare_file(ctx.label.name + ".sh")
    ctx.actions.expand_template(
        template = ctx.file._template,
        output = script,
        substitutions = {"{{tarball}}": tarball.short_path},
        is_executable = True,
    )
    return [
        DefaultInfo(executable = script, files = depset([script]), runfiles = ctx.runfiles([tarball])),
        OutputGroupInfo(tarball = depset([tarball])),
    ]

oci_load_rule = rule(
    implementation = _oci_load_impl,
    doc = "Loads an image into docker or podman; output group `tarball` has the tarball.",
    attrs = {
        "image": attr.label(allow_single_file = True, mandatory = True),
        "repo_tags": attr.label(allow_single_file = True, mandatory = True),
        "_template": attr.label(allow_single_file = True, default = "//oci/private:load.sh"),
        "_tool": attr.label(cfg = "exec", default = "@//debian_mode/oci_layout", executable = True),
    },
    executable = True,
)
