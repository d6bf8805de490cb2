"""Access tokens: JWTs signed with the current key."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

import jwt

from mercato.clock import epoch
from mercato.errors import TransientError
from users.domain import User
from users.signing_keys.cached import Cached
from users.signing_keys.domain import ALGORITHM
from users.signing_keys.store import KeyStore

LIFETIME = timedelta(minutes=15)
_KEY_FRESH = 60.0


class AccessTokens:
    def __init__(self, store: KeyStore, issuer: str, audience: str) -> None:
        self._issuer = issuer
        self._audience = audience
        self._key = Cached(lambda: _load_current(store), _KEY_FRESH)

    def prepare(self) -> None:
        """Raises TransientError where no key is at hand, so that nothing is begun that could not be answered."""
        self._key.get()

    def issue(self, user: User, now: datetime) -> str:
        key = self._key.get()
        issued_at = epoch(now)
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": user.user_id,
            "role": user.role.value,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at + int(LIFETIME.total_seconds()),
            "jti": str(uuid.uuid4()),
        }
        return jwt.encode(claims, key.key, algorithm=ALGORITHM, headers={"kid": key.key_id})


def _load_current(store: KeyStore) -> jwt.PyJWK:
    stored = store.load()
    if stored is None:
        raise TransientError("there is no signing key yet: UsersKeys has not run")
    return jwt.PyJWK(stored.keys.current, ALGORITHM)
