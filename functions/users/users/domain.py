"""An account: its e-mail address, its name, its role. No two accounts have the same address."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mercato.errors import Forbidden, Invalid, NotFound, TransientError, Unauthenticated
from mercato.text import LINE, WORDS

MAX_EMAIL, MAX_LOCAL, MAX_NAME = 254, 64, 100

_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(LINE)
_EMAIL = re.compile(rf"(?P<local>{_ATOM}(?:\.{_ATOM})*)@(?:{_LABEL}\.)+(?!\d+$){_LABEL}")


class EmailTaken(Exception):
    """An account with this address exists. Its owner may know, and who asks may not."""

    def __init__(self, login: Login) -> None:
        super().__init__("there is an account with this address")
        self.login = login


class AccountChanging(TransientError):
    """The account was changed since it was read. Nothing was written, and asking again is safe."""

    def __init__(self) -> None:
        super().__init__("the account is being changed by another request")


class InvalidEmail(Invalid):
    """The text is not an e-mail address that we could write to."""


class InvalidName(Invalid):
    """A name has 1 to 100 characters and nothing that is not shown."""


class UserNotFound(NotFound):
    """There is no such account."""


class InvalidCredentials(Unauthenticated):
    """Address and password do not belong together, or nobody has shown yet that the address is theirs. It never says
    which.
    """

    def __init__(self) -> None:
        super().__init__("The e-mail address or the password is wrong, or the address is not verified yet.")


class WrongPassword(Forbidden):
    """Who is logged in did not give the password that goes with it."""

    def __init__(self) -> None:
        super().__init__("The current password is wrong.")


class WeakPassword(Invalid):
    """The password is among those that everybody tries first."""

    def __init__(self) -> None:
        super().__init__("This password is too common or too close to your name or address. Please choose another.")


class Role(StrEnum):
    CUSTOMER = "customer"
    ADMIN = "admin"


@dataclass(frozen=True)
class User:
    user_id: str
    email: str
    name: str
    role: Role
    version: int
    created_at: datetime
    email_verified: bool = False
    session_epoch: int = 0


@dataclass(frozen=True)
class Login:
    """What a log-in is checked against; kept apart from the user, so that reading a profile never reads a hash.

    Every session ends when `session_epoch` grows. Hash and epoch are read and written together: whoever has logged in
    with a password that is being changed holds a session of the epoch before.

    `is_contested` where the address was registered again with another password. While it is not verified, nothing tells
    which of them is its owner's.
    """

    user_id: str
    password_hash: str
    session_epoch: int = 0
    is_contested: bool = False


def read_email(text: str) -> str:
    """The address in the one form in which it is stored, compared and written to."""
    shown = unicodedata.normalize("NFKC", text).strip()
    email = shown.casefold()
    if not shown.rpartition("@")[0].isascii() and shown.rpartition("@")[2].isascii():
        raise InvalidEmail("No mail can be sent to an address with such letters before the @: they must be ASCII.")
    match = _EMAIL.fullmatch(email) if shown.isascii() and len(email) <= MAX_EMAIL else None
    if match is None or len(match["local"]) > MAX_LOCAL:
        raise InvalidEmail("This is not an e-mail address.")
    return email


def login_name(text: str) -> str:
    """The address as `read_email` has it, or what was typed in its place: something to count attempts by."""
    try:
        return read_email(text)
    except InvalidEmail:
        return text.casefold()


def read_name(text: str) -> str:
    """The name in NFC and without spaces around it, by the rule of one line."""
    name = unicodedata.normalize("NFC", text).strip()
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidName(f"A name has 1 to {MAX_NAME} characters.")
    if not _NAME.search(name) or any(unicodedata.category(character) == "Cs" for character in name):
        raise InvalidName(f"A name {WORDS[LINE]}.")
    return name
