"""What an sdist says it requires, read without running anything of it.

uv asks the build backend, and a setup.py such as psycopg2's then wants the compiler's tools.
"""

import hashlib
import io
import tarfile
from collections.abc import Mapping
from email.parser import HeaderParser

from packaging.requirements import Requirement

from tools.pinning.errors import PinError
from tools.pinning.index import File, opener


def fetch(file: Mapping[str, str]) -> bytes:
    """Return the bytes of a file that the index lists (``filename``, ``url``, ``hashes``)."""
    try:
        with opener().open(file["url"], timeout=300) as answer:
            data: bytes = answer.read()
    except OSError as error:
        raise PinError(f"{file['filename']} cannot be fetched: {error}") from None
    return data


def _of_egg_info(text: str) -> list[str]:
    """Return what the requires.txt of setuptools says beyond extras."""
    marker, found = "", []
    for line in (line.strip() for line in text.splitlines()):
        if line.startswith("["):
            marker = line.strip("[]")
        elif line and not marker:
            found.append(line)
        elif line and marker.startswith(":"):
            found.append(f"{line} ; {marker[1:]}")
    return found


def requires(file: File) -> list[str]:
    """Return the requirements of the sdist ``file`` of the index, extras left out.

    Raises:
        PinError: when it cannot be fetched.
    """
    data = fetch(file)
    if hashlib.sha256(data).hexdigest() != file["hashes"].get("sha256"):
        raise PinError(f"{file['filename']} has not the hash that the index names")
    texts = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            name = member.name.partition("/")[2]
            if name == "PKG-INFO" or name.endswith(".egg-info/requires.txt"):
                content = archive.extractfile(member)
                assert content is not None
                texts[name.rpartition("/")[2]] = content.read().decode("utf-8", "replace")
    headers = HeaderParser().parsestr(texts.get("PKG-INFO", ""))
    named = headers.get_all("Requires-Dist") or _of_egg_info(texts.get("requires.txt", ""))
    return [text for text in named if "extra" not in str(Requirement(text).marker or "")]
