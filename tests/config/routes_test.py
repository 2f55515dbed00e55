"""The routes in the table of worker types match docs/workers.md in the pinned source."""

import os
import re
import tarfile
from pathlib import Path

from worker.worker_types import load_table

# Patterns that no worker type has, each with the reason.
_LEFT_TO_MAIN = {
    "^/_matrix/client/(api/v1|r0|v3|unstable)/login/cas/ticket$": "SSO must stay in one process",
    "^/_matrix/client/(api/v1|r0|v3|unstable)/login/sso/redirect": "SSO must stay in one process",
    "^/_synapse/admin/v1/rooms/[^/]+$": "administration",
    "^/_synapse/admin/v2/users/[^/]+$": "for GET alone",
    "^/_synapse/client/new_user_consent$": "SSO must stay in one process",
    "^/_synapse/client/oidc/callback$": "SSO must stay in one process",
    "^/_synapse/client/pick_idp$": "SSO must stay in one process",
    "^/_synapse/client/pick_username": "SSO must stay in one process",
    "^/_synapse/client/saml2/authn_response$": "SSO must stay in one process",
    "^/_synapse/client/sso_register$": "SSO must stay in one process",
    "^/_synapse/mas/": "needs Matrix Authentication Service",
}
# Routes that the page omits although it documents the stream that they write.
_NOT_ON_THE_PAGE = {
    "^/_matrix/client/unstable/io.element.msc4306/rooms/.*/thread/.*/subscription$",
}


def documented() -> set[str]:
    """Return every route pattern on the page."""
    with tarfile.open(Path(os.environ["SOURCE"])) as archive:
        (name,) = [name for name in archive.getnames() if name.endswith("/docs/workers.md")]
        page = archive.extractfile(name)
        assert page is not None
        text = page.read().decode()
    lines = re.findall(r"^    (\^?/_\S+)$", text, re.MULTILINE)
    return {line if line.startswith("^") else "^" + line for line in lines}


def test_every_documented_path_has_a_role_or_a_reason() -> None:
    """Routes that a new release adds belong to a worker type or are listed as exceptions."""
    ours = {route for worker_type in load_table().types.values() for route in worker_type.routes}
    assert documented() - ours == set(_LEFT_TO_MAIN)


def test_no_role_routes_what_synapse_does_not_document() -> None:
    """A worker would answer 404 to a route that it does not serve."""
    ours = {route for worker_type in load_table().types.values() for route in worker_type.routes}
    assert ours - documented() == _NOT_ON_THE_PAGE
