"""What the machine's own package clients say: base addresses, so that none is written down here."""

def _trimmed(address):
    return address[:-1] if address.endswith("/") else address

def debian_mirrors(rctx):
    """The addresses of the Debian archives, as apt on this machine knows them.

    Args:
        rctx: the repository context.

    Returns:
        A dict from archive ("debian", "debian-security") to its address.
    """
    found = {
        "debian": rctx.os.environ.get("DEBIAN_MIRROR", ""),
        "debian-security": rctx.os.environ.get("DEBIAN_SECURITY_MIRROR", ""),
    }
    sources = [rctx.path("/etc/apt/sources.list")]
    folder = rctx.path("/etc/apt/sources.list.d")
    if folder.exists:
        sources += folder.readdir()
    words = []
    for source in sources:
        if source.exists:
            words += rctx.read(source, watch = "no").replace("\n", " ").split(" ")
    for archive in found:
        for word in words:
            if not found[archive] and "://" in word and _trimmed(word).endswith("/" + archive):
                found[archive] = _trimmed(word)
    if not found["debian"]:
        fail("no Debian archive in this machine's apt sources; give one: " +
             "--repo_env=DEBIAN_MIRROR=ADDRESS")
    if not found["debian-security"]:
        found["debian-security"] = found["debian"] + "-security"
    return found

def _pip(rctx, *arguments):
    python = rctx.which("python3")
    if not python:
        return ""
    done = rctx.execute([python, "-I"] + list(arguments), environment = {"PIP_FIND_LINKS": ""})
    return done.stdout.strip() if done.return_code == 0 else ""

def package_index(rctx):
    """The address of the Python package index ("simple" API), as pip on this machine knows it.

    Args:
        rctx: the repository context.

    Returns:
        The address without its last slash.
    """
    address = (
        rctx.os.environ.get("PIP_INDEX_URL", "") or
        _pip(rctx, "-m", "pip", "config", "get", "global.index-url") or
        _pip(rctx, "-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)")
    )
    if not address:
        fail("no Python package index is known: install pip for python3, or give one: " +
             "--repo_env=PIP_INDEX_URL=ADDRESS")
    return _trimmed(address)

MACHINE_ENVIRON = ["DEBIAN_ARCHIVE", "DEBIAN_MIRROR", "DEBIAN_SECURITY_MIRROR", "PIP_INDEX_URL"]
