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


def _scratch() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory()
    except OSError:
        raise ConfigError(
            [
                "/tmp: Synapse's parser needs files, and no temporary folder can be written by uid "
                f"{os.geteuid()}; mount a tmpfs there, with mode 1777"
            ]
        ) from None


def ask_synapse(homeserver: Mapping[str, Any], settings: Settings) -> str:
    """Return a line that says that Synapse accepts the documents.

    Raises:
        ConfigError: if Synapse rejects them, with one line, or if there is no temporary folder.
    """
    scratch = _scratch()
    if settings.modules is not None:
        sys.path.append(str(settings.modules))
    # Slow to import, and needed only here.
    from pydantic import ValidationError
    from synapse.config._base import ConfigError as SynapseError
    from synapse.config.homeserver import HomeServerConfig
    from synapse.util import SYNAPSE_VERSION

    with scratch as folder:
        settings = replace(settings, runtime=Path(folder))
        rendered = rendered_documents(homeserver, settings)
        files = write_documents(settings.runtime, rendered)
        (settings.runtime / SECRET_FILE).write_text("not asked for here\n")
        arguments = [part for path in files[:-1] for part in ("-c", str(path))]
        try:
            config = HomeServerConfig.load_config("Synapse", arguments)
        except SynapseError as error:
            where = ".".join(getattr(error, "path", None) or []) or "homeserver.yaml"
            raise _refused(where, error.msg, rendered) from None
        except (ValidationError, SystemExit, Exception) as error:
            # For many wrong types, Synapse raises whatever exception its code happens to run into.
            words = f"{type(error).__name__}: {error}"
            raise _refused("homeserver.yaml", words, rendered) from None
    heard = config is not None and (config.redis.redis_enabled or uses_tcp(homeserver, settings))
    if config is None or (not settings.worker.main and not heard):
        raise ConfigError(["homeserver.yaml: Synapse refuses it: redis is not enabled"])
    return f"ok: {settings.worker.app}: accepted by Synapse {SYNAPSE_VERSION}"


def _refused(where: str, words: str, rendered: Mapping[str, Any]) -> ConfigError:
    line = " ".join(without_secrets(words, rendered).split())
    return ConfigError([f"{where}: Synapse refuses it: {line}"])
