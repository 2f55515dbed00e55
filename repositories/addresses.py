"""Validates the addresses that a source may be fetched from, and masks the secrets in them.

Uses only the standard library, because repository rules run it before anything is fetched.
"""

import re
from pathlib import Path
from urllib.parse import unquote

DEFAULT_BASE = "https://github.com"
# The git transports that neither run a command from the address nor need a separate helper.
SCHEMES = ("https", "http", "ssh", "git", "file")
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/(?!\.\.?$)[A-Za-z0-9._-]+")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*::")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9._-]*)(:[0-9]{0,5})?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
# [USER@]HOST:PATH. A colon after the first slash is part of a path.
_SCP = re.compile(r"(?:([^/:]*)@)?(\[[^/\]]*\]|[^/:]*):(.+)", re.DOTALL)

_CREDENTIALS = (
    "leave the user, password or token out of the address, and give it to git by a credential "
    "helper or ~/.netrc"
)
# Greedy up to the end of the word: a password may contain any character, encoded or not.
_USERINFO = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*(?:://|%3a%2f%2f|:%2f%2f|:/(?!/)))([^\s'\"<>`]*)(@|%40)",
    re.IGNORECASE,
)
_SCP_PASSWORD = re.compile(r"(?<![^\s'\"`=(])([^\s/:@'\"`]+:[^\s/@'\"`]+)@(?=[^\s@])")
_QUERY = re.compile(r"(://[^\s?#'\"<>`]*)[?#][^\s'\"<>`]*")


class SourceError(Exception):
    """The source is not available as pinned; the message is the line to show to the user.

    Anything in the message that looks like a credential is masked, including in the parts that git,
    cargo, or a server wrote, because they quote addresses too.
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
    """Return ``text`` with the users, passwords, queries, and fragments of addresses masked.

    The plain user of an SSH address, such as ``git``, is kept, because it is not a secret.
    """
    text = _USERINFO.sub(_masked_user, text)
    text = _SCP_PASSWORD.sub("***@", text)
    return _QUERY.sub(r"\1?***", text)


def shown(value: str) -> str:
    """Return a rejected address in a form that is safe to show.

    Whitespace, control characters, and backslashes are removed first, so that a password that
    contains them is still recognized and masked.
    """
    return redacted(re.sub(r"[\x00-\x20\x7f\\]", "", value))


def holds_credentials(text: str) -> bool:
    """Tell whether ``text`` contains an address with a user, password, query, or fragment."""
    return redacted(text) != text


def is_slug(repository: str) -> bool:
    """Tell whether ``repository`` has the form OWNER/NAME."""
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
    return "" if path.strip("/") else "it names a server, but no repository on it"


def address_problem(address: str) -> str:
    """Return why ``address`` must not be passed to git, or "" if it may be.

    Valid addresses are URLs with one of `SCHEMES`, and ``[USER@]HOST:PATH``
    (https://git-scm.com/docs/git-fetch#_git_urls).
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
        return "its user has characters that are not allowed in an ssh user"
    if not _HOST.fullmatch(host) or path.startswith("-"):
        return "its host or path is not one that ssh can be given"
    return ""


def git_address(repository: str, base: str = "") -> str:
    """Return the address of a repository.

    Args:
        repository: OWNER/NAME, which is relative to ``base``, or an address.
        base: an address or absolute path, or "" for `DEFAULT_BASE`.

    Raises:
        SourceError: if the address contains credentials or must not be passed to git.
    """
    if is_slug(repository):
        root = (base or DEFAULT_BASE).rstrip("/")
        # A folder can be a base too, if its path does not depend on the working directory.
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
    """Return the source address for the image's labels, or "" if it is a local path or invalid."""
    return "" if address.startswith("file:") or address_problem(address) else address
