"""The package index ("simple" API, PEP 503 and 691) as pip on this machine knows it."""

import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request
from functools import cache
from typing import Any

from tools.pinning.errors import PinError

_ACCEPT = "application/vnd.pypi.simple.v1+json"
File = dict[str, Any]


@cache
def index_address() -> str:
    """Return the address of the index ("simple" API) as pip on this machine knows it."""
    named = os.environ.get("PIP_INDEX_URL")
    if named:
        return named.rstrip("/")
    for command in (
        ["-m", "pip", "config", "get", "global.index-url"],
        ["-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"],
    ):
        done = subprocess.run(
            ["python3", "-I", *command], text=True, capture_output=True, check=False
        )
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip().rstrip("/")
    raise PinError(
        "no Python package index is known: install pip for python3, or set PIP_INDEX_URL"
    )


@cache
def opener() -> urllib.request.OpenerDirector:
    """Return what opens addresses; it reads the machine's authorities once, not for each file."""
    context = ssl.create_default_context()
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))


@cache
def project_files(name: str) -> list[File]:
    """Return the files that the index has of a project (PEP 691).

    Raises:
        PinError: when the index does not answer.
    """
    address = f"{index_address()}/{name}/"
    request = urllib.request.Request(address, headers={"Accept": _ACCEPT})
    try:
        with opener().open(request, timeout=60) as answer:
            files: list[File] = json.load(answer)["files"]
            return files
    except urllib.error.HTTPError as error:
        raise PinError(f"{name} is not in the package index: {address} says {error.code}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise PinError(f"{address} does not answer: {reason}") from None
