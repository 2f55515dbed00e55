"""Fetches the Debian packages in a lock and checks each against its sha256."""

load(":machine.bzl", "MACHINE_ENVIRON", "debian_mirrors", "without_password")

_EXPLAIN = Label("//repositories:explain_download.py")

def download_packages(rctx, lock, folder):
    """Downloads every package of `lock` into `folder`, in parallel.

    Args:
        rctx: the repository context.
        lock: the decoded lock.
        folder: the folder for the .deb files.

    Returns:
        The file names, in the lock's order.
    """
    mirrors = debian_mirrors(rctx)
    archive = rctx.os.environ.get("DEBIAN_ARCHIVE", "")
    rctx.report_progress("fetching %d Debian packages" % len(lock["packages"]))
    names = []
    waiting = []
    for package in lock["packages"]:
        name = package["path"].split("/")[-1]
        names.append(name)
        bases = [mirrors[package["archive"]]]
        if archive:
            bases.append(archive.replace("{archive}", package["archive"]))
        auth = {}
        for base in bases:
            plain, credentials = without_password(base)
            auth["%s/%s" % (plain, package["path"])] = credentials
        urls = auth.keys()
        auth = {url: credentials for url, credentials in auth.items() if credentials}
        waiting.append((package, auth, urls, rctx.download(
            allow_fail = True,
            auth = auth,
            block = False,
            output = folder + "/" + name,
            sha256 = package["sha256"],
            url = urls,
        )))
    for package, auth, urls, download in waiting:
        if not download.wait().success:
            _explain(rctx, lock, package, urls, auth)
    return names

def _explain(rctx, lock, package, urls, auth):
    """Fails with a message that says why a package could not be downloaded and how to fix it."""
    python = rctx.which("python3")
    if not python:
        fail("python3 is not on PATH; install it, to learn why a download failed")
    said = rctx.execute(
        [python, "-I", rctx.path(_EXPLAIN), package["sha256"]] + urls,
        # Not passed as an argument, because every user of the machine could read it there.
        environment = {"DOWNLOAD_AUTH": json.encode(auth)},
        timeout = 300,
    )
    fail("%s %s cannot be fetched: %s. Update the lock with: %s; or use an archive of old packages: %s" % (
        package["name"],
        package["version"],
        said.stdout.strip(),
        "./bazelw run pin -- debian --update --suite " + lock["suite"],
        "--repo_env=DEBIAN_ARCHIVE=ADDRESS",
    ))

_BUILD = """\
package(default_visibility = ["//visibility:public"])

filegroup(
    name = "debs",
    srcs = glob(["debs/*.deb"]),
)

exports_files(["lock.json"])
"""

def _debian_packages_impl(rctx):
    lock = json.decode(rctx.read(rctx.attr.lock))
    download_packages(rctx, lock, "debs")
    rctx.file("lock.json", rctx.read(rctx.attr.lock))
    rctx.file("BUILD.bazel", _BUILD)

debian_packages = repository_rule(
    implementation = _debian_packages_impl,
    doc = "The .deb files of one lock.",
    attrs = {"lock": attr.label(mandatory = True, doc = "NAME.lock.json in //config/debian.")},
    environ = MACHINE_ENVIRON,
)

_ROOT_BUILD = """\
package(default_visibility = ["//visibility:public"])

# Stands for the whole root: its bytes name the lock, and so the content.
exports_files(["stamp.json"])
"""

def _debian_root_impl(rctx):
    text = rctx.read(rctx.attr.lock)
    names = download_packages(rctx, json.decode(text), "debs")
    python = rctx.which("python3")
    if not python:
        fail("python3 is not on PATH; install it, since it unpacks the build root")
    rctx.report_progress("unpacking %d Debian packages" % len(names))
    done = rctx.execute(
        [python, "-I", rctx.path(rctx.attr._unpack), "--root", "root", "--debs", "debs"],
        timeout = 1800,
    )
    if done.return_code:
        fail(done.stderr.strip())
    rctx.delete("debs")
    rctx.file("stamp.json", text)
    rctx.file("BUILD.bazel", _ROOT_BUILD)

debian_root = repository_rule(
    implementation = _debian_root_impl,
    doc = "The packages of one lock, unpacked into the folder `root` next to `stamp.json`.",
    attrs = {
        "lock": attr.label(mandatory = True, doc = "NAME.lock.json in //config/debian."),
        "_unpack": attr.label(default = "//repositories:unpack.py"),
    },
    environ = MACHINE_ENVIRON,
)
