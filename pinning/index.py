"""A client of the package index ("simple" API, PEP 503 and 691) that pip on this machine uses."""

import json
import os
import subprocess
import urllib.error
from functools import cache
from typing import Any
from urllib.parse import urljoin, urlsplit

from pinning.errors import PinError
from repositories.http_client import fetch, reason, without_credentials

_ACCEPT = "application/vnd.pypi.simple.v1+json"
File = dict[str, Any]


@cache
def index_address() -> str:
    """Return the address of the index ("simple" API) that pip on this machine uses.

    Raises:
        PinError: if no index is configured, or its address is not valid.
    """
    named = os.environ.get("PIP_INDEX_URL")
    if named:
        return _whole(named.strip().rstrip("/"), "PIP_INDEX_URL")
    for command in (
        ["-m", "pip", "config", "get", "global.index-url"],
        ["-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"],
    ):
        done = subprocess.run(
            ["python3", "-I", *command], text=True, capture_output=True, check=False
        )
        if done.returncode == 0 and done.stdout.strip():
            return _whole(done.stdout.strip().rstrip("/"), "pip's index-url")
    raise PinError(
        "no Python package index is known: install pip for python3, or set PIP_INDEX_URL"
    )


def _whole(address: str, name: str) -> str:
    """Return ``address`` if it is valid.

    Raises:
        PinError: if it is not; the message does not quote it, because it may have a password in it.
    """
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        good = False
    if not good or "@" in parts.path or parts.query or parts.fragment:
        raise PinError(
            f"{name} is not the address of a package index, such as https://HOST/simple; in a user "
            "or password, write / @ : ? # as %2F %40 %3A %3F %23"
        )
    return address


@cache
def project_files(name: str) -> list[File]:
    """Return the files that the index lists for a project (PEP 691), each with an absolute ``url``.

    Raises:
        PinError: if the index does not answer, or does not have the project.
    """
    address = f"{index_address()}/{name}/"
    try:
        data, end = fetch(address, headers={"Accept": _ACCEPT})
        files: list[File] = json.loads(data)["files"]
        return [file | {"url": urljoin(end, file["url"])} for file in files]
    except urllib.error.HTTPError as error:
        if error.code == 404:
            raise PinError(f"{name} is not in the package index: {address} says 404") from None
        raise PinError(f"{name}: {address} says {reason(error)}{_remedy(error.code)}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PinError(f"{address} does not answer: {reason(error)}") from None


def _remedy(code: int) -> str:
    if code not in (401, 403):
        return ""
    if without_credentials(index_address())[1]:
        return "; it does not take the user and password of the index's address"
    return "; give the user and password in PIP_INDEX_URL: https://USER:PASSWORD@HOST/simple"


def file_bytes(file: File) -> bytes:
    """Return the bytes of a file that the index lists (``filename``, ``url``).

    Raises:
        PinError: if it cannot be fetched.
    """
    try:
        return fetch(file["url"], index=index_address(), timeout=300)[0]
    except (OSError, ValueError) as error:
        raise PinError(f"{file['filename']} cannot be fetched: {reason(error)}") from None
