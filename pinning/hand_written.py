"""Checks the hand-written requirements of a pin."""

from packaging.requirements import InvalidRequirement, Requirement

from pinning.errors import PinError
from repositories.addresses import holds_credentials, shown


def check_requirements(option: str, data: bytes) -> None:
    """Check the text of constraints.in or modules.in, which is kept in git and passed to uv.

    Only requirements (PEP 508) for packages on the index are allowed: an option such as
    ``--index-url``, or a package from an address, would bring in files that no lock pins.

    Args:
        option: the name of the file in messages.
        data: its bytes.

    Raises:
        PinError: if a line is not allowed (the message has its number) or the text is not UTF-8.
    """
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise PinError(f"{option}: it is not UTF-8") from None
    for number, line in enumerate(lines, 1):
        where = f"{option}: line {number}"
        if holds_credentials(line):
            raise PinError(
                f"{where} has an address with a user, password or query in it; leave it out, as "
                "the file becomes part of the pin"
            )
        text = line.partition("#")[0].strip() if line.lstrip()[:1] == "#" else line
        text = text.partition(" #")[0].strip()
        if not text:
            continue
        if text.startswith("-"):
            raise PinError(
                f"{where}: {shown(text.split()[0].partition('=')[0])!r} is an option; write "
                "only requirements, and set the index with PIP_INDEX_URL"
            )
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            raise PinError(
                f"{where}: {shown(text)!r} is not a requirement such as NAME or NAME<2"
            ) from None
        if requirement.url:
            raise PinError(
                f"{where}: {requirement.name} is taken from a URL; packages are taken only from "
                "the package index"
            )
