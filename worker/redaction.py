"""Masks secrets in the output of print-config, and in other programs' errors that quote settings.

An option is judged by its name, by its position (in a third party's configuration, below a secret),
and by its text (a password in a URL, a private key).  redaction_documented_test.py compares the
result with the documentation of each pinned Synapse, and with the options that its configuration
classes reject under ``--no-secrets-in-config``.
"""

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any

from worker.quoted import without_values

MASK = "(masked)"

# Matches anywhere in a name, ignoring punctuation: clientSecret, client-secret, CLIENT_SECRET.
_SECRET_PARTS = re.compile(
    "secret|passw|passphrase|pepper|token|credential|bearer|(?:api|access|private|signing)key"
)
_SECRET_WORDS = frozenset(
    "authorization cookie dsn jwk jwks key keys otp pass pin psk pw pwd salt seed".split()
)
# If a name ends in one of these, its value is no secret, whatever precedes it: token_endpoint.
_PLAIN_ENDINGS = frozenset(
    """
    address age alg algorithm algorithms algs alias attribute attributes audience audiences base
    brand bucket burst class config configs count crv disabled domain domains enabled endpoint
    endpoints entity errors expires expiry field filter format host hosts html icon id ids interval
    issuer kid kty length lifetime limit localpart locale method methods metadata mode module
    modules name names parameters period policy port ports prefix providers region required reset
    rounds scope scopes server servers size subject subjects supported template templates timeout
    ts ttl txt type uri uris url urls use user username users validity version warning
    """.split()
)
# sslkey, sslcert and the like are parameters of libpq.
_PATH_ENDINGS = frozenset(
    """
    dir directories directory file filename files folder passfile path paths servicefile sslcert
    sslcrl sslcrldir sslkey sslrootcert
    """.split()
)
_PATH = re.compile(r"(?:/|\.{1,2}/|~/)[^/\s]+/\S.*|[\w.-]+\.[A-Za-z]{2,4}|/")
# Public by their purpose: keys of other servers, our own retired keys, the parts of a token.
_PUBLIC = re.compile(
    r"public|_pub_|verify_?keys?\b|^old_signing_keys$|^jwt_(?:header|payload)$", re.IGNORECASE
)
# Third-party code accepts any option in these.
_THIRD_PARTIES = frozenset(
    """
    ldap_config media_storage_providers modules password_providers presence_router sp_config
    spam_checker third_party_event_rules user_mapping_provider
    """.split()
)
_SWITCH_WORDS = frozenset("accept allow enable inhibit require requires suppress trust use".split())

# The group ``secret`` of each pattern matches the secret.
_TEXT_PATTERNS = [
    # The password of a URL, up to the last @, since an @ is often not escaped; not a port.
    re.compile(r"[A-Za-z][\w+.-]*://[^\s:@/?#]*:(?!\d+[/?#])(?P<secret>\S+)@"),
    # A token without a user before it, as git and Sentry accept it.
    re.compile(r"https?://(?P<secret>[^\s:@/?#]+)@"),
    # libpq's keywords, and the parameters of a URL.
    re.compile(
        r"(?i)(?:passw(?:or)?d|passphrase|pwd|secret|token|(?:api|access|private)_?key|[?&]key"
        r"|[?&]sig(?:nature)?)\s*[=:]\s*"
        r"""(?P<secret>'(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?|[^\s&;,]+)"""
    ),
    re.compile(r"(?i)\b(?:bearer|basic)\s+(?P<secret>[\w+/=.~-]{8,})"),
    # A private key (RFC 7468), and a signing key as Synapse writes it.
    re.compile(r"(?s)(?P<secret>-----BEGIN [A-Z ]*PRIVATE KEY-----.*)"),
    re.compile(r"\bed25519 \w+ (?P<secret>[A-Za-z0-9+/]{40,})"),
]
# A connection string of libpq, in which a password can be distinguished from the rest.
_CONNECTION = re.compile(r"(?:\s*[a-z_]+\s*=\s*(?:'(?:[^'\\]|\\.)*'|[^\s'\\]\S*))+\s*")


