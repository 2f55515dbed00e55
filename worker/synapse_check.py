"""Checks the documents with Synapse's own parser."""

import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from worker.documents import SECRET_FILE
from worker.errors import ConfigError
from worker.files import write_documents
from worker.listeners import uses_tcp
from worker.redaction import without_secrets
from worker.rendering import rendered_documents
from worker.settings import Settings


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory()
    except OSError:
        raise ConfigError(
            [
                "/tmp: Synapse's parser needs temporary files, but no temporary folder is writable "
                f"by uid {os.geteuid()}; mount a tmpfs there with mode 1777"
            ]
        ) from None


def ask_synapse(homeserver: Mapping[str, Any], settings: Settings) -> str:
    """Return a line that says that Synapse accepts the documents.

    Raises:
        ConfigError: if Synapse rejects them, with one line, or if there is no temporary folder.
    """
    temporary_folder = _temporary_folder()
    if settings.modules_dir is not None:
        sys.path.append(str(settings.modules_dir))
    # Slow to import, and needed only here.
    from pydantic import ValidationError
    from synapse.config._base import ConfigError as SynapseError
    from synapse.config.homeserver import HomeServerConfig
    from synapse.util import SYNAPSE_VERSION

    with temporary_folder as folder:
        settings = replace(settings, runtime_dir=Path(folder))
        rendered = rendered_documents(homeserver, settings)
        files = write_documents(settings.runtime_dir, rendered)
        (settings.runtime_dir / SECRET_FILE).write_text("not needed for this check\n")
        arguments = [argument for path in files[:-1] for argument in ("-c", str(path))]
        try:
            config = HomeServerConfig.load_config("Synapse", arguments)
        except SynapseError as error:
            option = ".".join(getattr(error, "path", None) or []) or "homeserver.yaml"
            raise _rejection(option, error.msg, rendered) from None
        except (ValidationError, SystemExit, Exception) as error:
            # For many wrong types, Synapse raises whatever exception its code happens to run into.
            message = f"{type(error).__name__}: {error}"
            raise _rejection("homeserver.yaml", message, rendered) from None
    hears_events = config is not None and (
        config.redis.redis_enabled or uses_tcp(homeserver, settings)
    )
    if config is None or (not settings.process.is_main and not hears_events):
        raise ConfigError(
            [
                "homeserver.yaml: Synapse does not regard redis as enabled, but workers receive "
                "events through Redis; set redis: {enabled: true, host: ...} for every process"
            ]
        )
    return f"ok: {settings.process.app}: accepted by Synapse {SYNAPSE_VERSION}"


def _rejection(option: str, message: str, rendered: Mapping[str, Any]) -> ConfigError:
    reason = " ".join(without_secrets(message, rendered).split())
    return ConfigError([f"{option}: Synapse rejects it: {reason}"])
