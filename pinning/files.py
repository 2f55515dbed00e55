"""Writes several files atomically."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path


def write_atomically(texts: Mapping[Path, str]) -> None:
    """Write each text to its path; all are written to temporary files before the first rename."""
    waiting = []
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            waiting.append((temporary, path))
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(temporary, 0o644)
        for temporary, path in waiting:
            os.replace(temporary, path)
    finally:
        for temporary, _ in waiting:
            Path(temporary).unlink(missing_ok=True)
