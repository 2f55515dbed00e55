"""The entrypoint's verbs: start (the default), check, print-config."""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from worker.check import find_problems
from worker.documents import documents, dropped
from worker.errors import ConfigError
from worker.files import read_homeserver, write_documents
from worker.launch import choose_cpus, drop_rights, exec_synapse
from worker.settings import Settings, parse

_VERBS = ("start", "check", "print-config")
_SECRET_WORDS = ("secret", "password", "key", "token", "dsn")


def _prepare(environ: Mapping[str, str]) -> tuple[Settings, dict[str, Any]]:
    settings = parse(environ)
    warnings = drop_rights(settings)
    homeserver = read_homeserver(settings.config)
    for line in warnings + dropped(homeserver):
        print(f"warning: {line}", file=sys.stderr)
    problems = find_problems(homeserver, settings)
    if problems:
        raise ConfigError(problems)
    return settings, homeserver


def _ask_synapse(settings: Settings, homeserver: Mapping[str, Any]) -> str:
    """Let Synapse's own parser judge; return the line that says so."""
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(settings, runtime=Path(folder))
        files = write_documents(settings.runtime, documents(homeserver, settings))
        arguments = [part for path in files[:-1] for part in ("-c", str(path))]
        # Heavy, and needed by this verb alone.
        from synapse.config._base import ConfigError as SynapseError
        from synapse.config.homeserver import HomeServerConfig
        from synapse.util import SYNAPSE_VERSION

        try:
            config = HomeServerConfig.load_config("Synapse", arguments)
        except SynapseError as error:
            where = ".".join(getattr(error, "path", None) or []) or "homeserver.yaml"
            text = " ".join(str(error.msg).split())
            raise ConfigError([f"{where}: Synapse refuses it: {text}"]) from None
        if config is None or (not settings.worker.main and not config.redis.redis_enabled):
            raise ConfigError(["homeserver.yaml: Synapse refuses it: redis is not enabled"])
    return f"ok: {settings.worker.app}: accepted by Synapse {SYNAPSE_VERSION}"


def _masked(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _masked(part, str(key)) for key, part in value.items()}
    if isinstance(value, list):
        return [_masked(part, name) for part in value]
    secret = any(word in name for word in _SECRET_WORDS) and not name.endswith("path")
    return "(masked)" if secret and isinstance(value, str) else value


def _print_config(settings: Settings, homeserver: Mapping[str, Any]) -> None:
    import yaml

    rendered = documents(homeserver, settings)
    for name, document in rendered.items():
        print(f"--- # {name}")
        print(yaml.safe_dump(_masked(document), sort_keys=False), end="")


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Become Synapse, or print what is wrong, one line each; return the exit status."""
    verb = (arguments[0] if arguments else "start").removeprefix("--")
    try:
        if verb not in _VERBS or len(arguments) > 1:
            choices = ", ".join(_VERBS)
            raise ConfigError([f"{' '.join(arguments)!r} is not a verb; use one of {choices}"])
        settings, homeserver = _prepare(environ)
        if verb == "print-config":
            _print_config(settings, homeserver)
            return 0
        if verb == "check":
            choose_cpus(settings)
            print(_ask_synapse(settings, homeserver))
            return 0
        files = write_documents(settings.runtime, documents(homeserver, settings))
        exec_synapse(settings, files, environ)
    except ConfigError as error:
        for line in error.problems:
            print(f"error: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
