"""Sends a request to a process of this container."""

import asyncio

from supervisor.spec import Address

_SECONDS = 3.0


async def get(address: Address, path: str, seconds: float = _SECONDS) -> tuple[int, bytes]:
    """Send a GET request; return the status and the body of the answer.

    Raises:
        OSError: if there is no answer, or none of HTTP; TimeoutError, which is one, if there is
            none in time.
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
        raise ConnectionError("the answer is not one of HTTP")
    return int(words[1]), body


def reason_of(error: OSError) -> str:
    """Return why there was no answer, on one line."""
    if isinstance(error, TimeoutError):
        return f"no answer within {_SECONDS:g} s"
    return error.strerror or str(error) or type(error).__name__


async def health_problem(address: Address) -> str:
    """Return why a process is not healthy, or ""."""
    try:
        status, _ = await get(address, "/health")
    except OSError as error:
        return f"does not answer: {reason_of(error)}"
    return "" if status == 200 else f"answers /health with {status}"
