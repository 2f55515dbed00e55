"""What is masked of the options that each pinned Synapse documents, and calls secret."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.worker.documented_options import Option, documented_options, refused_secrets
from worker.redaction import masked

SOURCES = [Path(path) for path in os.environ["SOURCES"].split()]
# A name of a resource, in a list like those of options.
NO_OPTION = ("listeners", "keys")
MARK = "marked-hunter2"

# Documented, and masked: reviewed by hand against the manual.
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
# Third parties' own, of which Synapse says nothing: any text there is masked.
THIRD_PARTIES = ("modules.", "media_storage_providers.", "saml2_config.", "oidc_providers.user_")
# In the list of refused options as half of a pair, and sent to every client.
PUBLIC = ("recaptcha_public_key",)


def planted(option: Option, value: object) -> dict[str, Any]:
    """Return a homeserver.yaml in which ``option`` is ``value``."""
    for name in reversed(option):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def hidden(option: Option) -> bool:
    """Whether a text of ``option`` is masked; that of a path, when it is one."""
    ending = option[-1].rpartition("_")[2]
    is_path = ending in ("path", "file", "dir", "directory", "files")
    text = f"/run/secrets/{MARK}" if is_path else MARK
    return MARK not in str(masked(planted(option, text)))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.parent.name)
def test_what_the_manual_calls_a_secret_is_masked_and_nothing_else(source: Path) -> None:
    """A new option with a secret's name must be looked at by somebody."""
    options = documented_options(source) - {NO_OPTION}
    assert len(options) > 300
    found = {".".join(option) for option in options if hidden(option)}
    own = {name for name in found if not name.startswith(THIRD_PARTIES)}
    switches = {name for name in own if masked_as_switch(tuple(name.split(".")))}
    assert own - switches <= SECRETS
    documented = {".".join(option) for option in options}
    assert SECRETS & documented <= own


def masked_as_switch(option: Option) -> bool:
    """Whether ``option`` takes true or false, which are shown."""
    return bool(masked(planted(option, True)) == planted(option, True))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.parent.name)
def test_what_synapse_refuses_in_line_is_masked(source: Path) -> None:
    """Its own classes say which options hold a secret, since 1.120."""
    refused = refused_secrets(source)
    for option in refused:
        # The section is called so in errors, and experimental_features in the file.
        name = tuple("experimental_features" if part == "experimental" else part for part in option)
        assert hidden(name) or name[-1] in PUBLIC, name


def test_some_source_refuses_secrets_in_line() -> None:
    """Otherwise the comparison above would compare nothing."""
    counts = [len(refused_secrets(source)) for source in SOURCES]
    assert max(counts) >= 8
