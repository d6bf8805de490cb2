"""Another process acts just before or just after each write, of an order's whole course and of each other action.

The whole course is checkout, undo, parcel and mail. Each other action (a cancellation, a webhook, a refund) runs at
one moment of that course, and is interrupted at each of its own writes.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from mercato.errors import TransientError
from tests.chaos import deeds
from tests.chaos.books import disagreements
from tests.chaos.cases import Record, Story, play_all, with_each_trait
from tests.chaos.deeds import ACTS, Deed, Scene
from tests.chaos.faults import Fault, Kind
from tests.chaos.shop import AT_REST, SAGA_OVER, Buyer, Mall
from tests.chaos.tables import Stretch
from tests.kit.state_machine import NothingCame

SEED = 20261122
SAMPLED = 1
SHARDS = 8


@dataclass(frozen=True)
class Way:
    """An order's course, and what is interrupted: `call` at its `moment`, or else all of it. `before` precedes the
    call.
    """

    moment: str = ""
    call: Deed | None = None
    before: Deed | None = None
    story: Story = Story.GOOD
    faults: tuple[Fault, ...] = ()
    eager: bool = True
    buyer: Buyer = Buyer.ACCOUNT


WAYS: dict[str, Way] = {
    # Two orders whose parcel leaves at once; one whose payment is declined and one whose capture is; one whose captured
    # money is refunded.
    "sold": Way(),
    "sold to a guest": Way(buyer=Buyer.GUEST),
    "declined": Way(story=Story.DECLINED),
    "not collected": Way(story=Story.NOT_COLLECTED),
    "given back": Way(faults=(Fault("CapturePayment", Kind.UNKNOWN),), eager=False),
    "cancelled before it is confirmed": Way("ConfirmOrder", deeds.cancel_and_undo),
    "cancelled before it is paid": Way("CapturePayment", deeds.cancel_and_undo),
    "cancelled when it is paid": Way(SAGA_OVER, deeds.cancel_and_undo, eager=False),
    "expiring": Way("KeepReservation", deeds.expire),
    "wanting the last use of its coupon": Way("ClaimCoupon", deeds.rival_claims),
    "claim expiring": Way("KeepCoupon", deeds.expire_claim),
    "claimed by an account before it is paid": Way("CapturePayment", deeds.claim_order, buyer=Buyer.GUEST),
    "claimed by an account when it is paid": Way(SAGA_OVER, deeds.claim_order, eager=False, buyer=Buyer.GUEST),
    "claimed by an account at the end": Way(AT_REST, deeds.claim_order, buyer=Buyer.GUEST),
    "captured, says a webhook": Way("CapturePayment", deeds.hear_webhook, deeds.capture_unheard),
    "captured, finds the reconciler": Way("CapturePayment", deeds.reconcile_all, deeds.capture_unheard),
    "voided, says a webhook": Way("CapturePayment", deeds.hear_webhook, deeds.void_unheard),
    "refunded, says a webhook": Way(AT_REST, deeds.hear_webhook, deeds.refund_unheard),
    "refunded in part": Way(AT_REST, deeds.refund_some),
    "refunded before it left": Way(SAGA_OVER, deeds.refund_some, eager=False),
    "returned in part": Way(AT_REST, deeds.return_one),
    "returned whole, in two parts": Way(AT_REST, deeds.return_two, deeds.return_one),
}


@dataclass(frozen=True)
class Meeting:
    way: str
    write: int
    after: bool
    act: str

    def __str__(self) -> str:
        return f"{self.way}: {self.act} {'after' if self.after else 'before'} write {self.write}"


def play(mall: Mall, way: Way, meeting: Meeting | None = None) -> tuple[Stretch, bool, list[str]]:
    """Returns the interrupted writes, whether the act ran, and what the books disagree on."""
    shop, stretch = mall.open(), Stretch()
    scene = Scene(shop, shop.place(*way.story.value, buyer=way.buyer))
    shop.world.calls.clear()
    met: list[str] = []

    def meddle() -> None:
        assert meeting
        met.append(meeting.act)
        scene.do(ACTS[meeting.act])

    def call() -> None:
        if way.before:
            scene.do(way.before)
        with shop.watch.counting(stretch):
            scene.do(way.call or deeds.cancel)

    if meeting:
        (stretch.run_after if meeting.after else stretch.run_before)(meeting.write, meddle)
    if way.call:
        shop.moments[way.moment] = call
    try:
        with shop.watch.counting(None if way.call else stretch):
            shop.run(scene.order_id, way.faults, eager=way.eager)
        scene.ask_again()
        shop.finish_cancellation(scene.order_id)
        deeds.end_what_is_given_up(scene)
    except NothingCame:
        return stretch, bool(met), [f"the saga never ended; it went {', '.join(shop.world.calls[-12:])}"]
    except TransientError as error:
        return stretch, bool(met), [f"asked again, and still not done: {error}"]
    wrong = disagreements(shop, scene.order_id, **scene.kept)
    return stretch, bool(met), wrong


def moments_of(stretch: Stretch) -> Iterator[tuple[int, bool]]:
    """Yields each write with False for before it, and with True for after it.

    After a write differs from before the next one only if a read follows, or if it is the last. No act reads a mail, so
    the first write of a mail stands for all of them.
    """
    mails = [table == "NotificationsTable" for table in stretch.tables]
    for write, is_mail in enumerate(mails):
        if not (is_mail and write and mails[write - 1]):
            yield write, False
        if not is_mail and (write in stretch.looked or write == stretch.writes - 1):
            yield write, True


def meetings(mall: Mall) -> list[Meeting]:
    found = []
    for name, way in WAYS.items():
        stretch, _, wrong = play(mall, way)
        assert stretch.writes, f"nothing is done on an order that is {name}"
        assert not wrong, f"{name}: {wrong}"
        found += [Meeting(name, *moment, act) for moment, act in itertools.product(moments_of(stretch), ACTS)]
    return found


def play_meetings(mall: Mall, name: str, chosen: list[Meeting], record: Record) -> None:
    tally = play_all(name, chosen, lambda meeting: play(mall, WAYS[meeting.way], meeting)[1:], record)
    assert tally.reached == tally.cases


def test_meetings_a_sample(mall: Mall, record_property: Record) -> None:
    """A sample of each course."""
    draw, found = random.Random(SEED), meetings(mall)
    chosen = [one for way in WAYS for one in draw.sample([meeting for meeting in found if meeting.way == way], SAMPLED)]
    play_meetings(mall, "interleavings, a sample", chosen, record_property)


def test_the_carrier_gives_up_a_good_orders_parcel_at_any_moment(mall: Mall, record_property: Record) -> None:
    """Before the collection, on the way and after the arrival, with and without a cancellation by the customer.

    At each moment one of them, and each of them before and after writes. `make chaos` has all of them at each moment.
    """
    stretch, *_ = play(mall, WAYS["sold"])
    first = stretch.tables.index("ShippingTable")
    acts = ("carrier_loses_it", "carrier_gives_up", "cancel_what_is_lost")
    moments = [(write, after) for write, after in moments_of(stretch) if write >= first]
    found = [Meeting("sold", *moment, act) for moment, act in itertools.product(moments, acts)]

    def traits(meeting: Meeting) -> Iterator[object]:
        yield from ((meeting.write, meeting.after), (meeting.act, f"after: {meeting.after}"))

    play_meetings(mall, "the carrier gives up", with_each_trait(found, traits, SEED), record_property)


@pytest.mark.long
@pytest.mark.parametrize("shard", range(SHARDS))
def test_all_meetings(mall: Mall, record_property: Record, shard: int) -> None:
    play_meetings(mall, "interleavings", meetings(mall)[shard::SHARDS], record_property)
