"""Fetches everything one Synapse pin names: source, crates, wheels and sdists."""

load(":machine.bzl", "MACHINE_ENVIRON")
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

def _authorities(rctx):
    for path in [rctx.os.environ.get("SSL_CERT_FILE", ""), "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"]:
        if path and rctx.path(path).exists:
            return path
    fail("no bundle of certificate authorities; give one: --repo_env=SSL_CERT_FILE=PATH")

def _vendor_crates(rctx):
    """Vendors what the source's Cargo.lock names, with the pinned cargo; cargo checks each hash."""
    lock = "source/Cargo.lock"
    if not rctx.path(lock).exists:
        rctx.file("crates.json", "{}\n")
        return
    root = str(rctx.path(rctx.attr.build_root).dirname) + "/root"
    libraries = root + "/usr/lib/x86_64-linux-gnu"

    # A home of our own, so that nothing is written into the user's; its configuration is read.
    rctx.file("cargo_home/.keep", "")
    for name in ["config.toml", "config"]:
        config = rctx.path("%s/.cargo/%s" % (rctx.os.environ.get("HOME", "/"), name))
        if config.exists:
            rctx.symlink(config, "cargo_home/" + name)
    rctx.report_progress("vendoring crates")
    done = rctx.execute(
        [
            libraries + "/ld-linux-x86-64.so.2",
            "--library-path",
            libraries,
            root + "/usr/bin/cargo",
            "vendor",
            "--locked",
            "--quiet",
            "--versioned-dirs",
            "../vendor",
        ],
        environment = {
            "CARGO_HOME": str(rctx.path("cargo_home")),
            "CARGO_HTTP_CAINFO": _authorities(rctx),
        },
        timeout = 1800,
        working_directory = "source",
    )
    if done.return_code:
        fail("cargo vendor: " + done.stderr.strip())
    rctx.delete("cargo_home")

    # Names the content of `vendor`, which lies beside this file: cargo has checked it against this.
    rctx.file("crates.json", json.encode({"Cargo.lock": rctx.read(lock)}))

def _bring_source(rctx, pin, remedy):
    """Writes `source.tar` and the folder `source`, everything checked against pin.json."""
    python = rctx.which("python3")
    if not python:
        fail("python3 is not on PATH; it brings the source of the pin")
    command = [python, "-I", rctx.path(rctx.attr._source_tree)]
    command += ["--name", rctx.attr.folder, "--pin", rctx.path(rctx.attr.pin)]
    command += ["--base", rctx.os.environ.get("SYNAPSE_GIT_BASE", "")]
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
        "build_root": attr.label(mandatory = True, doc = "stamp.json of the root whose cargo vendors."),
        "files": attr.label(mandatory = True, doc = "files.lock.json of the pin."),
        "folder": attr.string(mandatory = True, doc = "The pin's folder below //config/pins."),
        "locks": attr.label_list(doc = "What pin.json has the sha256 of."),
        "patches": attr.label_list(doc = "Applied to the source, in the order of names."),
        "pin": attr.label(mandatory = True, doc = "pin.json of the pin."),
        "_source_tree": attr.label(default = "//config/private:source_tree.py"),
    },
    environ = MACHINE_ENVIRON + ["HOME", "SSL_CERT_FILE", "SYNAPSE_GIT_BASE"],
)
