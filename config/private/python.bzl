"""Runs a program of //config/private with the machine's own Python."""

_SOURCES = [
    Label("//config/private:%s.py" % module)
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

# The folder of the workspace comes last, so that nothing in it stands in for the standard library.
_RUN = "import sys; sys.path.append(sys.argv.pop(1)); " + \
       "from config.private.%s import main; sys.exit(main(sys.argv[1:]))"

def private_python(rctx, module):
    """The command that runs `main` of a module of //config/private; its arguments follow.

    Args:
        rctx: the repository context.
        module: the module's name.

    Returns:
        A list for rctx.execute.
    """
    python = rctx.which("python3")
    if not python:
        fail("python3 is not on PATH; it fetches what Bazel itself cannot")

    # A change of any of them fetches anew.
    sources = [rctx.path(source) for source in _SOURCES]
    return [python, "-I", "-B", "-c", _RUN % module, sources[0].dirname.dirname.dirname]
