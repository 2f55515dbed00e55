"""Fetches addresses that may contain a user and password, and sends these only to that server.

Uses only the standard library, because repository rules run it before anything is fetched.
"""

import base64
import http.client
import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, and keeps the credentials only if the server is the same."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        plain, _ = without_credentials(newurl)
        new = super().redirect_request(req, fp, code, msg, headers, plain)
        credentials = req.unredirected_hdrs.get("Authorization")
        if new is not None and credentials and _server(plain) == _server(req.full_url):
            new.add_unredirected_header("Authorization", credentials)
        return new


@cache
def _opener() -> urllib.request.OpenerDirector:
    # Cached, so that the machine's CAs are read only once and not for each file.
    context = ssl.create_default_context()
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _Redirects())


def split(address: str) -> tuple[str, str, str]:
    """Split an address into the address without user and password, the user, and the password."""
    parts = urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return address, "", ""
    name, _, password = user.partition(":")
    return urlunsplit(parts._replace(netloc=host)), unquote(name), unquote(password)


def without_credentials(address: str) -> tuple[str, str]:
    """Separate the user and password from an address.

    Returns:
        The address without them, and the value of an ``Authorization`` header (RFC 7617) or "".
    """
    plain, user, password = split(address)
    if plain == address:
        return address, ""
    return plain, f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _server(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def fetch(
    address: str, *, index: str = "", headers: Mapping[str, str] | None = None, timeout: float = 60
) -> tuple[bytes, str]:
    """Return the content at an address, and the address after redirects.

    Args:
        address: the address, which may contain a user and password.
        index: an address whose credentials are valid for everything on the same server.
        headers: additional request headers.
        timeout: the timeout of each read, in seconds.

    Raises:
        OSError: if it does not answer, or answers with an error (urllib.error.HTTPError).
        ValueError: if it is not a valid address, or the answer is not valid HTTP.
    """
    plain, credentials = without_credentials(address)
    if index and not credentials and _server(index) == _server(plain):
        credentials = without_credentials(index)[1]
    request = urllib.request.Request(plain, headers=dict(headers or {}))
    if credentials:
        # A redirect to another server must not send them.
        request.add_unredirected_header("Authorization", credentials)
    try:
        with _opener().open(request, timeout=timeout) as answer:
            data: bytes = answer.read()
            end: str = answer.url
            return data, end
    except http.client.HTTPException as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def reason(error: Exception) -> Any:
    """Return a short description of an error that `fetch` raised."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    return getattr(error, "reason", error)


def main(argv: list[str]) -> int:
    """Print the parts of the address in $PACKAGE_INDEX as JSON; return the exit code."""
    del argv
    address, login, password = split(os.environ["PACKAGE_INDEX"])
    print(json.dumps({"address": address, "login": login, "password": password}))
    return 0
