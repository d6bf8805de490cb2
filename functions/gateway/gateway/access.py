"""Verifies access tokens."""

from __future__ import annotations

from dataclasses import field

import jwt

from gateway.keyring import ALGORITHM, Keyring
from mercato.dataclass import dataclass

MAX_LENGTH = 4096
_REQUIRED = ("iss", "aud", "sub", "role", "iat", "nbf", "exp", "jti")
_ROLES = ("customer", "admin")


class Refused(Exception):
    """The token is not valid. The reason is only for the log, and never contains a part of the token."""


@dataclass(frozen=True)
class Holder:
    user_id: str
    role: str
    token_id: str
    issued_at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Verifier:
    keys: Keyring
    issuer: str
    audience: str

    def verify(self, token: str) -> Holder:
        """Raises Refused for any text that is not a valid access token."""
        if len(token) > MAX_LENGTH:
            raise Refused("too long")
        try:
            key = self._key_of(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=self.issuer,
                audience=self.audience,
                leeway=5,  # the clocks of two functions differ by less
                options={"require": list(_REQUIRED), "strict_aud": True},
            )
        except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
            raise Refused(type(error).__name__) from None
        user_id, role, token_id = claims["sub"], claims["role"], claims["jti"]
        if not user_id or not token_id or role not in _ROLES:
            raise Refused("claims that make no sense")
        return Holder(user_id, role, token_id, int(claims["iat"]))

    def _key_of(self, token: str) -> jwt.PyJWK:
        header = jwt.get_unverified_header(token)
        if header.get("alg") != ALGORITHM:
            raise Refused("another algorithm")
        key_id = header.get("kid")
        if not isinstance(key_id, str):
            raise Refused("no key id")
        key = self.keys.find(key_id)
        if key is None:
            raise Refused("an unknown key")
        return key