class _Context(Enum):
    """How the names of an option and of the options that contain it classify its value."""

    PLAIN = auto()
    PUBLIC = auto()
    THIRD_PARTY = auto()
    SECRET = auto()


def _words(name: str) -> list[str]:
    """Return the words of an option's name in lower case; camel case is split too."""
    return re.findall("[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower())


def _names_secret(name: str) -> bool:
    words = _words(name)
    return bool(_SECRET_PARTS.search("".join(words)) or _SECRET_WORDS & set(words))


def _context_of(name: str, value: Any, parent: _Context) -> _Context:
    """Return the context of the option ``name`` inside a mapping whose context is ``parent``."""
    is_container = isinstance(value, dict | list | tuple)
    ending = (_words(name) or [""])[-1]
    if parent is _Context.PUBLIC or _PUBLIC.search(name):
        return _Context.PUBLIC
    if ending in _PATH_ENDINGS and (_names_secret(name) or parent is _Context.SECRET):
        # The operator may have set the secret itself instead of a path.
        return _Context.PLAIN if _PATH.fullmatch(str(value)) else _Context.SECRET
    if ending in _PLAIN_ENDINGS | _PATH_ENDINGS:
        if is_container:
            return _Context.THIRD_PARTY if name in _THIRD_PARTIES else parent
        return _Context.PLAIN
    if isinstance(value, bool) and _SWITCH_WORDS & set(_words(name)):
        return _Context.PLAIN
    if _names_secret(name):
        return _Context.SECRET
    return _Context.THIRD_PARTY if is_container and name in _THIRD_PARTIES else parent


def _mask_text(text: str, secrets: list[Any]) -> str:
    """Return ``text`` with the secrets in it masked, and add them to ``secrets``."""

    def mask(match: re.Match[str]) -> str:
        secret = match["secret"]
        if secret == MASK:
            return match[0]
        secrets.append(secret.strip("'\""))
        start, end = match.start("secret") - match.start(), match.end("secret") - match.start()
        return match[0][:start] + MASK + match[0][end:]

    for pattern in _TEXT_PATTERNS:
        text = pattern.sub(mask, text)
    return text


def _mask_value(value: Any, name: str, context: _Context, secrets: list[Any]) -> Any:
    """Return ``value`` with every secret in it masked, and add the secrets to ``secrets``."""
    if isinstance(value, dict):
        return {
            _mask_text(key, secrets) if isinstance(key, str) else key: _mask_value(
                item, str(key), _context_of(str(key), item, context), secrets
            )
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_mask_value(item, name, context, secrets) for item in value]
    if value is None or value == "":
        return value
    if isinstance(value, str) and (context is not _Context.SECRET or _is_connection(value, name)):
        if context is not _Context.THIRD_PARTY:
            return _mask_text(value, secrets)
    elif not isinstance(value, bytes | set) and context is not _Context.SECRET:
        return value
    secrets += value if isinstance(value, set) else [value]
    return MASK


def _is_connection(text: str, name: str) -> bool:
    """Return whether ``text`` is a data source name whose secrets ``_mask_text`` finds."""
    is_dsn = "dsn" in _words(name)
    return is_dsn and bool(
        _CONNECTION.fullmatch(text) or re.match(r"[a-z][a-z+]*://[^\s@]+@", text)
    )


def masked_text(text: str) -> str:
    """Return ``text`` with passwords of URLs, private keys and the like masked."""
    return _mask_text(text, [])


def masked(document: Any) -> Any:
    """Return ``document`` with the same structure, and with every secret in it masked."""
    return _mask_value(document, "", _Context.PLAIN, [])


def secrets_of(document: Any) -> Iterator[Any]:
    """Yield every value, or part of a text, that ``masked`` would mask."""
    secrets: list[Any] = []
    _mask_value(document, "", _Context.PLAIN, secrets)
    yield from secrets


def without_secrets(text: str, document: Any) -> str:
    """Return ``text``, such as another program's error, with ``document``'s secrets masked."""
    return masked_text(without_values(text, secrets_of(document), MASK))
