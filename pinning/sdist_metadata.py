"""Reads the requirements of an sdist without running any of its code.

uv would run the build backend, and a setup.py such as psycopg2's then needs build tools.
"""

import hashlib
import io
import tarfile
from email.parser import HeaderParser

from packaging.requirements import Requirement

from pinning.errors import PinError
from pinning.index import File, file_bytes
from repositories.source_files import uncompressed


def of_egg_info(text: str) -> tuple[list[str], dict[str, list[str]]]:
    """Parse a requires.txt of setuptools; return the base requirements and those of each extra."""
    always: list[str] = []
    extras: dict[str, list[str]] = {}
    wanted, marker = always, ""
    for line in (line.strip() for line in text.splitlines()):
        if line.startswith("["):
            extra, _, marker = line.strip("[]").partition(":")
            wanted = extras.setdefault(extra, []) if extra else always
        elif line:
            wanted.append(f"{line} ; {marker}" if marker else line)
    return always, extras


def requires(file: File) -> list[str]:
    """Return the requirements of the sdist ``file`` on the index, without those of extras.

    Raises:
        PinError: if it cannot be fetched, or its metadata cannot be read.
    """
    data = file_bytes(file)
    if hashlib.sha256(data).hexdigest() != file["hashes"].get("sha256"):
        raise PinError(f"{file['filename']} does not have the hash that the index lists")
    texts = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(uncompressed(data)), mode="r:") as archive:
            for member in archive:
                name = member.name.removeprefix("./").partition("/")[2]
                if name == "PKG-INFO" or name.endswith(".egg-info/requires.txt"):
                    content = archive.extractfile(member)
                    if content is not None:
                        texts[name.rpartition("/")[2]] = content.read().decode("utf-8", "replace")
        headers = HeaderParser().parsestr(texts.get("PKG-INFO", ""))
        named = headers.get_all("Requires-Dist") or of_egg_info(texts.get("requires.txt", ""))[0]
        parsed = [Requirement(text) for text in named]
    except (tarfile.TarError, OSError, KeyError, ValueError) as error:
        # InvalidRequirement is a ValueError.
        raise PinError(f"{file['filename']} cannot be read: {error}") from None
    for requirement in parsed:
        if requirement.url:
            raise PinError(
                f"{file['filename']} requires {requirement.name} from a URL; packages are taken "
                "only from the package index"
            )
    return [
        text
        for text, requirement in zip(named, parsed, strict=True)
        if "extra" not in str(requirement.marker or "")
    ]
