"""Fetches the Python distributions in a lock, using the pages of the package index (PEP 503)."""

load(":machine.bzl", "package_index")
load(":python.bzl", "private_python")

def _anchors(page):
    """Returns the (file name, address) pairs on an index page: one anchor per file (PEP 503)."""
    found = []
    for anchor in page.split("<a ")[1:]:
        head, _, rest = anchor.partition(">")
        address = head.partition('href="')[2].partition('"')[0].partition("#")[0]
        found.append((rest.partition("<")[0].strip(), address.replace("&amp;", "&")))
    return found

def _parts(rctx, index):
    """Splits the index address into one without user and password, and a value for `auth`."""
    if "@" not in index:
        return index, None
    done = rctx.execute(
        private_python(rctx, "http_client"),
        environment = {"PACKAGE_INDEX": index},
    )
    if done.return_code:
        fail("the address of the package index cannot be read; is PIP_INDEX_URL right?")
    parts = json.decode(done.stdout)
    auth = {"login": parts["login"], "password": parts["password"], "type": "basic"}
    return parts["address"], auth

def _server(address):
    return "/".join(address.split("/")[:3]).lower()

def _fetch_pages(rctx, index, projects):
    """Fetches the index pages of `projects` into `.index`."""
    if index.startswith("http://"):
        command = private_python(rctx, "fetch_pages") + [".index"] + projects

        # Not passed as an argument, because every user of the machine could read it there.
        done = rctx.execute(command, environment = {"PACKAGE_INDEX": index})
        if done.return_code:
            fail(done.stderr.strip())
        return

    # Bazel would print a user and password in an address, and not use them.
    plain, auth = _parts(rctx, index)
    addresses = {project: "%s/%s/" % (plain, project) for project in projects}
    pages = [
        rctx.download(
            auth = {address: auth} if auth else {},
            block = False,
            output = ".index/" + project,
            url = address,
        )
        for project, address in addresses.items()
    ]
    for page in pages:
        page.wait()

def download_files(rctx, files, folder, remedy):
    """Downloads `files` into `folder`: first the index pages, then the files, each in parallel.

    Args:
        rctx: the repository context.
        files: dicts with `name` (normalized project name), `filename` and `sha256`.
        folder: the folder for the files.
        remedy: the command that updates their lock.
    """
    address = package_index(rctx)
    index, auth = _parts(rctx, address)
    projects = {file["name"]: None for file in files}
    rctx.report_progress("asking the package index for %d projects" % len(projects))
    _fetch_pages(rctx, address, projects.keys())
    addresses = {}
    for project in projects:
        for filename, link in _anchors(rctx.read(".index/" + project)):
            addresses[filename] = (link, project)
    rctx.delete(".index")
    rctx.report_progress("fetching %d Python distributions" % len(files))
    waiting = []
    for file in files:
        if file["filename"] not in addresses:
            fail("%s is not in the package index any more; update its lock: %s" % (
                file["filename"],
                remedy,
            ))
        url, project = addresses[file["filename"]]
        if "://" not in url:
            # Relative to the page, or to the server if it starts with a slash.
            server = "/".join(index.split("/")[:3])
            url = server + url if url.startswith("/") else "%s/%s/%s" % (index, project, url)

        # The credentials of the index must not be sent to other servers.
        known = auth if _server(url) == _server(index) else None
        waiting.append(rctx.download(
            auth = {url: known} if known else {},
            block = False,
            output = "%s/%s" % (folder, file["filename"]),
            sha256 = file["sha256"],
            url = url,
        ))
    for download in waiting:
        download.wait()

# One folder, not a file for each of its thousands: Bazel links every input of an action into its
# sandbox, which takes longer than many a test.  It never changes after it was fetched.
_BUILD = """\
load("@rules_python//python:defs.bzl", "py_library")

package(default_visibility = ["//visibility:public"])

py_library(
    name = "site",
    data = ["packages"],
    imports = ["packages"],
)
"""

# For actions, which run with another Python: Bazel tracks the content of files, not of folders.
_SOURCES = """
filegroup(
    name = "sources",
    srcs = glob(["packages/**/*.py"]),
)
"""

def _python_site_impl(rctx):
    only = rctx.attr.only
    locked = json.decode(rctx.read(rctx.attr.lock))["files"]
    files = [file for file in locked if not only or file["name"] in only]
    missing = [name for name in only if name not in [file["name"] for file in files]]
    if missing:
        fail("%s is not in %s; add it to requirements.in" % (missing[0], rctx.attr.lock))
    download_files(rctx, files, "wheels", "./bazelw run //tools:lock_python")
    for file in files:
        # A wheel is a zip file, but rctx.extract decides by the file name extension.
        rctx.symlink("wheels/" + file["filename"], "wheels/%s.zip" % file["name"])
        rctx.extract("wheels/%s.zip" % file["name"], output = "packages")
    for script in rctx.path("packages").readdir():
        if script.basename.endswith(".data"):
            done = rctx.execute(["chmod", "-R", "u+x", str(script)])
            if done.return_code:
                fail(done.stderr)
    rctx.delete("wheels")

    # Without bytecode, each test would compile pytest again, because it cannot write here.  Where
    # the machine's Python is of another version than the tests', this is of no use, and no harm.
    compiling = [rctx.which("python3"), "-I", "-m", "compileall", "-q", "-j", "0"]
    rctx.execute(compiling + ["--invalidation-mode", "unchecked-hash", "packages"])
    rctx.file("BUILD.bazel", _BUILD + (_SOURCES if only else ""))

# No `environ`, as in synapse_pin.bzl: the variables only say where the files are, and the files are
# locked. Bazel would also store the values, which may include a password, next to the repository.
python_site = repository_rule(
    implementation = _python_site_impl,
    doc = "Wheels unpacked into one import root, used by the tools and tests of this repository.",
    attrs = {
        "lock": attr.label(mandatory = True, doc = "NAME.lock.json, by //tools:lock_python."),
        "only": attr.string_list(doc = "The projects in the lock to use; by default, all of them."),
    },
)
