"""Rules that compile wheels from pinned sdists in the build root."""

load("//sandbox:defs.bzl", "BUILD_ROOT_ATTRS", "run_in_build_root")

_ATTRS = {
    "backends": attr.label(doc = "The wheels of the build backends.", mandatory = True),
    "_tool": attr.label(
        allow_single_file = True,
        default = "//synapse_wheel/private:build_wheels.py",
        doc = "The program that builds the wheels.",
    ),
}

def _synapse_wheel_impl(ctx):
    wheel = ctx.actions.declare_file(ctx.attr.filename)
    args = ctx.actions.args()
    args.add("--sdist", ctx.file.source)
    args.add("--output", wheel)
    args.add("--crates", ctx.file.crates)
    args.add_all(ctx.files.backends, before_each = "--backend")
    run_in_build_root(
        ctx,
        tool = ctx.file._tool,
        arguments = [args],
        beside = [ctx.file.crates],
        inputs = [ctx.file.source] + ctx.files.backends,
        outputs = [wheel],
        mnemonic = "SynapseWheel",
        progress_message = "Compiling Synapse, its Rust part included (about two minutes)",
    )
    return [DefaultInfo(files = depset([wheel]))]

synapse_wheel = rule(
    implementation = _synapse_wheel_impl,
    doc = "The wheel of the pinned Synapse, built from source.",
    attrs = _ATTRS | BUILD_ROOT_ATTRS | {
        "crates": attr.label(allow_single_file = True, doc = "crates.json of the pin.", mandatory = True),
        "filename": attr.string(doc = "The wheel's file name.", mandatory = True),
        "source": attr.label(allow_single_file = True, doc = "source.tar of the pin.", mandatory = True),
    },
)

def _compiled_wheels_impl(ctx):
    folder = ctx.actions.declare_directory(ctx.label.name)
    args = ctx.actions.args()
    args.add_all(ctx.files.sdists, before_each = "--sdist")
    args.add_all([folder], before_each = "--output-folder", expand_directories = False)
    args.add_all(ctx.files.backends, before_each = "--backend")
    run_in_build_root(
        ctx,
        tool = ctx.file._tool,
        arguments = [args],
        inputs = ctx.files.sdists + ctx.files.backends,
        outputs = [folder],
        mnemonic = "CompiledWheels",
        progress_message = "Compiling the dependencies that exist as source only",
    )
    return [DefaultInfo(files = depset([folder]))]

compiled_wheels = rule(
    implementation = _compiled_wheels_impl,
    doc = "A folder of wheels, built from the sdists of dependencies.",
    attrs = _ATTRS | BUILD_ROOT_ATTRS | {
        "sdists": attr.label(doc = "The sdists.", mandatory = True),
    },
)
