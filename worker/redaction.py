"""Masks secrets in output: of print-config, and of errors of other programs that quote settings.

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
_SWITCHES = frozenset("accept allow enable inhibit require requires suppress trust use".split())

# The group ``secret`` of each pattern matches the secret.
_IN_TEXT = [
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


class _Place(Enum):
    """What the names above a value say about it."""

    PLAIN = auto()
    PUBLIC = auto()
    THIRD_PARTY = auto()
    SECRET = auto()


def _words(name: str) -> list[str]:
    """Return the words of an option's name, which may be in camel case, in lower case."""
    return re.findall("[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower())


def _names_secret(name: str) -> bool:
    words = _words(name)
    return bool(_SECRET_PARTS.search("".join(words)) or _SECRET_WORDS & set(words))


def _place(name: str, value: Any, above: _Place) -> _Place:
    """Return the place of the value of the option ``name`` in a mapping of the place ``above``."""
    holds = isinstance(value, dict | list | tuple)
    ending = (_words(name) or [""])[-1]
    if above is _Place.PUBLIC or _PUBLIC.search(name):
        return _Place.PUBLIC
    if ending in _PATH_ENDINGS and (_names_secret(name) or above is _Place.SECRET):
        # The operator may have set the secret itself instead of a path.
        return _Place.PLAIN if _PATH.fullmatch(str(value)) else _Place.SECRET
    if ending in _PLAIN_ENDINGS | _PATH_ENDINGS:
        third = holds and name in _THIRD_PARTIES
        return _Place.THIRD_PARTY if third else above if holds else _Place.PLAIN
    if isinstance(value, bool) and _SWITCHES & set(_words(name)):
        return _Place.PLAIN
    if _names_secret(name):
        return _Place.SECRET
    return _Place.THIRD_PARTY if holds and name in _THIRD_PARTIES else above


def _split_text(text: str, secrets: list[Any]) -> str:
    """Return ``text`` with the secrets inside it masked; add them to ``secrets``."""

    def mask(match: re.Match[str]) -> str:
        secret = match["secret"]
        if secret == MASK:
            return match[0]
        secrets.append(secret.strip("'\""))
        start, end = match.start("secret") - match.start(), match.end("secret") - match.start()
        return match[0][:start] + MASK + match[0][end:]

    for pattern in _IN_TEXT:
        text = pattern.sub(mask, text)
    return text


def _split(value: Any, name: str, place: _Place, secrets: list[Any]) -> Any:
    """Return ``value`` with every secret in it masked; add them to ``secrets``."""
    if isinstance(value, dict):
        return {
            _split_text(key, secrets) if isinstance(key, str) else key: _split(
                part, str(key), _place(str(key), part, place), secrets
            )
            for key, part in value.items()
        }
    if isinstance(value, list | tuple):
        return [_split(part, name, place, secrets) for part in value]
    if value is None or value == "":
        return value
    if isinstance(value, str) and (place is not _Place.SECRET or _is_connection(value, name)):
        if place is not _Place.THIRD_PARTY:
            return _split_text(value, secrets)
    elif not isinstance(value, bytes | set) and place is not _Place.SECRET:
        return value
    secrets += value if isinstance(value, set) else [value]
    return MASK


def _is_connection(text: str, name: str) -> bool:
    """Return whether ``text`` is a data source name whose secrets ``_split_text`` finds."""
    named = "dsn" in _words(name)
    return named and bool(_CONNECTION.fullmatch(text) or re.match(r"[a-z][a-z+]*://[^\s@]+@", text))


def masked_text(text: str) -> str:
    """Return ``text`` with passwords of URLs, private keys and the like masked."""
    return _split_text(text, [])


def masked(document: Any) -> Any:
    """Return ``document`` with the same structure, and with every secret in it masked."""
    return _split(document, "", _Place.PLAIN, [])


def secrets_of(document: Any) -> Iterator[Any]:
    """Yield every value, or part of a text, that ``masked`` would mask."""
    secrets: list[Any] = []
    _split(document, "", _Place.PLAIN, secrets)
    yield from secrets


def without_secrets(text: str, document: Any) -> str:
    """Return ``text``, such as another program's error, with ``document``'s secrets masked."""
    return masked_text(without_values(text, secrets_of(document), MASK))
