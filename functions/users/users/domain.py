"""An account: its e-mail address, its name, its role. No two accounts have the same address."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic_core import PydanticKnownError

from mercato.dataclass import dataclass
from mercato.email_address import InvalidEmail, read_email
from mercato.errors import Forbidden, Invalid, NotFound, TransientError, Unauthenticated
from mercato.text import PERSON_NAME


class EmailTaken(Exception):
    """An account with this address exists. Its owner may learn this, the caller may not."""

    def __init__(self, login: Login) -> None:
        super().__init__("there is an account with this address")
        self.login = login


class AccountChanging(TransientError):
    """The account has changed since it was read. Nothing was written, and a retry is safe."""

    def __init__(self) -> None:
        super().__init__("the account is being changed by another request")


class InvalidName(Invalid):
    """A name has 1 to 100 visible characters."""


class UserNotFound(NotFound):
    """The account does not exist."""


class InvalidCredentials(Unauthenticated):
    """The e-mail address and password do not match, or the address is not verified. The response does not say which."""

    def __init__(self) -> None:
        super().__init__("The e-mail address or the password is wrong, or the address is not verified yet.")


class WrongPassword(Forbidden):
    """The current password is wrong."""

    def __init__(self) -> None:
        super().__init__("The current password is wrong.")


class WeakPassword(Invalid):
    """The password is one of the most common passwords."""

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
    """The data that a log-in is checked against. Separate from User, so that reading a profile never reads a hash.

    All sessions end when `session_epoch` increases. Hash and epoch are read and written together, so a log-in with a
    password that is being changed gets a session of the old epoch.

    `is_contested`: the address was registered again with another password. Until it is verified, the owner is unknown.
    """

    user_id: str
    password_hash: str
    session_epoch: int = 0
    is_contested: bool = False


def login_name(text: str) -> str:
    """The address in its canonical form, or the text as typed: a key for counting attempts."""
    try:
        return read_email(text)
    except InvalidEmail:
        return text.casefold()


def read_name(text: str) -> str:
    """The name in the form in which it is stored."""
    try:
        return PERSON_NAME.normalise(text)
    except PydanticKnownError:
        raise InvalidName(f"A name has 1 to {PERSON_NAME.at_most} characters.") from None
    except ValueError as error:
        raise InvalidName(f"A name {error}.") from None
