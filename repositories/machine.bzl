"""Reads the addresses of mirrors from the machine's package clients, so that none is fixed here."""

def _trimmed(address):
    return address.rstrip("/")

# The only code that reads apt's sources; bazelw sources the same file.
_MIRRORS = Label("//debian_mode:mirrors.sh")

def debian_mirrors(rctx):
    """Returns the addresses of the Debian archives that apt on this machine uses.

    Args:
        rctx: the repository context.

    Returns:
        A dict from archive ("debian", "debian-security") to its address.
    """
    variables = {"debian": "DEBIAN_MIRROR", "debian-security": "DEBIAN_SECURITY_MIRROR"}
    found = {archive: _trimmed(rctx.os.environ.get(name, "")) for archive, name in variables.items()}
    if "" not in found.values():
        return found
    bash = rctx.which("bash")
    if not bash:
        fail("bash is not on PATH; install it, since it reads apt's sources")
    done = rctx.execute([bash, rctx.path(_MIRRORS)])
    if done.return_code:
        fail("error: " + done.stderr.strip())
    for line in done.stdout.splitlines():
        archive, _, address = line.partition(" ")
        found[archive] = address
    if not found["debian"]:
        fail("no Debian archive in this machine's apt sources; set one: " +
             "--repo_env=DEBIAN_MIRROR=ADDRESS")
    return found

# The characters that percent encodings in a user or password decode to: printable ASCII from 0x20.
_PRINTABLE = """ !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"""

def _decoded(text):
    parts = text.split("%")
    return parts[0] + "".join([_PRINTABLE[int(part[:2], 16) - 0x20] + part[2:] for part in parts[1:]])

def without_password(address):
    """Separates the user and password from an address: Bazel would print them and not use them.

    Args:
        address: an address, with or without USER:PASSWORD@.

    Returns:
        The address without them, and a value for the `auth` argument of rctx.download, or None.
    """
    scheme, separator, rest = address.partition("://")
    authority, slash, path = rest.partition("/")
    if "@" not in authority:
        return address, None
    credentials, _, host = authority.rpartition("@")
    login, _, password = credentials.partition(":")
    auth = {"login": _decoded(login), "password": _decoded(password), "type": "basic"}
    return scheme + separator + host + slash + path, auth

def _pip(rctx, *arguments):
    python = rctx.which("python3")
    if not python:
        return ""
    done = rctx.execute([python, "-I"] + list(arguments), environment = {"PIP_FIND_LINKS": ""})
    return done.stdout.strip() if done.return_code == 0 else ""

def package_index(rctx):
    """Returns the address of the Python package index ("simple" API) that pip on this machine uses.

    Args:
        rctx: the repository context.

    Returns:
        The address without a trailing slash.
    """
    address = (
        rctx.os.environ.get("PIP_INDEX_URL", "") or
        _pip(rctx, "-m", "pip", "config", "get", "global.index-url") or
        _pip(rctx, "-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)")
    )
    if not address:
        fail("no Python package index is known: install pip for python3, or set one: " +
             "--repo_env=PIP_INDEX_URL=ADDRESS")
    return _trimmed(address)

MACHINE_ENVIRON = ["DEBIAN_ARCHIVE", "DEBIAN_MIRROR", "DEBIAN_SECURITY_MIRROR", "PIP_INDEX_URL"]
