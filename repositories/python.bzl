"""Runs a program in //repositories with the machine's own Python."""

_SOURCES = [
    Label("//repositories:%s.py" % module)
    for module in [
        "addresses",
        "fetch_pages",
        "git_client",
        "http_client",
        "source_files",
        "source_tree",
        "vendor_crates",
    ]
]

# The workspace folder comes last, so that nothing in it can shadow the standard library.
_RUN = "import sys; sys.path.append(sys.argv.pop(1)); " + \
       "from repositories.%s import main; sys.exit(main(sys.argv[1:]))"

def private_python(rctx, module):
    """Returns the command that runs `main` of a module in //repositories, without its arguments.

    Args:
        rctx: the repository context.
        module: the module's name.

    Returns:
        A list for rctx.execute.
    """
    python = rctx.which("python3")
    if not python:
        fail("python3 is not on PATH; install it, since it fetches what Bazel itself cannot")

    # rctx.path makes Bazel fetch the repository again when one of them changes.
    sources = [rctx.path(source) for source in _SOURCES]
    return [python, "-I", "-B", "-c", _RUN % module, sources[0].dirname.dirname]
