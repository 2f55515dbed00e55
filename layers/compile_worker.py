"""Compiles the Python files that it receives on standard input, each in a separate process.

The output of marshal depends on what its process did before (whether a string has one reference or
more). Therefore, each file is compiled in a fork of this process, which always does the same few
things, so that the bytecode of a file depends only on the file and its path.
"""

import importlib.util
import marshal
import os
import struct
import sys

_REQUEST = struct.Struct("<II")  # The lengths of path and source, which follow.
_REPLY = struct.Struct("<I")  # The length of the bytecode, which follows; 0 if not Python 3.
_UNCHECKED_HASH = struct.Struct("<I").pack(1)  # PEP 552: never checked against the source.


def bytecode(path: str, source: bytes) -> bytes:
    """Return the .pyc of ``source`` for a file at ``path``; empty if it does not compile."""
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, RecursionError):
        return b""
    header = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(source)
    return header + marshal.dumps(code)


def main() -> int:
    """Answer requests until standard input ends; return the exit code."""
    requests = sys.stdin.buffer
    while head := requests.read(_REQUEST.size):
        path_size, source_size = _REQUEST.unpack(head)
        path = os.fsdecode(requests.read(path_size))
        source = requests.read(source_size)
        child = os.fork()
        if child == 0:
            data = bytecode(path, source)
            with os.fdopen(1, "wb") as replies:
                replies.write(_REPLY.pack(len(data)) + data)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
