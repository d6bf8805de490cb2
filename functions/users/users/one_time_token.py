"""Tokens in e-mails: each for one purpose, used once, valid for a while, and only the newest one.

A token is made where its mail is sent, so it is never in an event, a queue or a log. Only its digest is stored.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import field
from datetime import timedelta
from enum import StrEnum

from mercato.dataclass import dataclass
from mercato.errors import Invalid

# Between two mails of one purpose to one account, so that strangers cannot fill a mailbox.
PAUSE = timedelta(minutes=2)

_TOKEN = re.compile(r"([0-9a-f-]{36})\.([A-Za-z0-9_-]{43})")


class Purpose(StrEnum):
    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105  a purpose, not a password

    @property
    def lifetime(self) -> timedelta:
        return timedelta(hours=24) if self is Purpose.VERIFY_EMAIL else timedelta(minutes=30)


class InvalidToken(Invalid):
    """The token is unknown, used, replaced by a newer one, or expired. The response does not say which."""

    def __init__(self) -> None:
        super().__init__("This link was used already or is too old. Please ask for a new one.")


@dataclass(frozen=True)
class OneTimeToken:
    user_id: str
    secret: str = field(repr=False)

    @classmethod
    def make(cls, user_id: str) -> OneTimeToken:
        return cls(user_id, secrets.token_urlsafe(32))

    @classmethod
    def read(cls, text: str) -> OneTimeToken:
        match = _TOKEN.fullmatch(text)
        if match is None:
            raise InvalidToken
        return cls(match[1], match[2])

    @property
    def text(self) -> str:
        return f"{self.user_id}.{self.secret}"

    @property
    def digest(self) -> str:
        """The stored form. The secret has 256 random bits, so a plain hash is enough."""
        return hashlib.sha256(self.text.encode()).hexdigest()
