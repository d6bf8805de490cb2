"""The dashboard fetches its parts in parallel, and marks the part of a peer that is down."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from gateway.dashboard import show_dashboard
from mercato.errors import TransientError
from mercato.invocation import deadline
from mercato.peers.client import PeerNotFound, PeerUnavailable
from mercato.telemetry import correlation

PROFILE = {"user_id": "ada", "email": "ada@example.com", "name": "Ada", "role": "customer"}
ORDERS = [{"order_id": str(number), "status": "confirmed"} for number in range(5)]
DOWN = {"unavailable": True}


class Peer:
    """Answers with the given value, or raises it. Records the callers and their requests."""

    def __init__(self, answer: Any, meet: threading.Barrier | None = None) -> None:
        self.answer = answer
        self.meet = meet
        self.asked: list[tuple[str, str]] = []
        self.correlation_id = ""
        self.patience = 0.0

    def get(self, path: str, *, user_id: str = "") -> Any:
        self.asked.append((path, user_id))
        self.correlation_id = correlation.current().correlation_id
        self.patience = deadline.within(60, reserve=0)
        if self.meet:
            self.meet.wait(timeout=10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def peers() -> dict[str, Peer]:
    return {
        "users": Peer(PROFILE),
        "orders": Peer({"items": ORDERS, "next_cursor": None}),
        "notifications": Peer({"items": [{}], "next_cursor": None, "unread_count": 7}),
    }


def show(peers: dict[str, Peer]) -> dict[str, Any]:
    return show_dashboard("ada", **peers).model_dump(mode="json")


def test_the_dashboard_has_the_profile_the_last_orders_and_the_unread_count(peers: dict[str, Peer]) -> None:
    assert show(peers) == {"user": PROFILE, "recent_orders": ORDERS, "unread_notifications": 7}


def test_each_peer_is_asked_once_on_behalf_of_the_customer(peers: dict[str, Peer]) -> None:
    show(peers)

    assert peers["users"].asked == [("/api/users/ada", "ada")]
    assert peers["orders"].asked == [("/api/orders?limit=5", "ada")]
    assert peers["notifications"].asked == [("/api/notifications?unread=true&limit=1", "ada")]


def test_the_three_are_asked_at_the_same_time(peers: dict[str, Peer]) -> None:
    meet = threading.Barrier(3)
    for peer in peers.values():
        peer.meet = meet

    assert show(peers)["unread_notifications"] == 7


def test_the_correlation_id_goes_along_to_every_peer(peers: dict[str, Peer]) -> None:
    with correlation.bound(correlation.accept("request-0001")):
        show(peers)

    assert {peer.correlation_id for peer in peers.values()} == {"request-0001"}


def test_no_peer_may_take_longer_than_a_shopper_waits(peers: dict[str, Peer]) -> None:
    show(peers)

    assert all(3 < peer.patience <= 4 for peer in peers.values())
    assert deadline.within(60) == 60


def test_a_nearer_deadline_of_the_invocation_goes_along(peers: dict[str, Peer]) -> None:
    with deadline.at_most(1):
        show(peers)

    assert all(peer.patience <= 1 for peer in peers.values())


@pytest.mark.parametrize(
    ("peer", "part"), [("users", "user"), ("orders", "recent_orders"), ("notifications", "unread_notifications")]
)
@pytest.mark.parametrize(
    "failure",
    [
        PeerUnavailable("timed out"),
        PeerNotFound("no such user"),
        TransientError("nobody is registered"),
        None,
        {},
        [],
        {"items": "none", "unread_count": "many", "user_id": 1},
    ],
)
def test_a_part_whose_peer_gives_no_good_answer_is_unavailable_and_the_others_are_there(
    peers: dict[str, Peer], peer: str, part: str, failure: object
) -> None:
    whole = show(peers)
    peers[peer].answer = failure

    assert show(peers) == whole | {part: DOWN}


def test_with_every_peer_down_there_is_a_dashboard_still(peers: dict[str, Peer]) -> None:
    for peer in peers.values():
        peer.answer = PeerUnavailable("down")

    assert show(peers) == {"user": DOWN, "recent_orders": DOWN, "unread_notifications": DOWN}


def test_new_fields_of_a_peer_break_nothing(peers: dict[str, Peer]) -> None:
    peers["users"].answer = PROFILE | {"avatar": "x"}

    assert show(peers)["user"] == PROFILE


def test_no_more_than_five_orders_are_shown(peers: dict[str, Peer]) -> None:
    peers["orders"].answer = {"items": [*ORDERS, {"order_id": "6"}]}

    assert show(peers)["recent_orders"] == ORDERS


def test_what_a_customer_has_is_not_logged(peers: dict[str, Peer], caplog: pytest.LogCaptureFixture) -> None:
    peers["users"].answer = {"email": "ada@example.com", "name": 1}

    show(peers)

    logged = str([vars(record) for record in caplog.records])
    assert "dashboard part unavailable" in logged
    assert "ada@example.com" not in logged


def test_a_fault_of_our_own_is_not_taken_for_a_peer_that_is_down(peers: dict[str, Peer]) -> None:
    peers["users"].answer = ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        show(peers)


def test_an_odd_user_id_stays_within_its_part_of_the_path(peers: dict[str, Peer]) -> None:
    show_dashboard("../orders?x=1#y", **peers)

    assert peers["users"].asked[0][0] == "/api/users/..%2Forders%3Fx%3D1%23y"
