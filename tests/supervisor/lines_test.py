"""Lines of several processes in one stream."""

import json

from hypothesis import given
from hypothesis import strategies as st

from supervisor.output import MAX_LINE_BYTES, LineSplitter, json_line, own_line, text_line


@given(st.lists(st.binary(max_size=40)))
def test_lines_do_not_depend_on_how_a_pipe_cuts_them(chunks: list[bytes]) -> None:
    """Nothing is lost, and nothing is added but the end of the last line."""
    splitter = LineSplitter()
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    lines += splitter.end()

    text = b"".join(chunks)
    assert lines == text.removesuffix(b"\n").split(b"\n") if text else lines == []


def test_a_line_without_end_is_split() -> None:
    """A process that never ends its line must not fill the memory of the parent."""
    splitter = LineSplitter()
    lines = list(splitter.feed(b"x" * (2 * MAX_LINE_BYTES + 5)))

    assert [len(line) for line in lines] == [MAX_LINE_BYTES] * 2
    assert list(splitter.end()) == [b"x" * 5]
    assert list(splitter.end()) == []


@given(st.binary(max_size=200).filter(lambda line: b"\n" not in line))
def test_every_line_of_json_is_an_object_with_the_process(line: bytes) -> None:
    """Each line is a JSON object, even if the process wrote invalid UTF-8."""
    written = json_line("sync1", line)

    assert written.endswith(b"\n")
    assert written.count(b"\n") == 1
    assert json.loads(written)["process"] == "sync1"


def test_a_line_of_json_keeps_its_fields() -> None:
    """The fields are those of Synapse's formatter, in its order."""
    line = b'{"log":"caf\xc3\xa9","level":"INFO","process":"mine"}'

    assert json_line("a", line).decode() == (
        '{"log": "caf\u00e9", "level": "INFO", "process": "a"}\n'
    )


@given(st.binary(max_size=200).filter(lambda line: b"\n" not in line))
def test_every_line_of_text_begins_with_the_process(line: bytes) -> None:
    """The name of the process is in front, and the line is valid UTF-8."""
    written = text_line("sync1", line).decode()

    assert written.startswith("sync1 | ")
    assert written.endswith("\n")


def test_the_parent_has_a_name_that_no_worker_can_have() -> None:
    """Its lines can be told apart from those of a worker."""
    assert own_line("hello", as_json=False) == b"(supervisor) | hello\n"
    fields = json.loads(own_line("hello", as_json=True))
    assert fields["process"] == "(supervisor)"
    assert fields["log"] == "hello"


def test_the_last_line_is_one_that_says_something() -> None:
    """Synapse frames its last words with asterisks."""
    splitter = LineSplitter()
    list(splitter.feed(b"Error: no database\n****\n\n"))

    assert splitter.last == "Error: no database"
