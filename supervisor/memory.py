"""Prepares the parent's memory for its children, which get a copy of each page that they write to.

CPython counts the references to each object in the object itself: even reading an object writes to
its page, and a forked process then gets a copy of that page.  Since CPython 3.12, an object with
one certain count is immortal, and its count is never written (PEP 683, proposed first of all for
servers that fork).  There is no function to ask for it, so the count is set in memory.

Only objects that exist before the fork become immortal.  Nearly all of them would live as long as
the process anyway; if a child drops one, its memory is not freed.

The first look-up of an attribute in a class writes to the class as well, so the parent does that
once for all children.
"""

import ctypes
import gc
import struct
import sys
from collections.abc import Iterable
from itertools import chain
from types import CodeType, FunctionType

# CPython's own constant; the lower half of an 8-byte field, in the versions that were tried.
_IMMORTAL = 0xFFFFFFFF
_VERSIONS = ((3, 12), (3, 13))
_FIRST_ADDRESS = 4096
_WORDS = 1 << 46  # Of four bytes: the addresses of a process have at most 48 bits.
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


def _codes(objects: Iterable[object]) -> list[CodeType]:
    """Return the code of all functions among ``objects``, and the code that is nested in it."""
    codes = {id(one.__code__): one.__code__ for one in objects if type(one) is FunctionType}
    latest = list(codes.values())
    while latest:
        constants = chain.from_iterable(code.co_consts for code in latest)
        nested = {id(one): one for one in constants if type(one) is CodeType}
        latest = [code for identity, code in nested.items() if identity not in codes]
        codes |= nested
    return list(codes.values())


def _of_code(codes: Iterable[CodeType]) -> set[int]:
    """Return the IDs of code objects, and of their constants and names."""
    identities = set()
    for code in codes:
        identities.add(id(code))
        for values in (code.co_consts, code.co_names):
            identities.add(id(values))
            identities.update(map(id, values))
    return identities


def make_immortal() -> int:
    """Make all objects that the garbage collector knows immortal; return how many there are.

    These are the functions, classes, modules and containers.  The collector does not know code, nor
    its constants and names, but each call of a function refers to them, so they are added.  With
    all other objects, such as the strings in containers, still more would be shared, but finding
    those takes a second.

    It does nothing, and returns 0, where this is not supported.
    """
    if not _is_supported():
        return 0
    objects = gc.get_objects()
    of_code = _of_code(_codes(objects))
    words = (ctypes.c_uint32 * _WORDS).from_address(_FIRST_ADDRESS)
    # An item of this view is set in a quarter of the time that a call of memset takes.
    memory = memoryview(words).cast("B").cast("I")
    # Sets the lower half; the upper half is 0.
    for address in chain(map(id, objects), of_code):
        memory[(address - _FIRST_ADDRESS) >> 2] = _IMMORTAL
    return len(objects) + len(of_code)


def look_up_in_classes() -> None:
    """Look up an attribute in each class, which gives the class its version.

    CPython's cache of methods needs that version (`assign_version_tag` in Objects/typeobject.c),
    and the class would otherwise be written to at the first use in each child.
    """
    objects = gc.get_objects()
    metaclasses = {one for one in set(map(type, objects)) if issubclass(one, type)}
    for one in objects:
        if type(one) in metaclasses:
            type.__getattribute__(one, "__init__")


def release_free_memory() -> None:
    """Give memory that is allocated but not used back to the kernel."""
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "mallctl"):  # jemalloc is preloaded.
        allocator.mallctl(_PURGE_ALL_ARENAS, None, None, None, ctypes.c_size_t(0))
    elif hasattr(allocator, "malloc_trim"):
        allocator.malloc_trim(ctypes.c_size_t(0))
