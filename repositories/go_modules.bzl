"""Fetches the Go modules that a go.mod names, with the pinned Go."""

load(":python.bzl", "private_python")

_FETCH = Label("//repositories:fetch_modules.py")

_ATTRS = {
    "go_mod": attr.label(mandatory = True, doc = "The go.mod."),
    "go_root": attr.label(
        default = "@go_root//:stamp.json",
        doc = "stamp.json of the root with Go.",
    ),
    "go_sum": attr.label(mandatory = True, doc = "The go.sum, with the hash of each module."),
}

def _fetch(rctx, arguments):
    """Fetches the modules into the folder `cache`, and go.mod and go.sum beside it."""
    for name, label in [("go.mod", rctx.attr.go_mod), ("go.sum", rctx.attr.go_sum)]:
        rctx.file(name, rctx.read(label), executable = False)
    command = private_python(rctx, "fetch_modules") + ["--module", ".", "--cache", "cache"]
    command += ["--root", "%s/root" % rctx.path(rctx.attr.go_root).dirname]
    rctx.path(_FETCH)  # Bazel fetches again when the program changes.
    rctx.report_progress("fetching Go modules")
    done = rctx.execute(command + arguments, timeout = 1800)
    if done.return_code:
        fail("\nerror: %s: %s" % (rctx.attr.go_mod, done.stderr.strip().removeprefix("error: ")))

_MODULES_BUILD = """\
# Stands for the whole folder `cache` next to it: Go checked the modules against it.
exports_files(
    ["go.sum"],
    visibility = ["//visibility:public"],
)
"""

def _go_modules_impl(rctx):
    _fetch(rctx, [])
    rctx.file("BUILD.bazel", _MODULES_BUILD)

# No `environ`, as in python_files.bzl: the variables only say where the modules are.
go_modules = repository_rule(
    implementation = _go_modules_impl,
    doc = "The modules that a go.mod requires: the folder `cache`, a GOMODCACHE, next to `go.sum`.",
    attrs = _ATTRS,
)

_FILES_BUILD = """\
filegroup(
    name = "files",
    srcs = glob(["files/*"]),
    visibility = ["//visibility:public"],
)
"""

def _go_module_files_impl(rctx):
    copies = []
    for module, patterns in rctx.attr.files.items():
        for pattern in patterns:
            copies += ["--copy", "%s:%s" % (module, pattern)]
    _fetch(rctx, ["--files", "files"] + copies)
    rctx.delete("cache")
    rctx.file("BUILD.bazel", _FILES_BUILD)

go_module_files = repository_rule(
    implementation = _go_module_files_impl,
    doc = "Files of the modules that a go.mod requires.",
    attrs = _ATTRS | {
        "files": attr.string_list_dict(mandatory = True, doc = "Patterns of files, by module."),
    },
)
