"""Certificates change while calls go on: many leaves on both sides, and the authority itself."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from issuer.authority import INGRESS
from mercato.peers.transport import NoAnswer
from tests.integration.mesh.conftest import Authority, Caller, Mesh, wait_for


class Load:
    """Calls from several threads until it is ended."""

    def __init__(self, caller: Caller, threads: int) -> None:
        self.statuses: Counter[int] = Counter()
        self._caller = caller
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(threads)]

    def _call(self) -> None:
        while not self._ends.is_set():
            try:
                status = self._caller.look_up().status
            except NoAnswer:
                status = 0
            self.statuses[status] += 1

    def __enter__(self) -> Load:
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for one in self._threads:
            one.join()


def renew(mesh: Mesh, authorities: str, *, signer: Authority) -> None:
    """New leaves on both sides, as the issuer makes them."""
    mesh.ingress.use(signer.identity(INGRESS, authorities=authorities))
    mesh.give("orders", signer.identity("orders", authorities=authorities))
    refresher = mesh.callers["orders"].refresher
    refresher._due["identity"] = 0  # as an hour later
    refresher.refresh(3)


def start(mesh: Mesh, uses: int) -> Caller:
    """A sidecar whose connections end after so many calls: an open one keeps its old certificate."""
    settings = mesh.settings("orders")
    text = settings.product.read_text()
    mesh.give("orders")
    made = mesh.settings

    def shortened(identity: str, **changes: object) -> object:
        found = made(identity, **changes)
        assert '"max_requests_per_connection": 1000' in text
        found.product.write_text(
            text.replace('"max_requests_per_connection": 1000', f'"max_requests_per_connection": {uses}')
        )
        return found

    mesh.settings = shortened  # type: ignore[method-assign, assignment]
    caller = mesh.start("orders")
    wait_for(lambda: caller.invoke().status == 200, "the sidecar has no identity")
    return caller


def handshakes(caller: Caller) -> int:
    found = caller.counters()
    return sum(value for name, value in found.items() if name.endswith("ssl.handshake") and ".products." in name)


@pytest.mark.parametrize("rotations", [8])
def test_leaves_of_both_sides_and_the_authority_change_under_load(mesh: Mesh, rotations: int) -> None:
    change(mesh, rotations, least_handshakes=150)


@pytest.mark.long
def test_thirty_rotations_and_a_thousand_handshakes_lose_no_call(mesh: Mesh) -> None:
    change(mesh, 34, least_handshakes=1000)


def change(mesh: Mesh, rotations: int, *, least_handshakes: int) -> None:
    orders = start(mesh, uses=4)
    old, new = mesh.authority, Authority()
    both = old.pem + new.pem
    with Load(orders, threads=4) as load:
        for _ in range(rotations):
            renew(mesh, old.pem, signer=old)
            time.sleep(0.15)  # the load goes on, which is what this test is about
        for authorities, signer in ((both, old), (both, new), (new.pem, new)):
            # As the issuer does it: trust both, then sign with the new one, then forget the old one. The sides do not
            # change at the same moment, which the order of the steps allows.
            renew(mesh, authorities, signer=signer)
            time.sleep(0.5)
        wait_for(lambda: handshakes(orders) >= least_handshakes, "too few handshakes", 60)
    assert set(load.statuses) == {200}
    mesh.give("orders", old.identity("orders", authorities=new.pem))
    orders.refresher._due["identity"] = 0
    orders.refresher.refresh(3)
    wait_for(lambda: orders.look_up().status == 503, "the old authority's leaf is refused")
