"""Adds bytecode for every Python file in a layer, independently of the layer's other content."""

import importlib.util
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from layer_error import LayerError
from tar_writer import Layer

_WORKER = Path(__file__).with_name("compile_worker.py")
# No site module and no environment, so that a worker's state depends only on the interpreter.
_COMMAND = (sys.executable, "-I", "-S", "-B", "-W", "ignore", str(_WORKER))


def cache_path(path: str) -> str:
    """Return the path where the import system looks for the bytecode of ``path`` (PEP 3147)."""
    return importlib.util.cache_from_source(path, optimization="")


def _compile(sources: Sequence[tuple[str, bytes]]) -> list[bytes]:
    """Compile ``sources`` with one worker; the result is empty for a file that does not compile."""
    result = []
    with subprocess.Popen(
        _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"LC_ALL": "C.UTF-8"}
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        for path, source in sources:
            name = os.fsencode("/" + path)
            worker.stdin.write(struct.pack("<II", len(name), len(source)) + name + source)
            worker.stdin.flush()
            head = worker.stdout.read(4)
            if len(head) < 4:
                raise LayerError(f"{path}: the compiler ended without an answer")
            result.append(worker.stdout.read(struct.unpack("<I", head)[0]))
    return result


def add_bytecode(layer: Layer) -> list[str]:
    """Add the bytecode of every .py file in ``layer``; return the paths that are not Python 3."""
    paths = [
        path
        for path, entry in layer.entries().items()
        if path.endswith(".py") and entry.kind == "file"
    ]
    workers = len(os.sched_getaffinity(0))
    shares = [paths[first::workers] for first in range(workers)]
    failed = []
    with ThreadPoolExecutor(workers) as pool:
        # Read here and not in the threads, because the layer's spool has only one file position.
        texts = [[(path, layer.read(path)) for path in share] for share in shares]
        for share, compiled in zip(shares, pool.map(_compile, texts), strict=True):
            for path, data in zip(share, compiled, strict=True):
                if data:
                    layer.file(cache_path(path), data, path)
                else:
                    failed.append(path)
    return sorted(failed)
