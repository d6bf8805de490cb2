"""The events that users publishes."""

from typing import Any, ClassVar

from mercato.events import EventModel


class UserRegistered(EventModel):
    """An account was created."""

    TYPE: ClassVar[str] = "user.registered"
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "user_id": "019ab1de-8a00-7c3f-9c1e-0c6e4a2f7b11",
        "email": "ada@example.com",
        "name": "Ada Lovelace",
    }

    user_id: str
    email: str
    name: str


class _AboutUser(EventModel):
    TYPE: ClassVar[str]
    EXAMPLE: ClassVar[dict[str, Any]] = {"user_id": "019ab1de-8a00-7c3f-9c1e-0c6e4a2f7b11"}

    user_id: str


class RegistrationRepeated(_AboutUser):
    """The address of this account was registered again. The owner gets an e-mail; the caller learns nothing."""

    TYPE: ClassVar[str] = "user.registration_repeated"


class VerificationRequested(_AboutUser):
    """Another e-mail that verifies the address was requested."""

    TYPE: ClassVar[str] = "user.verification_requested"


class PasswordResetRequested(_AboutUser):
    """A password reset was requested. If no account has the address, the id belongs to no account."""

    TYPE: ClassVar[str] = "user.password_reset_requested"


class EmailVerified(EventModel):
    """The account's owner has proved access to the address's mailbox. `email` is the address."""

    TYPE: ClassVar[str] = "user.email_verified"
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "user_id": "019ab1de-8a00-7c3f-9c1e-0c6e4a2f7b11",
        "email": "ada@example.com",
    }

    user_id: str
    email: str | None = None


class PasswordChanged(_AboutUser):
    """The account has a new password, and all its sessions have ended."""

    TYPE: ClassVar[str] = "user.password_changed"


class ProfileChanged(EventModel):
    """The user's profile as it is now. A consumer that keeps a copy takes the one with the highest sequence."""

    TYPE: ClassVar[str] = "user.profile_changed"
    EXAMPLE: ClassVar[dict[str, Any]] = {"user_id": "019ab1de-8a00-7c3f-9c1e-0c6e4a2f7b11", "name": "Ada King"}

    user_id: str
    name: str


class UserClosed(_AboutUser):
    """The account is closed. Services that keep personal data of this user erase it."""

    TYPE: ClassVar[str] = "user.closed"


PUBLISHES: tuple[type[EventModel], ...] = (
    UserRegistered,
    RegistrationRepeated,
    VerificationRequested,
    PasswordResetRequested,
    EmailVerified,
    PasswordChanged,
    ProfileChanged,
    UserClosed,
)
