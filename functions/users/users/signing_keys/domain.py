"""The keys of the access tokens: `current` signs, `next` signs after it, `previous` signed before. All are
published.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from mercato.clock import rfc3339
from mercato.dataclass import dataclass

ALGORITHM = "ES256"

# A token lives 15 minutes, and a cached key a few. So a retired key must stay published for longer.
MIN_AGE = timedelta(hours=1)

Jwk = dict[str, str]
_PUBLIC = ("kty", "crv", "x", "y", "kid", "use", "alg")


@dataclass(frozen=True)
class KeySet:
    """Private keys as JWKs (RFC 7517)."""

    next: Jwk = field(repr=False)
    current: Jwk = field(repr=False)
    previous: Jwk | None = field(repr=False)
    rotated_at: datetime

    @classmethod
    def make(cls, now: datetime) -> KeySet:
        return cls(next=make_key(), current=make_key(), previous=None, rotated_at=now)

    def rotate(self, now: datetime) -> KeySet:
        return KeySet(next=make_key(), current=self.next, previous=self.current, rotated_at=now)

    def may_rotate(self, now: datetime) -> bool:
        return now - self.rotated_at >= MIN_AGE

    def public(self) -> dict[str, list[Jwk]]:
        """The JWK set with which services verify tokens."""
        keys = [key for key in (self.next, self.current, self.previous) if key]
        return {"keys": [{name: key[name] for name in _PUBLIC} for key in keys]}

    def to_json(self) -> str:
        return json.dumps(
            {
                "next": self.next,
                "current": self.current,
                "previous": self.previous,
                "rotated_at": rfc3339(self.rotated_at),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> KeySet | None:
        """None for an empty text or document, as in a new secret."""
        found: dict[str, Any] = json.loads(text or "{}")
        if not found:
            return None
        rotated_at = datetime.fromisoformat(found["rotated_at"])
        return cls(next=found["next"], current=found["current"], previous=found["previous"], rotated_at=rotated_at)


@dataclass(frozen=True)
class StoredKeys:
    """`version` identifies the stored value, so that a replacement cannot overwrite a concurrent one."""

    keys: KeySet
    version: str


def make_key() -> Jwk:
    """A new private key on P-256, named by its thumbprint (RFC 7638)."""
    key = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
    named = json.dumps({name: key[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(named.encode()).digest()).decode().rstrip("=")
    return {name: str(key[name]) for name in ("kty", "crv", "x", "y", "d")} | {
        "kid": thumbprint,
        "use": "sig",
        "alg": ALGORITHM,
    }
