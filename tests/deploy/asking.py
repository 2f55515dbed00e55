"""A client of a proxy, which sends paths exactly as they are given."""

import http.client
import ssl
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

from tests.deploy.proxies import ADDRESS, PLAIN_PORT
from tests.deploy.recorder import Received, received

HOST = "x.test"


class Client:
    """A client with one connection, which is opened again after an error.

    Attributes:
        status: the status of the last answer.
    """

    def __init__(self, port: int = PLAIN_PORT) -> None:
        """Prepare a client for one of the proxy's ports."""
        self.status = 0
        if port == PLAIN_PORT:
            self._connection = http.client.HTTPConnection(ADDRESS, port, timeout=60)
        else:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._connection = http.client.HTTPSConnection(
                ADDRESS, port, timeout=60, context=context
            )

    def __enter__(self) -> Self:
        """Return this client."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self._connection.close()

    def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> tuple[str, bytes]:
        """Send a request; return the name of the server that answered, "" if none, and the body."""
        if body is None and method in ("POST", "PUT"):
            body = b"{}"
        connection = self._connection
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", HOST)
        for name, value in dict(headers).items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        self.status = response.status
        return response.headers.get("X-Name", ""), response.read()

    def ask(
        self, method: str, target: str, headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    ) -> Received:
        """Send a request; return it as a server received it.

        Raises:
            AssertionError: if no server answered.
        """
        name, body = self.send(method, target, headers)
        assert name, f"{method} {target}: {self.status} {body[:300]!r}"
        return received(body)


def bearer(token: str) -> dict[str, str]:
    """Return the header with an access token."""
    return {"Authorization": f"Bearer {token}"}
