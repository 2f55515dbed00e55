"""The addresses that a source may be fetched from, and how they are shown without their secrets.

Standard library alone: repository rules run it before anything is fetched.
"""

import re
from pathlib import Path
from urllib.parse import unquote

DEFAULT_BASE = "https://github.com"
# git's transports that neither run a command of the address nor need a helper of their own.
SCHEMES = ("https", "http", "ssh", "git", "file")
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/(?!\.\.?$)[A-Za-z0-9._-]+")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*::")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9._-]*)(:[0-9]{0,5})?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
# [USER@]HOST:PATH; a colon after the first slash belongs to a path.
_SCP = re.compile(r"(?:([^/:]*)@)?(\[[^/\]]*\]|[^/:]*):(.+)", re.DOTALL)

_CREDENTIALS = (
    "leave the user, password or token out of the address, and give it to git by a credential "
    "helper or ~/.netrc"
)
# As greedy as a word is long: a password may have any character, encoded or not.
_USERINFO = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*(?:://|%3a%2f%2f|:%2f%2f|:/(?!/)))([^\s'\"<>`]*)(@|%40)",
    re.IGNORECASE,
)
_SCP_PASSWORD = re.compile(r"(?<![^\s'\"`=(])([^\s/:@'\"`]+:[^\s/@'\"`]+)@(?=[^\s@])")
_QUERY = re.compile(r"(://[^\s?#'\"<>`]*)[?#][^\s'\"<>`]*")


class SourceError(Exception):
    """The source cannot be had as pinned; the message is the one line for the user.

    What looks like a credential in it is masked, whoever wrote that part of the message: git,
    cargo and a server quote addresses too.
    """

    def __init__(self, message: str) -> None:
        super().__init__(redacted(message))


def _masked_user(match: re.Match[str]) -> str:
    scheme, user, at = match.groups()
    low = scheme.lower()
    if (low.endswith("ssh://") and _USER.fullmatch(user)) or low + user[:1] == "file:///":
        return match[0]
    return f"{scheme}***{at}"


def redacted(text: str) -> str:
    """Return ``text`` with the users, passwords, queries and fragments of addresses masked.

    The plain user of an SSH address, such as ``git``, is kept: it lets nobody in.
    """
    text = _USERINFO.sub(_masked_user, text)
    text = _SCP_PASSWORD.sub("***@", text)
    return _QUERY.sub(r"\1?***", text)


def shown(value: str) -> str:
    """Return an address that was refused as a message may quote it; a blank hides no password."""
    return redacted(re.sub(r"[\x00-\x20\x7f\\]", "", value))


def holds_credentials(text: str) -> bool:
    """Whether ``text`` has an address with a user, password, query or fragment in it."""
    return redacted(text) != text


def is_slug(repository: str) -> bool:
    """Whether ``repository`` is OWNER/NAME."""
    return _SLUG.fullmatch(repository) is not None


def _url_problem(scheme: str, rest: str) -> str:
    if scheme not in SCHEMES:
        return f"its scheme is not one of {', '.join(SCHEMES)}"
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    plain = scheme == "ssh" and _USER.fullmatch(user)
    if at and not plain:
        if scheme == "ssh" and user.startswith("-"):
            return "its user begins with a hyphen; ssh would take it as an option"
        return _CREDENTIALS
    if "?" in rest or "#" in rest:
        return f"it has a query or fragment, which may hold a token; {_CREDENTIALS}"
    if scheme == "file":
        return "" if not authority and slash else "a file address is file:///PATH, without a host"
    if not _HOST.fullmatch(host):
        return "its host is neither a name nor an IP address"
    if "@" in unquote(path) and scheme != "ssh":
        return f"there is an @ in its path; {_CREDENTIALS}"
    return "" if path.strip("/") else "it names a server, and no repository there"


def address_problem(address: str) -> str:
    """Return why git is not to be given ``address``; "" when it may be.

    Takes URLs of `SCHEMES` and ``[USER@]HOST:PATH`` (https://git-scm.com/docs/git-fetch#_git_urls).
    """
    if address.startswith("-"):
        return "it begins with a hyphen; git would take it as an option"
    if re.search(r"[\x00-\x20\x7f\\]", address):
        return "it has a blank, a control character or a backslash in it"
    if _HELPER.match(address):
        return f"it names a transport helper; use one of {', '.join(SCHEMES)}"
    url = _SCHEME.fullmatch(address)
    if url:
        return _url_problem(url[1], url[2])
    scp = _SCP.fullmatch(address)
    if not scp:
        return "it is neither OWNER/NAME nor an address nor a path that begins with ., / or ~"
    user, host, path = scp.groups()
    if (user is None and "@" in path) or (user is not None and not user.strip()):
        return _CREDENTIALS
    if user is not None and not _USER.fullmatch(user):
        return "its user has characters that no user of ssh has"
    if not _HOST.fullmatch(host) or path.startswith("-"):
        return "its host or path is not one that ssh can be given"
    return ""


def git_address(repository: str, base: str = "") -> str:
    """Return the address of a repository: a slug below ``base``, or the address that it is.

    Raises:
        SourceError: when it has credentials, or is nothing that git is to be given.
    """
    if is_slug(repository):
        root = (base or DEFAULT_BASE).rstrip("/")
        # A folder is a base too, as long as it means the same in every working directory.
        root = Path(root).as_uri() if root.startswith("/") else root
        address = f"{root}/{repository}"
        problem = address_problem(address)
        if problem:
            raise SourceError(f"--base={shown(base)} ($SYNAPSE_GIT_BASE): {problem}")
        return address
    problem = address_problem(repository)
    if problem:
        raise SourceError(f"--repo={shown(repository)}: {problem}")
    return repository


def public_source(address: str) -> str:
    """Return what the image's labels may say of where a source is: "" for a path of one machine."""
    return "" if address.startswith("file:") or address_problem(address) else address
