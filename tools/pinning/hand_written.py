"""Checks the requirements that an administrator writes by hand into a pin."""

from packaging.requirements import InvalidRequirement, Requirement

from config.private.addresses import holds_credentials, shown
from tools.pinning.errors import PinError


def check_requirements(option: str, data: bytes) -> None:
    """Check the text of constraints.in or modules.in, which is kept in git and given to uv.

    Only requirements (PEP 508) of packages of the index are taken: an option such as
    ``--index-url``, or a package from an address, would bring in what no lock holds still.

    Args:
        option: which file it is, for messages.
        data: its bytes.

    Raises:
        PinError: naming the line.
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
                "requirements alone, and name the index with PIP_INDEX_URL"
            )
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            raise PinError(
                f"{where}: {shown(text)!r} is not a requirement such as NAME or NAME<2"
            ) from None
        if requirement.url:
            raise PinError(
                f"{where}: {requirement.name} is taken from an address; packages come from the "
                "package index alone"
            )
