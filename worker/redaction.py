"""Masks secrets in what is printed: print-config, and errors of others that quote them."""

from typing import Any

_SHORTEST = 4  # Characters of what is searched for in somebody else's message.
_SECRET_WORDS = ("secret", "password", "key", "token", "dsn", "pepper")


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
