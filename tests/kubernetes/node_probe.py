"""Prints which of the TCP ports in the arguments, `ADDRESS:PORT`, accept connections.

Runs on a node, in the network of a pod, and needs only Python.
"""

import asyncio
import sys
from contextlib import suppress


async def accepts(target: str) -> bool:
    """Return whether a port accepts a connection within two seconds."""
    host, _, port = target.rpartition(":")
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(2):
            _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        return True
    return False


async def main(targets: list[str]) -> None:
    """Print the ports that accept a connection, one per line."""
    accepted = await asyncio.gather(*map(accepts, targets))
    print("\n".join(target for target, open_ in zip(targets, accepted, strict=True) if open_))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
