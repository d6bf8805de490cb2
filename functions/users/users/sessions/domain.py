"""Sessions: a log-in starts a family of refresh tokens, of which only the newest is valid.

A token is used once and exchanged for its successor. The token before the newest gets that same successor for ten
seconds, for a second tab or a lost response. After that, and for any older token, its use means that two parties hold
the session, and the session ends.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import field
from datetime import datetime, timedelta

from mercato.dataclass import dataclass
from mercato.errors import Unauthenticated

GRACE = timedelta(seconds=10)
LIFETIME = timedelta(days=30)  # from the log-in, however often the token is renewed

_TOKEN = re.compile(r"([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})")


class InvalidRefreshToken(Unauthenticated):
    """The refresh token is unknown, expired or revoked."""

    def __init__(self) -> None:
        super().__init__("The refresh token is not valid. Please log in again.")


class RefreshTokenReused(Unauthenticated):
    """A refresh token was used a second time, so the session was ended for all its holders."""

    def __init__(self) -> None:
        super().__init__("This refresh token was used before, so the session has ended. Please log in again.")


@dataclass(frozen=True)
class RefreshToken:
    """`family_id` identifies the session, `secret` proves it. Neither may reach a log."""

    family_id: str = field(repr=False)
    secret: str = field(repr=False)

    @classmethod
    def make(cls) -> RefreshToken:
        """The first token of a new session."""
        return cls(secrets.token_urlsafe(16), secrets.token_urlsafe(32))

    @classmethod
    def read(cls, text: str) -> RefreshToken:
        match = _TOKEN.fullmatch(text)
        if match is None:
            raise InvalidRefreshToken
        return cls(match[1], match[2])

    @property
    def text(self) -> str:
        return f"{self.family_id}.{self.secret}"

    @property
    def digest(self) -> str:
        """The stored form. The secret has 256 random bits, so a plain hash is enough."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def successor(self, salt: str) -> RefreshToken:
        """The next token, derived from this one and the salt: it can be returned again, but not read from a store."""
        mac = hmac.digest(self.secret.encode(), salt.encode(), "sha256")
        return RefreshToken(self.family_id, base64.urlsafe_b64encode(mac).decode().rstrip("="))


@dataclass(frozen=True)
class Family:
    """A stored session: the digests of the newest token and of the one before, and the salt between the two.

    `session_epoch` is the account's at the log-in. The session is over when the account's has increased.
    """

    family_id: str = field(repr=False)
    user_id: str
    digest: str
    expires_at: datetime
    session_epoch: int = 0
    previous_digest: str | None = None
    salt: str | None = field(default=None, repr=False)
    rotated_at: datetime | None = None
    revoked_at: datetime | None = None


class NotNewest(Exception):
    """The token is not the newest of its session. `family` is the session, or None if there is none."""

    def __init__(self, family: Family | None) -> None:
        super().__init__("not the newest refresh token")
        self.family = family


def repeat_successor(family: Family, token: RefreshToken, now: datetime) -> RefreshToken:
    """The successor for the token before the newest. Raises RefreshTokenReused if the session must end."""
    if family.revoked_at is not None or family.expires_at <= now:
        raise InvalidRefreshToken
    if family.salt is None or family.rotated_at is None or family.previous_digest != token.digest:
        raise RefreshTokenReused
    if now - family.rotated_at > GRACE:
        raise RefreshTokenReused
    return token.successor(family.salt)
