"""What an sdist says it requires, read without running anything of it.

uv asks the build backend, and a setup.py such as psycopg2's then wants the compiler's tools.
"""

import hashlib
import io
import tarfile
from email.parser import HeaderParser

from packaging.requirements import Requirement

from config.private.source_files import uncompressed
from tools.pinning.errors import PinError
from tools.pinning.index import File, file_bytes


def of_egg_info(text: str) -> tuple[list[str], dict[str, list[str]]]:
    """Return what the requires.txt of setuptools says: always, and by extra."""
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
    """Return the requirements of the sdist ``file`` of the index, extras left out.

    Raises:
        PinError: when it cannot be fetched, or says what cannot be read.
    """
    data = file_bytes(file)
    if hashlib.sha256(data).hexdigest() != file["hashes"].get("sha256"):
        raise PinError(f"{file['filename']} has not the hash that the index names")
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
        found = [Requirement(text) for text in named]
    except (tarfile.TarError, OSError, KeyError, ValueError) as error:
        # InvalidRequirement is a ValueError.
        raise PinError(f"{file['filename']} cannot be read: {error}") from None
    for requirement in found:
        if requirement.url:
            raise PinError(
                f"{file['filename']} wants {requirement.name} from an address; packages come from "
                "the package index alone"
            )
    return [
        text
        for text, requirement in zip(named, found, strict=True)
        if "extra" not in str(requirement.marker or "")
    ]
