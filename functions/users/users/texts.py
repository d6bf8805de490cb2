"""The texts that account owners read, in plain text."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Protocol

from mercato.clock import rfc3339
from mercato.dataclass import dataclass
from mercato.text import greeting_name
from users.one_time_token import OneTimeToken

_SIGNATURE = "\n\nMercato"


@dataclass(frozen=True)
class Mail:
    subject: str
    body: str = field(repr=False)


class WriteMail(Protocol):
    def __call__(self, name: str, shop_url: str, token: OneTimeToken) -> Mail: ...


def verification(name: str, shop_url: str, token: OneTimeToken) -> Mail:
    return _mail(
        name,
        "Please verify your e-mail address",
        f"please open this link to verify your address. It works once, for 24 hours:\n\n"
        f"{_link(shop_url, 'verify-email', token)}\n\n"
        "If you did not make an account with us, please do not open it.",
    )


def account_exists(name: str, shop_url: str, token: OneTimeToken) -> Mail:
    return _mail(
        name,
        "You have an account with us",
        "your address, which has an account, was used for another registration just now. Please log in. If you do "
        f"not know your password, choose another one by this link. It works once, for 30 minutes:\n\n"
        f"{_link(shop_url, 'password-reset', token)}\n\n"
        "If it was not you, you need not do anything: nothing was changed, and the other person has learned nothing.",
    )


def reset(name: str, shop_url: str, token: OneTimeToken) -> Mail:
    return _mail(
        name,
        "Reset your password",
        f"please open this link to choose another password. It works once, for 30 minutes:\n\n"
        f"{_link(shop_url, 'password-reset', token)}\n\n"
        "If you did not ask for it, you need not do anything: your password stays as it is.",
    )


def password_changed(name: str, at: datetime) -> Mail:
    return _mail(
        name,
        "Your password was changed",
        f"your password was changed at {rfc3339(at)}, and every device is logged out.\n\n"
        "If that was not you, please reset your password now.",
    )


def _link(shop_url: str, page: str, token: OneTimeToken) -> str:
    """Puts the token after the #: browsers send that part to no server, and no referrer contains it."""
    return f"{shop_url.rstrip('/')}/{page}#token={token.text}"


def _mail(name: str, subject: str, body: str) -> Mail:
    return Mail(subject, f"Hello {greeting_name(name) or 'there'},\n\n{body}{_SIGNATURE}")
