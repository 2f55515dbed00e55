"""Tests that the secrets among the options of each pinned Synapse are masked."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.worker.documented_options import Option, documented_options, refused_secrets
from worker.redaction import masked

SOURCES = [Path(path) for path in os.environ["SOURCES"].split()]
# The name of a resource, which the manual lists in the same way as options.
NO_OPTION = ("listeners", "keys")
MARK = "marked-hunter2"

# Documented options that are masked, reviewed by hand against the manual.
SECRETS = frozenset(
    """
    database.args.password
    databases.basement_box.args.password
    databases.my_other_database.args.password
    email.smtp_pass
    form_secret
    jwt_config.secret
    macaroon_secret_key
    manhole_settings.password
    matrix_authentication_service.secret
    oidc_providers.client_secret
    oidc_providers.client_secret_jwt_key.key
    password_config.pepper
    recaptcha_private_key
    redis.password
    registration_shared_secret
    sentry.dsn
    turn_password
    turn_shared_secret
    worker_replication_secret
    """.split()
)
# Third-party options, which Synapse does not document: any text in them is masked.
THIRD_PARTIES = ("modules.", "media_storage_providers.", "saml2_config.", "oidc_providers.user_")
# Among the rejected options as half of a pair, but sent to every client.
PUBLIC = ("recaptcha_public_key",)


def planted(option: Option, value: object) -> dict[str, Any]:
    """Return the content of a homeserver.yaml in which ``option`` is set to ``value``."""
    for name in reversed(option):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def hidden(option: Option) -> bool:
    """Return whether ``option`` is masked when it is text, or a path if the option takes a path."""
    ending = option[-1].rpartition("_")[2]
    is_path = ending in ("path", "file", "dir", "directory", "files")
    text = f"/run/secrets/{MARK}" if is_path else MARK
    return MARK not in str(masked(planted(option, text)))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.parent.name)
def test_what_the_manual_calls_a_secret_is_masked_and_nothing_else(source: Path) -> None:
    """A new option that is named like a secret fails the test, so that somebody reviews it."""
    options = documented_options(source) - {NO_OPTION}
    assert len(options) > 300
    found = {".".join(option) for option in options if hidden(option)}
    own = {name for name in found if not name.startswith(THIRD_PARTIES)}
    switches = {name for name in own if masked_as_switch(tuple(name.split(".")))}
    assert own - switches <= SECRETS
    documented = {".".join(option) for option in options}
    assert SECRETS & documented <= own


def masked_as_switch(option: Option) -> bool:
    """Return whether ``option`` is a switch, whose true or false is shown."""
    return bool(masked(planted(option, True)) == planted(option, True))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.parent.name)
def test_what_synapse_refuses_in_line_is_masked(source: Path) -> None:
    """Since 1.120, Synapse's configuration classes say which options hold a secret."""
    refused = refused_secrets(source)
    for option in refused:
        # The section is called experimental in errors and experimental_features in the file.
        name = tuple("experimental_features" if part == "experimental" else part for part in option)
        assert hidden(name) or name[-1] in PUBLIC, name


def test_some_source_refuses_secrets_in_line() -> None:
    """Without such a source, the test above would compare nothing."""
    counts = [len(refused_secrets(source)) for source in SOURCES]
    assert max(counts) >= 8
