"""Prepares the parent's memory for its children, which get a copy of each page that they write to.

CPython counts the references to each object in the object itself: even reading an object writes to
its page, and a forked process then gets a copy of that page.  Since CPython 3.12, an object with
one certain count is immortal, and its count is never written (PEP 683, proposed first of all for
servers that fork).  There is no function to ask for it, so the count is set in memory.

Only objects that exist before the fork become immortal.  Nearly all of them would live as long as
the process anyway; if a child drops one, its memory is not freed.
"""

import ctypes
import gc
import struct
import sys
from collections import deque
from itertools import repeat

# CPython's own constant; the lower half of an 8-byte field, in the versions that were tried.
_IMMORTAL = 0xFFFFFFFF
_VERSIONS = ((3, 12), (3, 13))
_PURGE_ALL_ARENAS = b"arena.4096.purge"  # MALLCTL_ARENAS_ALL of jemalloc.


def _is_supported() -> bool:
    """Return whether this interpreter counts references as expected, and None is immortal."""
    return (
        sys.implementation.name == "cpython"
        and sys.version_info[:2] in _VERSIONS
        and sys.byteorder == "little"
        and struct.calcsize("P") == 8
        and not hasattr(sys, "gettotalrefcount")  # A debug build has more fields.
        and getattr(sys, "_is_gil_enabled", lambda: True)()
        and ctypes.c_uint64.from_address(id(None)).value == _IMMORTAL == sys.getrefcount(None)
    )


def make_immortal() -> int:
    """Make all objects that the garbage collector knows immortal; return how many there are.

    These are the functions, classes, modules and containers.  With the other objects to which they
    refer, such as strings, a tenth more would be shared, but finding those takes a second.

    It does nothing, and returns 0, where this is not supported.
    """
    if not _is_supported():
        return 0
    objects = gc.get_objects()
    # Sets the lower half; the upper half is 0.
    deque(map(ctypes.memset, map(id, objects), repeat(0xFF), repeat(4)), maxlen=0)
    return len(objects)


def release_free_memory() -> None:
    """Give memory that is allocated but not used back to the kernel."""
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "mallctl"):  # jemalloc is preloaded.
        allocator.mallctl(_PURGE_ALL_ARENAS, None, None, None, ctypes.c_size_t(0))
    elif hasattr(allocator, "malloc_trim"):
        allocator.malloc_trim(ctypes.c_size_t(0))
