"""Derives the replication secret from the signing key, so that it needs no configuration."""

import hashlib
import hmac
from pathlib import Path

_LABEL = b"synapse-worker: worker_replication_secret, version 1"


def derived_secret(signing_key: Path) -> str:
    """Return the replication secret derived from the signing key, as 64 hexadecimal digits.

    It is one block of HKDF-SHA256 (RFC 5869) over the seed of the first key, in base64 as in the
    file, without a salt (an empty key, which HMAC pads with zeros as the RFC specifies).  All
    processes mount that file anyway, and the label separates the secret from any other use.
    """
    seed = signing_key.read_text(encoding="utf-8").split()[2]
    pseudorandom_key = hmac.digest(b"", seed.encode(), hashlib.sha256)
    return hmac.digest(pseudorandom_key, _LABEL + b"\x01", hashlib.sha256).hex()
