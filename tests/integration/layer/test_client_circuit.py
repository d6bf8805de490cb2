"""Peer calls behind a circuit: which failures open it, and what a caller gets while it is open."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pytest

from mercato.breaker import Breaker, Circuits, Status
from mercato.breaker.memory import MemoryStore
from mercato.peers import peer as peers
from mercato.peers.client import (
    PeerConflict,
    PeerNotCalled,
    PeerNotFound,
    PeerRefused,
    PeerUnavailable,
    ServiceClient,
)
from mercato.peers.discovery import Registry
from mercato.peers.peer import POLICY
from mercato.peers.retries import RetryBudget
from tests.integration.layer.conftest import At
from tests.integration.layer.peers import Behaviour, Peer, answer, close


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def breaker(store: MemoryStore) -> Breaker:
    return Circuits(store).breaker("peer-products", POLICY)


@pytest.fixture
def client(cloud: None, peer: Peer, breaker: Breaker, waits: list[float]) -> ServiceClient:
    return ServiceClient("products", At(peer.url), breaker, sleep=waits.append, budget=RetryBudget(10))


@pytest.mark.parametrize("behaviour", [close, answer(500), answer(429), answer(200, "<html>")])
def test_after_five_failures_in_a_row_the_peer_is_left_alone(
    client: ServiceClient, breaker: Breaker, peer: Peer, behaviour: Behaviour
) -> None:
    peer.behaviours = [behaviour]
    for _ in range(5):
        with pytest.raises(PeerUnavailable):
            client.post("/x", {})
    assert breaker.view.state.st == Status.OPEN
    with pytest.raises(PeerNotCalled, match="circuit peer-products is open") as caught:
        client.post("/x", {})
    assert len(peer.seen) == 5
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 36


def test_an_open_circuit_ends_the_retries_of_a_call(client: ServiceClient, peer: Peer, waits: list[float]) -> None:
    for _ in range(30):
        client.get("/x")
    peer.behaviours, peer.seen = [answer(500)], []
    with pytest.raises(PeerUnavailable):
        client.get("/x")
    with pytest.raises(PeerNotCalled):
        client.get("/x")
    assert (len(peer.seen), len(waits)) == (5, 4)


@pytest.mark.parametrize(
    ("status", "kind"), [(404, PeerNotFound), (409, PeerConflict), (403, PeerRefused), (422, PeerRefused)]
)
def test_a_peer_that_says_no_is_well(
    client: ServiceClient, breaker: Breaker, peer: Peer, status: int, kind: type[Exception]
) -> None:
    peer.behaviours = [answer(status)]
    for _ in range(20):
        with pytest.raises(kind):
            client.get("/x")
    assert (breaker.view.state.st, len(peer.seen)) == (Status.CLOSED, 20)


def test_what_was_never_sent_says_nothing_of_the_peer(cloud: None, breaker: Breaker, store: MemoryStore) -> None:
    client = ServiceClient("products", Registry("nowhere"), breaker)
    for _ in range(20):
        with pytest.raises(PeerNotCalled):
            client.get("/x")
    assert (breaker.view.state.st, store.calls) == (Status.CLOSED, 0)


def test_a_healthy_call_asks_no_store(client: ServiceClient, store: MemoryStore) -> None:
    for _ in range(50):
        client.get("/x")
    assert store.calls == 0


def test_a_fallback_answers_while_the_circuit_is_open(client: ServiceClient, peer: Peer) -> None:
    peer.behaviours = [close]
    answers = [client.post("/x", {}, fallback=lambda _: "as of yesterday") for _ in range(8)]
    assert answers == ["as of yesterday"] * 8
    assert len(peer.seen) == 5


def test_a_429_keeps_the_circuit_open_for_as_long_as_it_asks(client: ServiceClient, peer: Peer) -> None:
    peer.behaviours = [answer(429, Retry_After="120")]
    for _ in range(5):
        with pytest.raises(PeerUnavailable):
            client.post("/x", {})
    with pytest.raises(PeerNotCalled) as caught:
        client.post("/x", {})
    assert caught.value.retry_after is not None
    assert 110 < caught.value.retry_after <= 120


@pytest.fixture
def environment(cloud: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NAMESPACE", "shop")
    monkeypatch.setenv("CIRCUITS_TABLE", "circuits")
    peers.reset()
    yield
    peers.reset()


def test_a_sandbox_has_one_client_of_each_peer(environment: None) -> None:
    assert peers.peer("products") is peers.peer("products")
    assert peers.peer("products") is not peers.peer("users")


class Moving(At):
    """A registry whose only service moves. It counts the look-ups."""

    asked = 0

    def find(self, service: str, avoid: Collection[str] = ()) -> str:
        self.asked += 1
        return self.urls[0]


def test_a_peer_that_is_left_alone_is_not_looked_up_either(cloud: None, breaker: Breaker, peer: Peer) -> None:
    peer.behaviours = [answer(500)]
    registry = Moving(peer.url)
    client = ServiceClient("products", registry, breaker)
    for _ in range(9):
        with pytest.raises(PeerUnavailable):
            client.post("/x", {})
    assert registry.asked == 5
