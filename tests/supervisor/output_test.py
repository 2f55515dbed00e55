"""The one stream of a container, with readers that are slow, gone, or fine."""

import json
import os
import signal
from functools import partial

from tests.supervisor.containers import Container, Make, until


def wrote(container: Container, name: str, lines: list[str]) -> bool:
    """Return whether a process wrote these lines."""
    return container.lines(name) == lines


def test_lines_of_processes_that_flood_are_never_torn(make: Make) -> None:
    """Each line is from one process, whole, and in order."""
    container = make({"main": ["flood"], "sync1": ["flood"]}).start().wait_healthy()

    expected = [f"{number} {'x' * (number % 500)} end" for number in range(2000)]
    for name in ("main", "sync1"):
        until(partial(wrote, container, name, expected), f"all of {name}")
    known = ("main | ", "sync1 | ", "(supervisor) | ")
    assert all(line.startswith(known) for line in container.text().splitlines())


def test_the_last_words_of_a_process_are_kept(make: Make) -> None:
    """The line is written even though the process did not end it."""
    container = make({"main": ["part"]}).start()
    until(lambda: container.lines("main"), "it is there")

    assert container.lines("main")[0] == "no end of line"


def test_every_line_is_json_if_asked_for(make: Make) -> None:
    """The name of the process is a field."""
    container = make({"main": ["report"], "sync1": ["die"]}, as_json=True).start()
    until(lambda: '"log": "the reason why", "process": "sync1"' in container.text(), "it is there")

    lines = [json.loads(line) for line in container.text().splitlines()]
    assert {line["process"] for line in lines} == {"main", "sync1", "(supervisor)"}


def test_a_reader_that_stops_reading_does_not_stop_the_parent(make: Make) -> None:
    """It answers and restarts; only the processes that write have to wait."""
    reader, writer = os.pipe()
    container = make({"main": [], "sync1": ["flood", "flood", "flood", "flood", "flood"]})
    container.start(output=writer)
    os.close(writer)
    until(lambda: container.healthy("main"), "main is healthy")
    until(lambda: "sync1" in container.pids(), "sync1 runs")
    os.kill(container.pids()["main"], signal.SIGKILL)
    until(lambda: not container.healthy("main"), "main is gone")
    until(lambda: container.healthy("main"), "main is back", 15)
    assert not container.healthy("sync1")

    text = b""
    while b"(supervisor) | sync1 (process" not in text:
        text += os.read(reader, 1 << 16)
    assert sum(line.startswith(b"sync1 | ") for line in text.splitlines()) == 10000
    os.close(reader)


def test_a_reader_that_is_gone_does_not_end_the_parent(make: Make) -> None:
    """Nobody reads the log, but the processes serve."""
    reader, writer = os.pipe()
    container = make({"main": [], "sync1": ["flood"]})
    os.close(reader)
    container.start(output=writer)
    os.close(writer)

    container.wait_healthy()
    assert container.end() == 0
