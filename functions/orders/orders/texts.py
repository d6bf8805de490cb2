"""The texts that guests read in mails of this service, in plain text."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Mail:
    subject: str
    body: str = field(repr=False)


def guest_link(name: str, number: str, shop_url: str, token: str) -> Mail:
    """The token is behind #, which no server sees."""
    return Mail(
        "Your order with Mercato",
        f"Hello {' '.join(name.split())},\n\n"
        f"thank you for your order {number}. By this link you see where it is, and can cancel or return it:\n\n"
        f"{shop_url}/guest-order#token={token}\n\n"
        "Whoever has the link can do the same, so please keep it to yourself. If you make an account with this e-mail "
        "address, the order is in it.\n\nMercato",
    )
