"""Writes what the processes write to the container's standard output, line by line.

It adds the name of the process to each line, and never waits for the reader of the output.
"""

import asyncio
import json
import os
import select
import time
from collections import deque
from collections.abc import Callable, Iterator

# A pipe that poll(2) reports as writable takes this many bytes without blocking (pipe(7)).
# The descriptor itself stays blocking, since that would change it for everyone who shares it.
_CHUNK_BYTES = select.PIPE_BUF
_FULL_BYTES = 1 << 20
SUPERVISOR = "(supervisor)"  # The name in the parent's own lines; no process may have it.
MAX_LINE_BYTES = 1 << 20  # A longer line is split.
_MAX_SHOWN_LENGTH = 300  # Characters of a line in a message.


class LineSplitter:
    """Assembles lines from the pieces that a pipe delivers.

    Attributes:
        last: the end of the last line with a letter or digit, for messages.
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

    Text that is not a JSON object, such as a traceback on stderr, becomes the field ``log``, as in
    the lines of Synapse's formatter.
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


class Output:
    """A queue of text for a descriptor.

    While it is full, nothing more is read from the processes, which then wait as they would with
    a standard output of their own.
    """

    def __init__(self, descriptor: int, loop: asyncio.AbstractEventLoop) -> None:
        """Start with an empty queue.

        Args:
            descriptor: a pipe, a file or a terminal.
            loop: the loop that waits for its reader.
        """
        self._descriptor, self._loop = descriptor, loop
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._waiting = self._broken = False
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._when_room: list[Callable[[], None]] = []

    @property
    def full(self) -> bool:
        """Whether nothing should be added."""
        return self._queued_bytes > _FULL_BYTES

    @property
    def empty(self) -> bool:
        """Whether everything has been written."""
        return not self._queue

    def call_when_room(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once the queue is not full any more."""
        self._when_room.append(callback)

    def write(self, data: bytes) -> None:
        """Add ``data`` to the queue, and write as much as the reader takes."""
        if self._broken:
            return
        self._queue.append(data)
        self._queued_bytes += len(data)
        if not self._waiting:
            self._flush()

    def _flush(self) -> None:
        while self._queue:
            if not self._poll.poll(0):
                self._wait()
                return
            data = self._queue.popleft()
            try:
                written = os.write(self._descriptor, data[:_CHUNK_BYTES])
            except OSError:
                self._break()
                return
            self._queued_bytes -= written
            if written < len(data):
                self._queue.appendleft(data[written:])
        self._stop_waiting()

    def _wait(self) -> None:
        if not self._waiting:
            self._loop.add_writer(self._descriptor, self._flush)
            self._waiting = True
        if not self.full:
            self._report_room()

    def _stop_waiting(self) -> None:
        if self._waiting:
            self._loop.remove_writer(self._descriptor)
            self._waiting = False
        self._report_room()

    def _report_room(self) -> None:
        callbacks, self._when_room = self._when_room, []
        for callback in callbacks:
            self._loop.call_soon(callback)

    def _break(self) -> None:
        """Drop everything, since the reader is gone."""
        self._broken = True
        self._queue.clear()
        self._queued_bytes = 0
        self._stop_waiting()


class PipeReader:
    """Reads what one process writes, and passes it on line by line."""

    def __init__(
        self,
        descriptor: int,
        output: Output,
        loop: asyncio.AbstractEventLoop,
        lines: Callable[[bytes], bytes],
    ) -> None:
        """Start to read.

        Args:
            descriptor: the end of the pipe to read from, which is closed at the end.
            output: where the lines go.
            loop: the loop to read in.
            lines: returns what to write for what was read; for ``b""``, what remains at the end.
        """
        self._descriptor, self._output, self._loop, self._lines = descriptor, output, loop, lines
        os.set_blocking(descriptor, False)
        loop.add_reader(descriptor, self._read)

    def _read(self) -> None:
        if self._output.full:
            self._loop.remove_reader(self._descriptor)
            self._output.call_when_room(self._resume)
            return
        if not self._take():
            self.close()

    def _resume(self) -> None:
        if self._descriptor >= 0:
            self._loop.add_reader(self._descriptor, self._read)

    def _take(self) -> bool:
        """Read once; return False at the end of the pipe."""
        data = os.read(self._descriptor, 1 << 16)
        if data:
            self._output.write(self._lines(data))
        return bool(data)

    def close(self) -> None:
        """Read what is still in the pipe, and close it, since its process has ended.

        Another process that has the pipe, such as a child of Synapse, may still write to it; this
        does not wait for it.
        """
        if self._descriptor < 0:
            return
        self._loop.remove_reader(self._descriptor)
        try:
            for _ in range(32):  # A pipe holds 64 KiB, or up to 1 MiB if Synapse had asked for it.
                if not self._take():
                    break
        except BlockingIOError:
            pass
        os.close(self._descriptor)
        self._descriptor = -1
        self._output.write(self._lines(b""))
