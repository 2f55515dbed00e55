"""Compiles the Python files that arrive on its input, each in a process of its own.

What marshal writes depends on what its process did before (whether a string has one reference or
more).  So every file is compiled by a fork of this process, which itself does the same few things
on every machine: the bytecode of a file depends on that file and its path alone.
"""

import importlib.util
import marshal
import os
import struct
import sys

_REQUEST = struct.Struct("<II")  # Lengths of path and source, which follow.
_REPLY = struct.Struct("<I")  # Length of the bytecode, which follows; 0: not Python 3.
_UNCHECKED_HASH = struct.Struct("<I").pack(1)  # PEP 552: the source is never looked at again.


def bytecode(path: str, source: bytes) -> bytes:
    """Return the .pyc of ``source`` as if it lay at ``path``; empty when it does not compile."""
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, RecursionError):
        return b""
    header = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(source)
    return header + marshal.dumps(code)


def main() -> int:
    """Answer requests until the input ends; return the exit status."""
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
