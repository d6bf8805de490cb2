"""What the users service tells the world."""

from __future__ import annotations

from typing import Any, ClassVar

from mercato.events import EventModel


class UserRegistered(EventModel):
    """Somebody made an account."""

    TYPE: ClassVar[str] = "user.registered"
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "user_id": "019ab1de-8a00-7c3f-9c1e-0c6e4a2f7b11",
        "email": "ada@example.com",
        "name": "Ada Lovelace",
    }

    user_id: str
    email: str
    name: str


PUBLISHES: tuple[type[EventModel], ...] = (UserRegistered,)
