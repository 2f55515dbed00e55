"""Compiles Python files to bytecode that never asks for its source, the same on every machine."""

import importlib.util
import multiprocessing
from pathlib import PurePosixPath

from tar_writer import Layer

# Where CPython's own py_compile takes it from.
_bootstrap_external = importlib.import_module("importlib._bootstrap_external")

# What marshal writes depends on what its process did before: so the number of processes and the
# share of each are fixed, and every process starts afresh.
_PROCESSES = 4


def _compile_share(share: list[tuple[str, bytes]]) -> list[tuple[str, bytes | None]]:
    result: list[tuple[str, bytes | None]] = []
    for path, source in share:
        try:
            code = compile(source, "/" + path, "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError):
            result.append((path, None))
            continue
        digest = importlib.util.source_hash(source)
        pyc = _bootstrap_external._code_to_hash_pyc(code, digest, checked=False)
        result.append((path, bytes(pyc)))
    return result


def cache_path(path: str) -> str:
    """Return where the import system looks for the bytecode of ``path`` (PEP 3147)."""
    plain = PurePosixPath(path)
    tag = importlib.util.cache_from_source(plain.name).rpartition("/")[2]
    return str(plain.parent / "__pycache__" / tag)


def add_bytecode(layer: Layer) -> list[str]:
    """Add the bytecode of every .py of ``layer``; return those that are not Python 3."""
    sources = sorted(
        (path, entry.data)
        for path, entry in layer.entries.items()
        if path.endswith(".py") and entry.kind == "file"
    )
    shares = [sources[place::_PROCESSES] for place in range(_PROCESSES)]
    with multiprocessing.get_context("spawn").Pool(_PROCESSES, maxtasksperchild=1) as pool:
        compiled = pool.map(_compile_share, shares, chunksize=1)
    failed = []
    for share in compiled:
        for path, pyc in share:
            if pyc is None:
                failed.append(path)
            else:
                layer.file(cache_path(path), pyc, path)
    return sorted(failed)
