"""Whether the processes are healthy, and why not."""

import asyncio
import time
from collections.abc import Sequence

from supervisor.process import Process
from supervisor.spec import Address

_ANSWER_SECONDS = 3.0
# For this long, a process that was healthy and is being started again does not make the container
# unhealthy: an engine that then restarted the container would end all the other processes.
_RESTART_SECONDS = 60.0
_NOTICE_SECONDS = 0.05


async def get(address: Address, path: str, seconds: float = _ANSWER_SECONDS) -> tuple[int, bytes]:
    """Send a GET request; return the status and the body of the answer.

    Raises:
        OSError: if there is no answer, or the answer is not HTTP; its subclass TimeoutError if
            there is none in time.
    """
    async with asyncio.timeout(seconds):
        if address.path:
            reader, writer = await asyncio.open_unix_connection(address.path)
        else:
            reader, writer = await asyncio.open_connection(address.host, address.port)
        try:
            writer.write(b"GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n" % path.encode())
            answer = await reader.read(-1)
        finally:
            writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if not words[0].startswith(b"HTTP/") or len(words) < 2 or not words[1].isdigit():
        raise ConnectionError("the answer is not HTTP")
    return int(words[1]), body


def reason_of(error: OSError) -> str:
    """Return why there was no answer, on one line."""
    if isinstance(error, TimeoutError):
        return f"no answer within {_ANSWER_SECONDS:g} s"
    return error.strerror or str(error) or type(error).__name__


async def health_problem(address: Address) -> str:
    """Return why a process is not healthy, or ""."""
    try:
        status, _ = await get(address, "/health")
    except OSError as error:
        return f"does not answer: {reason_of(error)}"
    return "" if status == 200 else f"answers /health with {status}"


async def problem_of(process: Process) -> str:
    """Return why one process is not healthy, without its name, or ""."""
    if process.running:
        pid = process.pid
        problem = await health_problem(process.spec.health)
        if not problem and process.pid == pid:
            process.is_ready()
        if problem:
            # The sockets of a process that ends are closed shortly before its end is noticed.
            await asyncio.sleep(_NOTICE_SECONDS)
            if process.pid != pid:
                return await problem_of(process)
        if problem and not process.ready:
            return f"has not started yet: it {problem}"
        return problem
    if process.end:
        return f"{process.end} and will be started again"
    return "has not been started yet"


def _keeps_dying(process: Process) -> str:
    if not process.restarts.keeps_dying(process.ran_seconds):
        return ""
    return f"keeps dying: {process.restarts.deaths} times so far; the last time it {process.end}"


def _is_restarting(process: Process) -> bool:
    recently = time.monotonic() - process.ended_at < _RESTART_SECONDS
    return process.was_ready and not process.ready and recently


async def problems(processes: Sequence[Process], *, of_container: bool) -> dict[str, str]:
    """Return why processes are not healthy, by name.

    Args:
        processes: the processes to ask.
        of_container: whether to ignore a process that is being started again, for a minute.
    """
    asked = [process for process in processes if not (of_container and _is_restarting(process))]
    answers = await asyncio.gather(*(problem_of(process) for process in asked))
    by_name = {
        process.name: answer
        for process, answer in zip(asked, answers, strict=True)
        if not (of_container and _is_restarting(process))
    }
    for process in processes:
        if _keeps_dying(process):
            by_name[process.name] = _keeps_dying(process)
    return {
        process.name: by_name[process.name] for process in processes if by_name.get(process.name)
    }
