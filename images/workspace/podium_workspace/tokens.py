"""Credentials: read from a file that the environment names, compared without telling how much was right.

Nothing here may log or raise what a secret is.
"""

from __future__ import annotations

import hmac
from pathlib import Path


def read(path: str) -> str:
    """The secret in a file.

    Raises:
        OSError: when the file cannot be read.
        ValueError: when it is too short to be a secret.
    """
    secret = Path(path).read_text().strip()
    if len(secret) < 32:
        raise ValueError(f"{path} holds no secret")
    return secret


def same(given: str | None, secret: str) -> bool:
    """Whether what somebody gave is the secret; takes the same time whatever they gave."""
    return given is not None and hmac.compare_digest(given.encode(), secret.encode())


def bears(authorization: str | None, secret: str) -> bool:
    """Whether an `Authorization` header carries the secret. Source: RFC 6750, section 2.1."""
    scheme, _, given = (authorization or "").partition(" ")
    return scheme.lower() == "bearer" and same(given.strip(), secret)
