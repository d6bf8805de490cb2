"""The orders service asks the users service for an address's customer in a body, and never in a path."""

from __future__ import annotations

from typing import Any, cast

import pytest

from mercato.peers.client import PeerNotFound, PeerUnavailable, ServiceClient
from orders.customers import Customers


class Users:
    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls: list[tuple[str, Any, bool]] = []

    def post(self, path: str, body: Any, *, safe: bool = False) -> Any:
        self.calls.append((path, body, safe))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def find(users: Users) -> str | None:
    return Customers(cast(ServiceClient, users)).find_id("ada@example.com")


def test_an_account_is_found_by_its_address() -> None:
    users = Users({"user_id": "user-1", "email": "ada@example.com", "name": "Ada"})
    assert find(users) == "user-1"
    assert users.calls == [("/api/users/lookup", {"email": "ada@example.com"}, True)]


def test_an_address_without_an_account_is_nobodys() -> None:
    assert find(Users(PeerNotFound("no"))) is None


@pytest.mark.parametrize("answer", [PeerUnavailable("away"), {"id": "user-1"}])
def test_an_answer_that_is_none_is_not_taken_for_a_no(answer: Any) -> None:
    with pytest.raises(PeerUnavailable):
        find(Users(answer))
