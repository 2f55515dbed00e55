"""The replication secret that needs no configuration: it follows from the signing key."""

import hashlib
import hmac
from pathlib import Path

_LABEL = b"synapse-worker: worker_replication_secret, version 1"


def derived_secret(signing_key: Path) -> str:
    """Return the replication secret that follows from the signing key, as 64 hexadecimal digits.

    HKDF-SHA256 (RFC 5869) over the first key's seed, without salt (an empty key, which
    HMAC fills up with zeros as the RFC has it): one block is enough.  All
    processes mount that file anyway, and the label keeps the secret apart from any other use.
    """
    seed = signing_key.read_text(encoding="utf-8").split()[2]
    extracted = hmac.digest(b"", seed.encode(), hashlib.sha256)
    return hmac.digest(extracted, _LABEL + b"\x01", hashlib.sha256).hex()
