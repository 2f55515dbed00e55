"""Tests of which addresses are passed to git, and that no credential in them is shown."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repositories.addresses import (
    SourceError,
    address_problem,
    git_address,
    public_source,
    redacted,
    shown,
)

SECRET = "s3cr3tplanted"
# Every place in an address where a credential can be; {} stands for it.
WITH_CREDENTIALS = (
    "https://{}@example.com/us/synapse",
    "https://{}:@example.com/us/synapse",
    "https://{}:x-oauth-basic@example.com/us/synapse",
    "https://us:{}@example.com/us/synapse",
    "https://us:{}@example.com:8443/us/synapse.git",
    "https://us%40example.com:{}@example.com/us/synapse",
    "https://us:{}%2F@example.com/us/synapse",
    "https://us:a/{}@example.com/us/synapse",
    "https://us:12/{}@example.com/us/synapse",
    "https://us:a@{}@example.com/us/synapse",
    "https://us%3A{}@example.com/us/synapse",
    "https://us:{}%40example.com/us/synapse",
    "https://us: {}@example.com/us/synapse",
    "https://us:a\t{}@example.com/us/synapse",
    "https://us:a\\{}@example.com/us/synapse",
    "https://us:{}@[::1]/us/synapse",
    "HTTPS://us:{}@example.com/us/synapse",
    "Http://us:{}@example.com/us/synapse",
    "http://us:{}@example.com/us/synapse",
    "https:/us:{}@example.com/us/synapse",
    "https:us:{}@example.com/us/synapse",
    "https%3A%2F%2Fus:{}@example.com/us/synapse",
    "https:%2F%2Fus:{}@example.com/us/synapse",
    "git+https://us:{}@example.com/us/synapse",
    "http::https://us:{}@example.com/us/synapse",
    "https://example.com/us/synapse?private_token={}",
    "https://example.com/us/synapse?a=b&access_token={}",
    "https://example.com/us/synapse#{}",
    "https://example.com?{}",
    "ssh://git:{}@example.com/us/synapse",
    "ssh://git%3A{}@example.com/us/synapse",
    "ssh://git:{}@example.com:22/us/synapse",
    "SSH://git:{}@example.com/us/synapse",
    "git+ssh://git:{}@example.com/us/synapse",
    "git:{}@example.com:us/synapse",
    "git://us:{}@example.com/us/synapse",
    "file://us:{}@/srv/synapse",
    "ftp://us:{}@example.com/us/synapse",
)
REFUSED = (
    "--upload-pack=touch X;",
    "-u",
    "--",
    "ext::sh -c touch% X",
    "ext::sh",
    "fd::3",
    "foo::bar",
    "ssh://-oProxyCommand=touch/x",
    "ssh://git@-oProxyCommand=touch/x",
    "ssh://-oUser@example.com/x",
    "ssh://%2doProxyCommand=touch/x",
    "-oProxyCommand=touch:x",
    "git@-oProxyCommand=touch:x",
    "-oProxyCommand@example.com:x",
    "git@example.com:-x",
    "git://-x/y",
    "ftp://example.com/x",
    "HTTPS://example.com/x",
    "https:///x",
    "https://example.com",
    "https://example.com/",
    "https://exa mple.com/x",
    "https://example.com/x\n",
    "https://example.com\\@other/x",
    "file://server/x",
    "synapse",
    "us/synapse/more",
    "us/..",
    "",
)
TAKEN = (
    "https://example.com/us/synapse.git",
    "http://127.0.0.1:3000/us/synapse",
    "http://[::1]:3000/us/synapse",
    "ssh://git@example.com:2222/us/synapse.git",
    "ssh://example.com/~us/synapse",
    "git://127.0.0.1:9418/us/synapse",
    "git@example.com:us/synapse.git",
    "example.com:us/synapse.git",
    "git@[::1]:us/synapse.git",
    "file:///home/us/a%20b@c/synapse",
)
SECRETS = st.text(
    st.characters(codec="ascii", categories=["L", "N"], include_characters="-._~!$&*+,;=%^|()[]{}"),
    min_size=6,
    max_size=40,
).filter(lambda text: not text.startswith("["))


@pytest.mark.parametrize("form", WITH_CREDENTIALS)
@pytest.mark.parametrize("secret", [SECRET, f"ghp_{SECRET}", f"{SECRET}%21", f"glpat-{SECRET}!~"])
def test_credentials_are_refused_and_masked(form: str, secret: str) -> None:
    """A credential is refused and masked anywhere in an address and in any spelling."""
    address = form.format(secret)
    assert address_problem(address)
    assert public_source(address) == ""
    for wish in ((address, ""), ("us/synapse", address)):
        with pytest.raises(SourceError) as refused:
            git_address(*wish)
        assert SECRET not in str(refused.value)
    assert SECRET not in shown(address)
    if not any(blank in address for blank in " \t\\"):
        quoted = f"fatal: unable to access '{address}/': The requested URL returned error: 403"
        assert SECRET not in redacted(quoted)


@settings(max_examples=600)
@given(st.sampled_from(WITH_CREDENTIALS), SECRETS)
def test_no_character_of_a_credential_lets_it_through(form: str, secret: str) -> None:
    """Random credentials are refused and never shown."""
    address = form.format(f"{secret}{SECRET}")
    assert address_problem(address)
    with pytest.raises(SourceError) as refused:
        git_address(address)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("address", REFUSED)
def test_what_git_must_not_be_given(address: str) -> None:
    """Options, remote helpers that run commands, and malformed addresses are refused."""
    assert address_problem(address)
    with pytest.raises(SourceError, match=r"^--repo="):
        git_address(address)


@pytest.mark.parametrize("address", TAKEN)
def test_what_git_is_given(address: str) -> None:
    """A good address is shown unchanged; only a local path is not named in the image."""
    assert address_problem(address) == ""
    assert git_address(address) == address
    assert redacted(f"{address} does not answer") == f"{address} does not answer"
    assert public_source(address) == ("" if address.startswith("file:") else address)


@settings(max_examples=600)
@given(st.text(max_size=60))
def test_any_text_is_judged(text: str) -> None:
    """No text that starts like an option is accepted, and masking is idempotent."""
    if not address_problem(text):
        assert not text.startswith("-")
        assert "::" not in text.partition("[")[0]
    assert redacted(redacted(text)) == redacted(text)


@pytest.mark.parametrize(
    ("base", "address"),
    [
        ("", "https://github.com/us/synapse"),
        ("https://git.example.com/", "https://git.example.com/us/synapse"),
        ("git@example.com:group", "git@example.com:group/us/synapse"),
        ("/srv/git", "file:///srv/git/us/synapse"),
    ],
)
def test_where_slugs_lie(base: str, address: str) -> None:
    """An OWNER/NAME is appended to the base, which may also be a folder."""
    assert git_address("us/synapse", base) == address
