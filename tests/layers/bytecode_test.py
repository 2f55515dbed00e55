"""Tests that bytecode depends only on its source and its path, not on the rest of the layer."""

import importlib.util
import marshal
from pathlib import Path
from types import CodeType

from bytecode import add_bytecode, cache_path
from tar_writer import Layer

SOURCES = {
    f"lib/m{number}.py": f"shared = 'abc'\ndef f{number}(path): return path, shared\n"
    for number in range(30)
}


def compiled(folder: Path, sources: dict[str, str]) -> dict[str, bytes]:
    """Return the bytecode of ``sources``, by path of the source."""
    with Layer(folder) as layer:
        for path, text in sources.items():
            layer.file(path, text.encode(), "test")
        assert add_bytecode(layer) == []
        return {path: layer.read(cache_path(path)) for path in sources}


def test_a_file_has_the_same_bytecode_whatever_lies_beside_it(tmp_path: Path) -> None:
    """Reference counts, which affect marshal's output, must not depend on files compiled before."""
    together = compiled(tmp_path, SOURCES)

    for path in ("lib/m0.py", "lib/m17.py"):
        assert compiled(tmp_path, {path: SOURCES[path]})[path] == together[path]


def test_bytecode_never_asks_for_its_source_and_names_the_image_path(tmp_path: Path) -> None:
    """Bytecode has an unchecked hash (PEP 552: flags 1) and the path that the image has."""
    data = compiled(tmp_path, {"lib/m.py": "a = 1\n"})["lib/m.py"]
    code = marshal.loads(data[16:])

    assert data[:4] == importlib.util.MAGIC_NUMBER
    assert data[4:8] == b"\x01\0\0\0"
    assert data[8:16] == importlib.util.source_hash(b"a = 1\n")
    assert isinstance(code, CodeType)
    assert code.co_filename == "/lib/m.py"
    assert code == compile("a = 1\n", "/lib/m.py", "exec", dont_inherit=True, optimize=0)


def test_what_is_not_python_3_is_named_and_gets_no_bytecode(tmp_path: Path) -> None:
    """Wheels may contain templates and Python 2 files, which are reported and not compiled."""
    with Layer(tmp_path) as layer:
        layer.file("lib/old.py", b"print 'x'\n", "test")
        layer.file("lib/nul.py", b"\0", "test")
        layer.file("lib/new.py", b"", "test")

        assert add_bytecode(layer) == ["lib/nul.py", "lib/old.py"]
        assert cache_path("lib/old.py") not in layer
        assert cache_path("lib/new.py") in layer
