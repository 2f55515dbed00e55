"""Tests for what remains of a masked option or line, and for options that hold no secret."""

from typing import Any

import pytest

from worker.redaction import MASK, masked, masked_text, secrets_of


@pytest.mark.parametrize(
    ("document", "left", "secrets"),
    [
        # Secrets recognized by the option's name, in any naming style.
        ({"smtpPass": "pw12"}, {"smtpPass": MASK}, ["pw12"]),
        ({"signing_keyring": "pw12"}, {"signing_keyring": MASK}, ["pw12"]),
        ({"require_token": "pw12"}, {"require_token": MASK}, ["pw12"]),
        # Values nested below a secret, and a secret in place of the path of its file.
        ({"secret": {"file": "pw12"}}, {"secret": {"file": MASK}}, ["pw12"]),
        ({"secret": {"file": "/run/secrets/a"}}, {"secret": {"file": "/run/secrets/a"}}, []),
        # Values of every type.
        ({"password": ""}, {"password": ""}, []),
        ({"password": ("a", 5)}, {"password": [MASK, MASK]}, ["a", 5]),
        ({"password": {"a"}}, {"password": MASK}, ["a"]),
        ({"x": {"a"}}, {"x": MASK}, ["a"]),
        ({"x": b"a"}, {"x": MASK}, [b"a"]),
        # Third-party configuration, which may have any option.
        ({"modules": ("pw12",)}, {"modules": [MASK]}, ["pw12"]),
        ({"spam_checker": ["pw12"]}, {"spam_checker": [MASK]}, ["pw12"]),
        # Secrets inside a text, the rest of which is kept.
        ({"x": "at http://u:p@w@h/x"}, {"x": f"at http://u:{MASK}@h/x"}, ["p@w"]),
        ({"x": "at https://pw12@h/x"}, {"x": f"at https://{MASK}@h/x"}, ["pw12"]),
        ({"x": "a password='it is' b"}, {"x": f"a password={MASK} b"}, ["it is"]),
        ({"x": 'a password="it is"'}, {"x": f"a password={MASK}"}, ["it is"]),
        ({"x": f"password={MASK}"}, {"x": f"password={MASK}"}, []),
        (
            {"x": "a\n-----BEGIN PRIVATE KEY-----\nb\nc"},
            {"x": f"a\n{MASK}"},
            ["-----BEGIN PRIVATE KEY-----\nb\nc"],
        ),
        # A connection string, in an option that expects one.
        ({"dsn": "postgres://u:pw12@h/d"}, {"dsn": f"postgres://u:{MASK}@h/d"}, ["pw12"]),
        ({"dsn": "host=db password=pw12"}, {"dsn": f"host=db password={MASK}"}, ["pw12"]),
        ({"password": "host=db password=pw12"}, {"password": MASK}, ["host=db password=pw12"]),
    ],
    ids=str,
)
def test_what_is_left_of_an_option(
    document: dict[str, Any], left: dict[str, Any], secrets: list[Any]
) -> None:
    """The secret is masked and returned by `secrets_of`, and the rest of the option is kept."""
    assert masked(document) == left
    assert list(secrets_of(document)) == secrets


@pytest.mark.parametrize(
    "document",
    [
        {"modules": "text"},
        {"spam_checker": "text"},
        {"allowed_users": ["a"]},
        {"modules": [{"config": {"cache_dir": "/data/cache", "sslkey": "/data/client.key"}}]},
        {"enable_password_reset_by_token": True},
        {"allow_token": False, "suppress_key_warning": True},
        {"***": "text"},
        {"pid_file": "a text of its own"},
        {5: "text"},
    ],
    ids=str,
)
def test_an_option_without_a_secret_stays(document: dict[Any, Any]) -> None:
    """Options without a secret must stay readable, so that operators can find mistakes in them."""
    assert masked(document) == document
    assert list(secrets_of(document)) == []


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a password=pw12&x=1 b", f"a password={MASK}&x=1 b"),
        (f"password={MASK}, token: t", f"password={MASK}, token: {MASK}"),
        ("Bearer abcdefgh.", f"Bearer {MASK}"),
        ("bearer abcdefg", "bearer abcdefg"),
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("ed25519 a_b " + "x" * 43 + " y", f"ed25519 a_b {MASK} y"),
    ],
)
def test_what_is_left_of_a_line(text: str, left: str) -> None:
    """The text may be a log line or a third party's error; masking it again changes nothing."""
    assert masked_text(text) == left
    assert masked_text(left) == left
