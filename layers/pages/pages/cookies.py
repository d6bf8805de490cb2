"""The session, in cookies that no script reads: the visitor's own tokens, and a guest's cart and order.

The `__Host-` prefix makes the browser refuse the cookie without Secure, with a Domain, or with another path: no other
host can set it. Nothing is stored on our side, and nothing is encrypted: it is what the visitor was given at log-in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mercato.dataclass import dataclass

ACCESS_SECONDS = 14 * 60  # the token lives for fifteen minutes
REFRESH_SECONDS = 30 * 24 * 3600
CART_SECONDS = 90 * 24 * 3600
ORDER_SECONDS = 90 * 24 * 3600
CHECKOUT_SECONDS = 24 * 3600  # as long as the API keeps a checkout
REMINDER_SECONDS = 60 * 24 * 3600  # as long as the API keeps the wish
_VALUE = re.compile(r"[A-Za-z0-9._~+/=-]{1,2048}")


@dataclass(frozen=True)
class Names:
    """Of the cookies of one site. The shop and the console have other names, since locally they share a host."""

    access: str
    refresh: str
    cart: str = ""
    checkout: str = ""
    order: str = ""
    reminder: str = ""

    @property
    def session(self) -> tuple[str, str]:
        return self.access, self.refresh


SHOP = Names("__Host-a", "__Host-r", "__Host-cart", "__Host-checkout", "__Host-order", "__Host-reminder")
CONSOLE = Names("__Host-console-a", "__Host-console-r")


def read(lines: Iterable[str]) -> dict[str, str]:
    """By name, from the event's cookies. What is not a value of ours is left out."""
    found: dict[str, str] = {}
    for line in lines:
        for pair in line.split(";"):
            # Of blanks only those of HTTP: a browser lets another host set a cookie whose name begins with U+2000.
            name, _, value = pair.strip(" \t").partition("=")
            if _VALUE.fullmatch(value):
                found.setdefault(name, value)
    return found


def write(name: str, value: str, seconds: int) -> str:
    return f"{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax"


def removed(name: str) -> str:
    return write(name, "", 0)
