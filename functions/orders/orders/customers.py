"""Customers by their e-mail address, asked of the users service: orders keep no address."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from mercato.peers.client import PeerNotFound, ServiceClient, read_answer


class _Account(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    user_id: str


class Customers:
    def __init__(self, users: ServiceClient) -> None:
        self._users = users

    def find_id(self, email: str) -> str | None:
        """None where no account has the address, as after its account was closed."""
        try:
            answer = self._users.post("/api/users/lookup", {"email": email}, safe=True)
        except PeerNotFound:
            return None
        return read_answer(_Account, answer, "the look-up of a user").user_id
