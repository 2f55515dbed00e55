"""Fetches everything one Synapse pin names: source, crates, wheels and sdists."""

load(":machine.bzl", "MACHINE_ENVIRON")
load(":python_files.bzl", "download_files")

_BUILD = """\
package(default_visibility = ["//visibility:public"])

exports_files(["source.tar.gz", "crates.json", "pin.json"])

filegroup(
    name = "wheels",
    srcs = glob(["wheels/*.whl"]),
)

filegroup(
    name = "sdists",
    srcs = glob(["sdists/*"], allow_empty = True),
)

filegroup(
    name = "build_wheels",
    srcs = glob(["build_wheels/*.whl"]),
)
"""

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

def _synapse_pin_impl(rctx):
    text = rctx.read(rctx.attr.pin)
    pin = json.decode(text)
    lock = json.decode(rctx.read(rctx.attr.lock))
    source = {"filename": pin["sdist"], "name": pin["project"], "sha256": pin["sha256"]}
    download_files(rctx, [source], "download")
    rctx.symlink("download/" + pin["sdist"], "source.tar.gz")
    for folder in ["wheels", "sdists", "build_wheels"]:
        download_files(rctx, [file for file in lock["files"] if file["folder"] == folder], folder)
    rctx.extract("source.tar.gz", output = "source", stripPrefix = pin["sdist"][:-len(".tar.gz")])
    _vendor_crates(rctx)
    rctx.delete("source")
    rctx.file("pin.json", text)
    rctx.file("BUILD.bazel", _BUILD)

synapse_pin = repository_rule(
    implementation = _synapse_pin_impl,
    doc = "The inputs of one pin.",
    attrs = {
        "build_root": attr.label(mandatory = True, doc = "stamp.json of the root whose cargo vendors."),
        "lock": attr.label(mandatory = True, doc = "files.lock.json of the pin."),
        "pin": attr.label(mandatory = True, doc = "pin.json of the pin."),
    },
    environ = MACHINE_ENVIRON + ["SSL_CERT_FILE", "HOME"],
)
