"""Finds values in the messages of other programs, in every form in which errors quote them."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

_MIN_LENGTH = 4  # Characters; a shorter value is only found as a whole word.
# So many characters at the start or end of a value identify it in a truncated message.
_MIN_CUT_LENGTH = 6


def _base64_forms(data: bytes) -> Iterator[str]:
    """Yield the base64 forms of ``data`` at any offset in a longer text (``user:password``)."""
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(b"\0" * offset + data).decode().rstrip("=")
            # Characters that also depend on the text before or after are left out.
            start = (0, 2, 3)[offset]
            end = len(encoded) - (1 if (offset + len(data)) % 3 else 0)
            if end - start >= 2 * _MIN_LENGTH:
                yield encoded[start:end]


def _forms(value: Any) -> set[str]:
    """Return the texts that may represent ``value`` in a message."""
    if isinstance(value, bytes):
        data, text = value, value.decode("latin-1")
        forms = {text, repr(value)[2:-1], data.hex()}
    else:
        text = str(value)
        data = text.encode(errors="surrogatepass")
        forms = {text if isinstance(value, str) else repr(value)}
    forms |= {repr(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    forms |= {" ".join(text.split()), text.replace("'", "''"), text.replace("\\", "\\\\")}
    forms |= {repr(json.dumps(text))[2:-2]}
    for encoded in (quote(data, safe=""), quote(data), quote_plus(data)):
        forms |= {encoded, encoded.lower(), re.sub("%..", lambda match: match[0].lower(), encoded)}
    forms |= set(_base64_forms(data))
    return {form for form in forms if form.strip()}


def _common_prefix_length(form: str, excerpt: str) -> int:
    """Return the length of the common prefix of ``form`` and ``excerpt``, which is not longer."""
    return next(
        (length for length, character in enumerate(excerpt) if character != form[length]),
        len(excerpt),
    )


def _truncated_spans(text: str, form: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of ``text`` that contain the start or the end of a truncated ``form``."""
    for match in re.finditer(re.escape(form[:_MIN_CUT_LENGTH]), text):
        excerpt = text[match.start() : match.start() + len(form)]
        yield match.start(), match.start() + _common_prefix_length(form, excerpt)
    for match in re.finditer(re.escape(form[-_MIN_CUT_LENGTH:]), text):
        excerpt = text[: match.end()][-len(form) :]
        yield match.end() - _common_prefix_length(form[::-1], excerpt[::-1]), match.end()


def _spans(text: str, form: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of ``text`` that contain ``form``, a word of it, its start or its end."""
    words = [form]
    if len(form) >= _MIN_LENGTH:
        for match in re.finditer(re.escape(form), text):
            yield match.span()
        # libpq quotes one word of a connection string that it cannot parse.
        words = [word for word in re.split(r"[\s=:;,&@/'\"]+", form) if len(word) >= _MIN_LENGTH]
    if len(form) >= _MIN_CUT_LENGTH + 2:
        yield from _truncated_spans(text, form)
    for word in words:
        for match in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text):
            yield match.span()


def without_values(text: str, values: Iterable[Any], mask: str) -> str:
    """Return ``text`` with ``mask`` in place of each value and of recognizable parts of it."""
    hidden = bytearray(len(text))
    # True and False are common words in messages, and reveal nothing.
    for value in values:
        if not isinstance(value, bool):
            for form in _forms(value):
                for start, end in _spans(text, form):
                    hidden[start:end] = b"\1" * (end - start)
    parts = re.finditer(b"\1+|\0+", bytes(hidden))
    return "".join(mask if part[0][0] else text[part.start() : part.end()] for part in parts)
