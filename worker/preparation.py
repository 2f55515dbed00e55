"""What verbs do before Synapse starts: report, write the rendered files, wait for services."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.environ import MAX_WAIT_SECONDS
from worker.errors import ConfigError, NotReadyError, one_line, shown
from worker.settings import Settings


def print_line(line: str) -> None:
    """Print one line to stderr."""
    print(one_line(line), file=sys.stderr)


def render(homeserver: Mapping[str, Any], settings: Settings) -> list[Path]:
    """Write the files that Synapse reads; return the paths of the documents."""
    from worker.documents import SECRET_FILE, derives_secret
    from worker.files import write_documents, write_text
    from worker.rendering import rendered_documents

    if derives_secret(homeserver, settings):
        from worker.replication_secret import derived_secret

        secret = derived_secret(settings.data_dir / "signing.key")
        write_text(settings.runtime_dir / SECRET_FILE, secret + "\n")
    return write_documents(settings.runtime_dir, rendered_documents(homeserver, settings))


def wait_for_services(homeserver: Mapping[str, Any], settings: Settings, seconds: int) -> None:
    """Return once all services that this process needs answer.

    Raises:
        NotReadyError: if one of them does not within ``seconds``.
    """
    from worker.asking import wait
    from worker.probes import secret_mask, service_probes
    from worker.rendering import rendered_shared

    document = rendered_shared(homeserver, settings)
    unanswered = wait(
        service_probes(document, settings), seconds, print_line, secret_mask(document)
    )
    if unanswered:
        raise NotReadyError([f"after {seconds} s: {line}" for line in unanswered])


def wait_seconds(text: str | None, settings: Settings) -> int:
    """Return the argument of the verb ``wait`` in seconds.

    Raises:
        ConfigError: if it is not a number in the range.
    """
    seconds = text if text is not None else str(settings.wait_seconds or 60)
    if not re.fullmatch("[0-9]{1,5}", seconds) or not 0 < int(seconds) <= MAX_WAIT_SECONDS:
        raise ConfigError(
            [
                f"wait {shown(seconds)!r} is not a number of seconds from 1 to {MAX_WAIT_SECONDS}; "
                "use one, for example 60"
            ]
        )
    return int(seconds)
