"""A guest's order is claimed by an account at any moment of its course, and the claim ends at each of its writes.

The consumers of the guest's events have the same faults as the saga's steps. An operator redrives their dead letters.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from mercato.errors import TransientError
from tests.chaos import deeds
from tests.chaos.books import disagreements
from tests.chaos.bus import hearing
from tests.chaos.cases import Outcome, Record, Story, Tally, play_all
from tests.chaos.deeds import Scene
from tests.chaos.faults import Died, Fault, Injector, die, faults_of, lose
from tests.chaos.shop import AT_REST, NEVER_STARTED, SAGA_OVER, Buyer, Mall, Shop
from tests.chaos.tables import Stretch

AT_ONCE = "nothing is heard yet"
MOMENTS = (AT_ONCE, "ClaimCoupon", "AuthorizePayment", "ConfirmOrder", "CapturePayment", SAGA_OVER, AT_REST)
STEPS = (
    hearing("orders", "order.created"),
    hearing("notifications", "order.created"),
    hearing("orders", "order.claimed"),
    hearing("payments", "order.claimed"),
    hearing("shipping", "order.claimed"),
)
WRITES = 2  # the claimant, and the order with its list


@dataclass(frozen=True)
class Claim:
    """The claim at a moment of a story. It ends at a write, if `end` is given, and its event is delivered again."""

    moment: str
    story: Story = Story.GOOD
    faults: tuple[Fault, ...] = ()
    write: int = 0
    after: bool = False
    end: Callable[[], None] | None = None

    def __str__(self) -> str:
        ended = f"{self.end.__name__} {'after' if self.after else 'before'} write {self.write}" if self.end else ""
        return f"{self.story.name}, claimed at {self.moment}: {ended}{'; '.join(map(str, self.faults))}"


def play(mall: Mall, case: Claim) -> Outcome:
    shop = mall.open()
    scene = Scene(shop, shop.place(*case.story.value, buyer=Buyer.GUEST))
    shop.bus.injector = injector = Injector(case.faults)
    ended = []

    def end() -> None:
        ended.append(True)
        assert case.end
        case.end()

    def claim() -> None:
        stretch = Stretch()
        if case.end:
            (stretch.run_after if case.after else stretch.run_before)(case.write, end)
        try:
            with shop.watch.counting(stretch):
                deeds.claim_order(scene)
        except (Died, TransientError):
            scene.unanswered.append(deeds.claim_order)

    if case.moment == AT_ONCE:
        claim()
    else:
        shop.moments[case.moment] = claim
    status = shop.run(scene.order_id, eager=case.moment != SAGA_OVER)
    scene.ask_again()
    redrive(shop, injector)
    if status == NEVER_STARTED:
        shop.run(scene.order_id)  # the dead letter has started its saga, which may be under way
    reached = injector.met == set(case.faults) and bool(ended) == bool(case.end)
    return reached, disagreements(shop, scene.order_id)


def redrive(shop: Shop, injector: Injector) -> None:
    """An operator repairs the failing consumers and redrives their dead letters."""
    shop.bus.deliver()
    injector.finish_late_calls()
    for step in STEPS if shop.bus.dead else ():
        injector.mend(step)
    shop.bus.redrive()
    injector.finish_late_calls()
    shop.bus.deliver()
    shop.bus.deliver_again()


def ended() -> list[Claim]:
    points = itertools.product(MOMENTS, range(WRITES), (False, True), (die, lose))
    return [Claim(moment, write=write, after=after, end=end) for moment, write, after, end in points]


def faulty() -> list[Claim]:
    faults = [fault for step in STEPS for fault in faults_of(step)]
    return [Claim("ConfirmOrder", faults=(fault,)) for fault in faults]


def play_claims(mall: Mall, name: str, cases: list[Claim], record: Record) -> Tally:
    return play_all(name, cases, lambda case: play(mall, case), record)


def test_claims_at_each_moment_of_each_story(mall: Mall, record_property: Record) -> None:
    cases = [Claim(moment) for moment in MOMENTS] + [Claim("ClaimCoupon", story) for story in Story]
    tally = play_claims(mall, "claims", cases, record_property)
    assert tally.reached == tally.cases


def test_claims_that_end_in_the_middle_a_sample(mall: Mall, record_property: Record) -> None:
    tally = play_claims(mall, "claims that end, a sample", [*ended()[::9], *faulty()[::7]], record_property)
    assert tally.reached == tally.cases


@pytest.mark.long
def test_claims_that_end_at_each_write(mall: Mall, record_property: Record) -> None:
    tally = play_claims(mall, "claims that end", ended(), record_property)
    assert tally.reached == tally.cases


@pytest.mark.long
def test_claims_with_one_fault_of_their_consumers(mall: Mall, record_property: Record) -> None:
    tally = play_claims(mall, "claims, one fault", faulty(), record_property)
    assert tally.reached == tally.cases
