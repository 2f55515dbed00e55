"""Reads docs/workers.md of a Synapse: which requests a proxy may send to which workers."""

import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

# The headings of the page that have patterns, with the worker type of each; the page itself has
# one type for everything under generic_worker, and comments that divide its list.
_TYPES_OF_COMMENTS = {
    "Sync requests": "synchrotron",
    "Federation requests": "federation_reader",
    "Inbound federation transaction request": "federation_inbound",
    "Client API requests": "client_reader",
    "Admin API requests": "client_reader",
    "Encryption requests": "client_reader",
    "Registration/login requests": "client_reader",
    "Event sending requests": "event_creator",
    "User directory search requests": "user_dir",
    "Unstable MSC4140 support": "event_creator",
    "Stabilised Delegated Authentication support (`matrix_authentication_service.enabled: true`)": (
        "client_reader"
    ),
    "Push rules requests": "client_reader",
    "Account data requests": "client_reader",
    "Presence requests": "client_reader",
    "for all SSO providers": "client_reader",
    "OpenID Connect requests.": "client_reader",
    "SAML requests.": "client_reader",
    "CAS requests.": "client_reader",
}
_TYPES_OF_HEADINGS = {
    "The `typing` stream": "typing",
    "The `to_device` stream": "to_device",
    "The `account_data` stream": "account_data",
    "The `receipts` stream": "receipts",
    "The `presence` stream": "presence",
    "The `push_rules` stream": "push_rules",
    "The `device_lists` stream": "device_lists",
    "The `quarantined_media_changes` stream": "quarantined_media_changes",
    "Updating the User Directory": "user_dir",
    "`synapse.app.media_repository`": "media_repository",
    "`synapse.app.user_dir`": "user_dir",
}
_READ = ("GET", "HEAD")


@dataclass(frozen=True, order=True)
class Documented:
    """A line of the page.

    Attributes:
        pattern: the regular expression for the path, with ``^``.
        methods: the methods that such workers serve; empty for all.
        worker_type: the type of these workers, as the official image calls it.
        any_worker: whether every worker may serve it, so that the type is only a suggestion.
    """

    pattern: str
    methods: tuple[str, ...]
    worker_type: str
    any_worker: bool


def workers_page(source: Path) -> str:
    """Return the text of the page in a source distribution."""
    with tarfile.open(source) as archive:
        (name,) = [name for name in archive.getnames() if name.endswith("/docs/workers.md")]
        page = archive.extractfile(name)
        assert page is not None
        return page.read().decode()


def documented(page: str) -> list[Documented]:
    """Return the lines with patterns.

    Raises:
        KeyError: if a pattern is under a heading or comment that this module does not know.
    """
    lines = []
    heading, comment = "", ""
    methods: tuple[str, ...] = ()
    for text in page.splitlines():
        if text.startswith("#"):
            heading, comment, methods = text.lstrip("#").strip(), "", ()
        elif text.startswith("    # "):
            comment = text.removeprefix("    # ").strip()
        elif re.match(r"Additionally, .* for GET requests:$", text):
            comment, methods = "", _READ
        elif text.startswith("Pagination requests"):
            comment, methods = "Client API requests", ()
        match = re.fullmatch(r"    \^?(/_\S+)", text)
        if match:
            any_worker = heading == "`synapse.app.generic_worker`"
            worker_type = _TYPES_OF_COMMENTS[comment] if any_worker else _TYPES_OF_HEADINGS[heading]
            lines.append(Documented("^" + match[1], methods, worker_type, any_worker))
    return lines
