"""The replication secret that needs no configuration, and the masking of those that do."""

import hashlib
import hmac
from pathlib import Path
from typing import Any

_LABEL = b"synapse-worker: worker_replication_secret, version 1"
_SHORTEST = 4  # Characters of what is looked for in the words of others.
_SECRET_WORDS = ("secret", "password", "key", "token", "dsn", "pepper")


def derived_secret(signing_key: Path) -> str:
    """Return the replication secret that follows from the signing key, as 64 hexadecimal digits.

    HKDF-SHA256 (RFC 5869) over the first key's seed, without salt: one block is enough.  All
    processes mount that file anyway, and the label keeps the secret apart from any other use.
    """
    seed = signing_key.read_text(encoding="utf-8").split()[2]
    extracted = hmac.digest(b"\0" * 32, seed.encode(), hashlib.sha256)
    return hmac.digest(extracted, _LABEL + b"\x01", hashlib.sha256).hex()


def _is_secret(value: Any, name: str) -> bool:
    lower = name.lower()
    named = any(word in lower for word in _SECRET_WORDS) and not lower.endswith("path")
    return named and isinstance(value, str | int) and not isinstance(value, bool)


def masked(value: Any, name: str = "") -> Any:
    """Return ``value`` with every secret in it replaced, for print-config and bug reports."""
    if isinstance(value, dict):
        return {key: masked(part, str(key)) for key, part in value.items()}
    if isinstance(value, list):
        return [masked(part, name) for part in value]
    return "(masked)" if _is_secret(value, name) else value


def without_secrets(text: str, document: Any, name: str = "") -> str:
    """Return ``text`` without the secrets of ``document``: somebody else's error may quote them."""
    if isinstance(document, dict):
        for key, part in document.items():
            text = without_secrets(text, part, str(key))
    elif isinstance(document, list):
        for part in document:
            text = without_secrets(text, part, name)
    elif _is_secret(document, name) and len(str(document)) >= _SHORTEST:
        text = text.replace(str(document), "(masked)")
    return text
