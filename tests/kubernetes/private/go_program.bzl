"""A rule that compiles a Go program from pinned modules with the pinned Go."""

load("//sandbox:defs.bzl", "BUILD_ROOT_ATTRS", "run_in_build_root")

_ATTRS = BUILD_ROOT_ATTRS | {
    "modules": attr.label(
        allow_single_file = True,
        doc = "go.sum of the modules that the program needs.",
        mandatory = True,
    ),
    "srcs": attr.label_list(
        allow_files = True,
        doc = "The files of package main, and go.mod and go.sum.",
        mandatory = True,
    ),
    "_build_root": attr.label(
        allow_single_file = True,
        default = "@go_root//:stamp.json",
        doc = "Identifies the content of the root with Go, which is next to it.",
    ),
    "_tool": attr.label(
        allow_single_file = True,
        default = "//tests/kubernetes/private:build_program.py",
        doc = "The program that calls Go.",
    ),
}

def _go_program_impl(ctx):
    program = ctx.actions.declare_file(ctx.attr.out or ctx.label.name)
    args = ctx.actions.args()
    args.add("--modules", ctx.file.modules)
    args.add("--output", program)
    args.add_all(ctx.files.srcs, before_each = "--source")
    if ctx.attr.vet:
        args.add("--vet")
    run_in_build_root(
        ctx,
        tool = ctx.file._tool,
        arguments = [args],
        beside = [ctx.file.modules],
        inputs = ctx.files.srcs,
        outputs = [program],
        mnemonic = "GoProgram",
        progress_message = "Compiling %{label} (this takes minutes)",
    )
    return [DefaultInfo(executable = program, files = depset([program]))]

go_program = rule(
    implementation = _go_program_impl,
    doc = "A static program of Go's package main, whose format is that of gofmt.",
    attrs = _ATTRS | {
        "out": attr.string(doc = "The program's path; by default, its name."),
        "vet": attr.bool(doc = "Also run go vet, which takes as long as compiling."),
    },
    executable = True,
)
