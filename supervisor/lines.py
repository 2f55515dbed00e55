"""Splits what a process writes into lines, and adds the name of the process to each."""

import json
import time
from collections.abc import Callable, Iterator

SUPERVISOR = "(supervisor)"  # The name in the parent's own lines; no process may have it.
MAX_LINE_BYTES = 1 << 20  # A longer line is split.
_MAX_SHOWN_LENGTH = 300  # Characters of a line in a message.

Formatter = Callable[[str, bytes], bytes]


class LineSplitter:
    """Assembles lines from the pieces that a pipe delivers.

    Attributes:
        last: the end of the last line that says something, for messages.
    """

    def __init__(self) -> None:
        """Start without any text."""
        self.last = ""
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield each line that ``data`` completes, without its end."""
        *complete, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > MAX_LINE_BYTES:
            complete.append(self._rest[:MAX_LINE_BYTES])
            self._rest = self._rest[MAX_LINE_BYTES:]
        for line in complete:
            self._note(line)
            yield line

    def end(self) -> Iterator[bytes]:
        """Yield the line that was not completed, if any."""
        if self._rest:
            line, self._rest = self._rest, b""
            self._note(line)
            yield line

    def _note(self, line: bytes) -> None:
        text = "".join(
            character if character.isprintable() else " "
            for character in line[-4 * _MAX_SHOWN_LENGTH :].decode(errors="replace")
        ).strip()
        if any(character.isalnum() for character in text):
            self.last = text[-_MAX_SHOWN_LENGTH:]


def text_line(name: str, line: bytes) -> bytes:
    """Return ``line`` after the name of its process, as Docker Compose writes it."""
    return b"%s | %s\n" % (name.encode(), _as_utf8(line))


def json_line(name: str, line: bytes) -> bytes:
    """Return a line of JSON with the field ``process``.

    Text that is not an object of JSON, such as a traceback on stderr, becomes the field ``log``,
    which is the one that Synapse's formatter uses.
    """
    text = _as_utf8(line)
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {"log": text.decode()}
    return json.dumps(document | {"process": name}, ensure_ascii=False).encode() + b"\n"


def own_line(text: str, *, as_json: bool) -> bytes:
    """Return a line of the parent itself."""
    if as_json:
        fields = {"log": text, "level": "INFO", "namespace": "supervisor", "time": time.time()}
        return json_line(SUPERVISOR, json.dumps(fields).encode())
    return text_line(SUPERVISOR, text.encode())


def _as_utf8(line: bytes) -> bytes:
    return line.decode(errors="backslashreplace").encode()
