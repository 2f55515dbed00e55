"""Tests that secrets are masked wherever they occur, and that nothing else is."""

import base64
import datetime
import json
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from worker.errors import ConfigError
from worker.files import read_homeserver
from worker.redaction import MASK, masked, secrets_of, without_secrets

_SECRETS: list[dict[str, Any]] = [
    {"email": {"smtp_pass": "hunter2"}},
    {"http_proxy": "http://user:hunter2@proxy:8080/"},
    {"https_proxy": "http://user:p@ss/hunter2@proxy:8080/"},
    {"redis_url": "redis://:hunter2@redis:6379/0"},
    {"origin": "https://hunter2@git.example.com/x"},
    {"metrics_url": "https://example.com/push?token=hunter2&x=1"},
    {"password_providers": [{"config": {"bind_pw": "hunter2"}}]},
    {"password_providers": [{"module": "a.b", "config": {"whatever": ["hunter2"]}}]},
    {"modules": [{"module": "a.b", "config": {"deep": {"er": [{"x": "hunter2"}]}}}]},
    {"oidc_providers": [{"user_mapping_provider": {"config": {"x": "hunter2"}}}]},
    {"media_storage_providers": [{"config": {"sse_customer": "hunter2"}}]},
    {"saml2_config": {"sp_config": {"key_file_passphrase": "hunter2"}}},
    {"secret": {"value": "hunter2"}},
    {"secret": {"values": ["a", {"more": "hunter2"}]}},
    {"passphrase": "hunter2"},
    {"Client-Secret": "hunter2"},
    {"clientSecret": "hunter2"},
    {"APIKEY": "hunter2"},
    {"database": {"args": {"password": "hunter2"}}},
    {"database": {"args": {"sslpassword": "hunter2"}}},
    {"database": {"args": {"dsn": "host=db password=hunter2 user=x"}}},
    {"database": {"args": {"dsn": "host=db password='it is hunter2'"}}},
    {"database": {"args": {"dsn": "host=db pass word hunter2"}}},
    {"database": {"args": {"dsn": "postgres://synapse:hunter2@db/synapse"}}},
    {"database": {"args": "host=db password=hunter2"}},
    {"sentry": {"dsn": "https://hunter2@sentry.example.com/1"}},
    {"experimental_features": {"msc3861": {"admin_token": "hunter2"}}},
    {"experimental_features": {"msc3861": {"jwk": {"kty": "RSA", "d": "hunter2"}}}},
    {"matrix_authentication_service": {"secret": "hunter2"}},
    {"oidc_providers": [{"client_secret_jwt_key": {"key": "hunter2"}}]},
    {"signing_key": "ed25519 a_abcd hunter2hunter2hunter2hunter2hunter2hunter2hunter2"},
    {"notes": "ed25519 a_abcd hunter2hunter2hunter2hunter2hunter2hunter2hunter2"},
    {"tls_private_key": "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"},
    {"anything": "x\n-----BEGIN RSA PRIVATE KEY-----\nhunter2"},
    {"headers": ["Authorization: Bearer hunter2hunter2"]},
    {"macaroon_secret_key_path": "hunter2"},
    {"macaroon_secret_key_path": {"value": ["hunter2"]}},
    {"x": {"http://user:hunter2@example.com/": 1}},
]


@pytest.mark.parametrize("document", _SECRETS, ids=str)
def test_a_secret_is_masked_by_name_place_or_text(document: dict[str, Any]) -> None:
    """The output of `print-config` ends up in bug reports."""
    shown = yaml.safe_dump(masked(document))
    assert "hunter2" not in shown
    assert MASK in shown


@pytest.mark.parametrize(
    "value",
    [1234, 12.5, datetime.date(2026, 1, 2), True, b"hunter2", ["a", 1], {"x", "y"}, ("a", "b")],
    ids=str,
)
def test_a_password_of_any_type_is_masked(value: object) -> None:
    """YAML loads a password that looks like a number, date or boolean as that type."""
    shown = yaml.safe_dump(masked({"password": value}))
    assert shown in ("password: (masked)\n", "password:\n- (masked)\n- (masked)\n")


def test_what_is_no_secret_stays_readable() -> None:
    """Options without a secret must stay readable, so that operators can find mistakes in them."""
    document: dict[str, Any] = {
        "suppress_key_server_warning": True,
        "macaroon_secret_key_path": "/run/secrets/macaroon",
        "signing_key_path": "signing.key",
        "session_lifetime": "24h",
        "refresh_token_lifetime": "1h",
        "key_refresh_interval": "1d",
        "registration_requires_token": True,
        "use_appservice_legacy_authorization": True,
        "recaptcha_public_key": "public",
        "password_config": {"enabled": "only_for_reauth", "policy": {"minimum_length": 15}},
        "old_signing_keys": {"ed25519:a": {"key": "public", "expired_ts": 1}},
        "trusted_key_servers": [{"server_name": "m.org", "verify_keys": {"ed25519:a": "public"}}],
        "login_via_existing_session": {"token_timeout": "5m"},
        "rc_registration_token_validity": {"per_second": 0.1, "burst_count": 5},
        "redis": {"host": "redis", "username": "synapse", "password": None, "use_tls": True},
        "http_proxy": "http://proxy:8080/",
        "public_baseurl": "https://example.com:8448/@x",
        "database": {
            "name": "psycopg2",
            "args": {
                "dsn": "host=db user=synapse",
                "user": "synapse",
                "passfile": "/run/secrets/pgpass",
                "sslkey": "/data/client.key",
                "sslmode": "verify-full",
                "options": "-c statement_timeout=5000",
            },
        },
        "oidc_providers": [
            {
                "token_endpoint": "https://example.com/token",
                "client_auth_method": "client_secret_basic",
                "client_secret_jwt_key": {"key_file": "/data/a.p8", "jwt_header": {"kid": "a"}},
            }
        ],
        "password_providers": [
            {"module": "ldap", "config": {"enabled": True, "uri": "ldap://l:389", "port": 389}}
        ],
        "modules": [],
        "email": {"smtp_user": "synapse", "subjects": {"password_reset": "Password reset"}},
    }
    assert masked(document) == document


_LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=20), st.dates(), st.binary(max_size=9)
)
_NAMES = st.sampled_from(
    [
        "password",
        "secret",
        "modules",
        "config",
        "args",
        "path",
        "enabled",
        "key",
        "x",
        "old_signing_keys",
    ]
)
_DOCUMENTS = st.dictionaries(
    _NAMES,
    st.recursive(
        _LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
        max_leaves=20,
    ),
    max_size=4,
)


def shape(value: Any) -> Any:
    """Return only the structure of ``value``."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    return [shape(part) for part in value] if isinstance(value, list) else None


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_DOCUMENTS)
def test_masking_keeps_the_structure_and_is_final(document: dict[str, Any]) -> None:
    """The masked document shows which options were set, and masking it again changes nothing."""
    once = masked(document)
    assert shape(once) == shape(document)
    assert masked(once) == once


def forms(secret: str) -> list[str]:
    """Return the forms in which third parties quote ``secret``."""
    quoted = urllib.parse.quote(secret, safe="")
    return [
        secret,
        repr(secret),
        repr({"password": secret}),
        json.dumps(secret),
        json.dumps(json.dumps({"x": secret})),
        quoted,
        quoted.lower(),
        urllib.parse.quote_plus(secret),
        base64.b64encode(secret.encode()).decode(),
        base64.urlsafe_b64encode(secret.encode()).decode(),
    ]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=8, max_size=40))
@example("hunter2 'quoted' \"twice\" \\ back")
@example("p@ss/w:rd%20?&=+;")
@example("zwei\nzeilen und ümläute")
def test_no_form_of_a_secret_is_left(secret: str) -> None:
    """libpq, pydantic, jsonschema and others each quote settings in their own way."""
    if not secret.strip():
        return
    for form in forms(secret):
        left = without_secrets(f"bad value <{form}> here", {"password": secret})
        for again in forms(secret):
            assert len(again) < 4 or again not in left


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text("abcdefghijk0123456789", min_size=30, max_size=90))
def test_what_is_left_of_a_secret_that_was_cut_off_tells_little(secret: str) -> None:
    """pydantic shows the beginning and the end of a long value."""
    text = f"input_value='{secret[:12]}...{secret[-12:]}'"
    assert without_secrets(text, {"password": secret}) == f"input_value='{MASK}...{MASK}'"


@pytest.mark.parametrize("lead", ["", "u:", "us:", "use:"])
def test_basic_authentication_is_seen_wherever_the_password_begins(lead: str) -> None:
    """The same bytes have three forms in base64, depending on where they begin."""
    whole = base64.b64encode(f"{lead}correct horse battery".encode()).decode()
    left = without_secrets(f"header {whole} refused", {"password": "correct horse battery"})
    edges = left.split()[1].removeprefix(base64.b64encode(lead.encode()).decode().rstrip("=")[:-1])
    assert len(edges.replace(MASK, "")) <= 5, left


@pytest.mark.parametrize(
    ("secret", "text", "left"),
    [
        ("abc", "the abc of 'abc' in abcd", f"the {MASK} of '{MASK}' in abcd"),
        (7, "line 7 of 17", f"line {MASK} of 17"),
        (True, "True is not a password", "True is not a password"),
        ("synapse", "no user synapse", f"no user {MASK}"),
        ("it is 'postgres'", "PostgreSQL at postgres.local", f"PostgreSQL at {MASK}.local"),
    ],
)
def test_short_secrets_do_not_tear_words_apart(secret: object, text: str, left: str) -> None:
    """Messages must stay readable, so a short secret is masked only as a whole word."""
    assert without_secrets(text, {"password": secret}) == left


def test_a_malformed_connection_string_is_hidden_as_a_whole() -> None:
    """libpq quotes the word that it could not parse, which may be half of a password."""
    document = {"database": {"args": {"dsn": "host=db password=correct horsebattery"}}}
    text = 'missing "=" after "horsebattery" in connection info string'
    left = without_secrets(text, document)
    assert left == f'missing "=" after "{MASK}" in connection info string'


def test_secrets_are_those_that_are_masked() -> None:
    """Errors must hide everything that print-config hides."""
    document = {"http_proxy": "http://u:pw1234@h/", "x": {"token": 5}, "key_path": "/a/b"}
    assert list(secrets_of(document)) == ["pw1234", 5]


@settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(st.text("abcXYZ012!&*%@`{}[]|>'\"#:,?-\\$~^=<", min_size=8, max_size=16))
@example("!abcdef!ghijkl")
@example("!abcdefghijkl")
@example("*abcdefghijkl")
@example("&abcdefghijkl &abcdefghijkl")
@example("!!int abcdefghijkl")
@example("%abcdefghijkl")
def test_a_password_that_yaml_cannot_read_is_not_quoted(tmp_path: Path, secret: str) -> None:
    """A password without quotes may begin with any character."""
    path = tmp_path / "homeserver.yaml"
    path.write_text(f"password: {secret}\n")
    try:
        read_homeserver(path)
    except ConfigError as error:
        message = error.problems[0].removeprefix(str(path))
        for start in range(len(secret) - 4):
            assert secret[start : start + 5] not in message
