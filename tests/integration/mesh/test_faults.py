"""What goes wrong beside a call: the issuer, the secret, the ingress under load. test_sandbox has a killed Envoy,
test_traffic a sick version, and tests/contract/test_mesh.py a call of the code that the policy does not list.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import timedelta

import pytest

from mercato.peers.transport import NoAnswer
from sidecar.refresh import IDENTITY_FRESH, WHILE_LATE
from tests.integration.mesh.conftest import Caller, Mesh, wait_for
from tests.integration.mesh.test_traffic import settled


@pytest.fixture
def orders(mesh: Mesh) -> Caller:
    mesh.give("orders")
    mesh.cloud.weigh("products", live=1)
    caller = mesh.start("orders")
    settled(mesh, caller)
    return caller


def later(caller: Caller, seconds: float) -> None:
    """An invocation that much later, by the refresher's clock."""
    now = caller.refresher._now() + seconds
    caller.refresher._now = lambda: now
    caller.refresher.refresh(3)


def test_an_issuer_that_is_down_for_a_day_stops_calls_at_the_leaf_s_end_and_no_sooner(mesh: Mesh) -> None:
    mesh.give("orders", mesh.authority.identity("orders", age=timedelta(hours=23)))
    orders = mesh.start("orders")
    settled(mesh, orders)
    mesh.give("orders", mesh.authority.identity("orders", age=timedelta(hours=25)))
    later(orders, IDENTITY_FRESH)
    mesh.ingress.stop()  # open connections live on for a quarter of an hour at most
    mesh.ingress.start()
    wait_for(lambda: orders.look_up().status == 503, "the ingress takes a leaf that has ended")
    mesh.give("orders")
    asked = mesh.cloud.asked["GetSecretValue"]
    later(orders, WHILE_LATE)
    assert mesh.cloud.asked["GetSecretValue"] == asked + 1
    wait_for(lambda: orders.look_up().status == 200, "the new leaf is not used")


def test_a_leaf_that_is_renewed_late_is_looked_for_each_minute(mesh: Mesh) -> None:
    mesh.give("orders", mesh.authority.identity("orders", age=timedelta(hours=13)))
    orders = mesh.start("orders")
    asked = mesh.cloud.asked["GetSecretValue"]
    later(orders, WHILE_LATE - 1)
    assert mesh.cloud.asked["GetSecretValue"] == asked
    later(orders, 1)
    assert mesh.cloud.asked["GetSecretValue"] == asked + 1
    mesh.give("orders")
    later(orders, WHILE_LATE)
    later(orders, WHILE_LATE)
    assert mesh.cloud.asked["GetSecretValue"] == asked + 2, "a new leaf is fresh for an hour again"


@pytest.mark.parametrize("secret", ["", "no JSON", "{}", '{"certificate": "x"}'])
def test_a_secret_that_cannot_be_read_keeps_the_identity(mesh: Mesh, orders: Caller, secret: str) -> None:
    mesh.cloud.secrets["orders-identity"] = secret
    later(orders, IDENTITY_FRESH)
    assert "the mesh keeps its old identity" in orders.said
    assert {orders.look_up().status for _ in range(20)} == {200}
    mesh.give("orders")
    asked = mesh.cloud.asked["GetSecretValue"]
    later(orders, 6)
    assert mesh.cloud.asked["GetSecretValue"] == asked + 1, "it is tried again after five seconds"


CUT = 0  # the status came, and then the ingress ended before the body


class Numbered:
    """Calls with a number each, from several threads until it is ended."""

    def __init__(self, caller: Caller, threads: int = 4) -> None:
        self.statuses: dict[str, int] = {}
        self._caller = caller
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=[n], daemon=True) for n in range(threads)]

    def _call(self, thread: int) -> None:
        count = 0
        while not self._ends.is_set():
            count += 1
            number = f"{thread}-{count}"
            try:
                self.statuses[number] = self._caller.look_up(x_request_id=number).status
            except NoAnswer:
                self.statuses[number] = CUT

    def __enter__(self) -> Numbered:
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for one in self._threads:
            one.join()


def test_an_ingress_that_restarts_under_load_loses_calls_of_that_time_alone_and_doubles_none(
    mesh: Mesh, orders: Caller
) -> None:
    with Numbered(orders) as load:
        for _ in range(3):
            before = len(load.statuses)
            wait_for(lambda before=before: len(load.statuses) > before + 50, "there is no load")  # type: ignore[misc]
            mesh.ingress.stop()
            mesh.ingress.start()
            back = time.monotonic()
            wait_for(lambda: orders.look_up().status == 200, "the ingress is not back for the callers", 5)
            assert time.monotonic() - back < 5
    seen = Counter(one.headers.get("x-request-id", "") for one in mesh.cloud.seen)
    del seen[""]
    answered = {number for number, status in load.statuses.items() if status == 200}
    assert set(load.statuses.values()) <= {200, 503, CUT}
    assert all(seen[number] == 1 for number in answered)
    assert max(seen.values()) == 1, "a call that reached the peer was sent again"
    assert len(answered) > 150
