"""Fetches everything that a Synapse pin names: source, crates, wheels, and sdists."""

load(":python.bzl", "private_python")
load(":python_files.bzl", "download_files")

_BUILD = """\
package(default_visibility = ["//visibility:public"])

exports_files(["source.tar", "crates.json", "pin.json"])

[
    filegroup(
        name = folder,
        srcs = glob([folder + "/*"], allow_empty = True),
    )
    for folder in ["build_wheels", "module_sdists", "modules", "sdists", "wheels"]
]
"""
_FOLDERS = ["build_wheels", "module_sdists", "modules", "sdists", "wheels"]
_ARCHITECTURE = "amd64"

def _vendor_crates(rctx):
    """Vendors the crates in the source's Cargo.lock into `vendor`; cargo checks each hash."""
    lock = "source/Cargo.lock"
    if not rctx.path(lock).exists:
        rctx.file("crates.json", "{}\n")
        return
    command = private_python(rctx, "vendor_crates") + ["--source", "source"]
    command += ["--root", "%s/root" % rctx.path(rctx.attr.build_root).dirname, "--target", "vendor"]
    rctx.report_progress("vendoring crates")
    done = rctx.execute(command, timeout = 1800)
    if done.return_code:
        fail("\nerror: %s: %s" % (rctx.attr.folder, done.stderr.strip().removeprefix("error: ")))

    # Identifies the content of the folder `vendor` next to it: cargo checked it against this lock.
    rctx.file("crates.json", json.encode({"Cargo.lock": rctx.read(lock)}))

def _bring_source(rctx, pin, remedy):
    """Writes `source.tar` and the folder `source`, checking everything against pin.json."""
    command = private_python(rctx, "source_tree")
    command += ["--name", rctx.attr.folder, "--pin", rctx.path(rctx.attr.pin)]
    if "sdist" in pin:
        sdist = pin["sdist"]
        download_files(rctx, [sdist], "download", remedy)
        command += ["--sdist", "download/" + sdist["filename"]]
    for lock in rctx.attr.locks:
        command += ["--lock", rctx.path(lock)]
    for patch in rctx.attr.patches:
        command += ["--patch", rctx.path(patch)]
    rctx.report_progress("bringing the source")
    done = rctx.execute(command, timeout = 1800)
    if done.return_code:
        fail("\n" + done.stderr.strip())

def _synapse_pin_impl(rctx):
    text = rctx.read(rctx.attr.pin)
    pin = json.decode(text)
    files = json.decode(rctx.read(rctx.attr.files))["files"]
    remedy = "./bazelw run pin -- --update " + rctx.attr.folder
    _bring_source(rctx, pin, remedy)
    for folder in _FOLDERS:
        wanted = [
            file
            for file in files
            if file["folder"] == folder and _ARCHITECTURE in file["architectures"]
        ]
        if wanted:
            download_files(rctx, wanted, folder, remedy)
    _vendor_crates(rctx)
    rctx.delete("source")
    rctx.file("pin.json", text)
    rctx.file("BUILD.bazel", _BUILD)

synapse_pin = repository_rule(
    implementation = _synapse_pin_impl,
    doc = "The inputs of one pin.",
    attrs = {
        "build_root": attr.label(mandatory = True, doc = "stamp.json of the root with cargo."),
        "files": attr.label(mandatory = True, doc = "files.lock.json of the pin."),
        "folder": attr.string(mandatory = True, doc = "The pin's folder below //config/pins."),
        "locks": attr.label_list(doc = "The files whose sha256 is in pin.json."),
        "patches": attr.label_list(doc = "Patches, applied to the source in order of their names."),
        "pin": attr.label(mandatory = True, doc = "pin.json of the pin."),
    },
)
