"""The crash matrix with EasyPost as the carrier, a sample: a fault of the saga and one of the wire in the same order.

After each run all books agree, at most one label was bought, and a cancelled order's label is void.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from infra.local.easypost import api as fake_easypost
from infra.local.easypost.api import FakeEasyPost, Trouble
from mercato.clock import utc_now
from shipping import usecases
from shipping import wiring as shipping_wiring
from shipping.easypost import reports
from tests.chaos.books import disagreements
from tests.chaos.cases import Case, Outcome, Record, Story, play_all
from tests.chaos.faults import Fault, Kind, faults_of
from tests.chaos.shop import Buyer, Mall, Shop
from tests.kit.state_machine import NothingCame

CREATE, BUY, REFUND = "/v2/shipments", "/buy", "/refund"
FIRST = f"shp_{1:032x}"  # the path of a look-up ends so
_PASSING = (Trouble.LOST, Trouble.BROKEN, Trouble.AWAY, Trouble.BUSY, Trouble.ODD)


@dataclass(frozen=True)
class Sending:
    """A case of the crash matrix, and the calls of EasyPost that fail in it, each once."""

    case: Case
    troubles: tuple[tuple[str, Trouble], ...]

    def __str__(self) -> str:
        wire = ", ".join(f"{path} {trouble}" for path, trouble in self.troubles)
        return f"{self.case}; at EasyPost: {wire or 'no fault'}"


@pytest.fixture
def fake() -> Iterator[FakeEasyPost]:
    with fake_easypost.running() as found:
        yield found


def play(mall: Mall, fake: FakeEasyPost, sending: Sending) -> Outcome:
    fake.reset()
    shop, case = mall.open(), sending.case
    shop.send_by_easypost(fake)
    for path, trouble in sending.troubles:
        fake.fail(path, trouble)
    order_id = shop.place(*case.story.value, buyer=case.buyer)
    try:
        shop.run(order_id, case.faults, eager=case.eager)
    except NothingCame:
        return True, [f"the saga never ended; it went {', '.join(shop.world.calls[-12:])}"]
    is_reached = shop.injector.met == set(case.faults) and not fake.troubles
    deliver(shop, fake)
    wrong = disagreements(shop, order_id)
    if len(fake.bought) > 1:
        wrong.append(f"{len(fake.bought)} labels were bought")
    order = shop.orders.load(order_id)
    if order and order.status == "cancelled" and fake.labels():
        wrong.append("the label of a cancelled order is not void")
    return is_reached, wrong


def deliver(shop: Shop, fake: FakeEasyPost) -> None:
    """The carrier brings each parcel with a label. Its reports come twice, the last one first."""
    for parcel_id in fake.labels():
        fake.move(parcel_id, "delivered")
        for status in ("delivered", "in_transit", "delivered"):
            hear(shop, parcel_id, status)
    hear(shop, "shp_of_another_shop", "delivered")
    shop.bus.deliver()


def hear(shop: Shop, parcel_id: str, status: str) -> None:
    tracker = reports.Tracker(status=status, tracking_code="9400")
    usecases.hear_of_parcel(
        parcel_id,
        lambda shipment_id: reports.progress_of(shipment_id, tracker),
        reports.NAME,
        shipping_wiring.ports(),
        utc_now(),
    )


def buyings() -> list[Sending]:
    """Whatever is lost on the way to the label, of an order that succeeds, at once and late."""
    wires: list[tuple[tuple[str, Trouble], ...]] = [
        ((path, trouble),) for path, trouble in itertools.product((CREATE, BUY), _PASSING)
    ]
    wires += [((BUY, trouble), (FIRST, other)) for trouble, other in itertools.product(_PASSING[:2], _PASSING)]
    return [
        Sending(Case(Story.GOOD, (), number % 2 == 0, list(Buyer)[number // 2 % 2]), wire)
        for number, wire in enumerate(wires)
    ]


def voidings() -> list[Sending]:
    """An order whose payment cannot be captured, with each fault of StopShipment, and of the wire below it."""
    opener = Fault("CapturePayment", Kind.UNKNOWN)
    found = []
    for number, fault in enumerate(faults_of("StopShipment")):
        wire = ((REFUND, _PASSING[number % len(_PASSING)]),) if number % 3 else ()
        found.append(Sending(Case(Story.GOOD, (opener, fault), eager=True), wire))
        found.append(Sending(Case(Story.GOOD, (opener, fault), eager=False), ()))
    return found


def plain() -> list[Sending]:
    stories = itertools.product(Story, (True, False), Buyer)
    return [Sending(Case(story, (), eager, buyer), ()) for story, eager, buyer in stories]


def test_each_story_without_faults(mall: Mall, fake: FakeEasyPost, record_property: Record) -> None:
    tally = play_all("EasyPost, no fault", plain(), lambda one: play(mall, fake, one), record_property)
    assert (tally.cases, tally.reached) == (20, 20)


def test_a_label_is_bought_once_whatever_is_lost(mall: Mall, fake: FakeEasyPost, record_property: Record) -> None:
    tally = play_all("EasyPost, labels", buyings(), lambda one: play(mall, fake, one), record_property)
    assert tally.reached == tally.cases


def test_a_label_is_void_when_its_order_is_undone(mall: Mall, fake: FakeEasyPost, record_property: Record) -> None:
    play_all("EasyPost, voids", voidings(), lambda one: play(mall, fake, one), record_property)
