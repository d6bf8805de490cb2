"""Every task and every compensation with every fault of a call: one fault, pairs, and three at random.

After each run all books must agree, and nothing may have been charged, reserved, refunded, mailed or published twice.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.chaos.books import disagreements
from tests.chaos.cases import Case, Outcome, Record, Story, Tally, play_all, with_each_trait
from tests.chaos.faults import ALL, FORWARD, SKIP, SKIPPED, Fault, Kind, faults_of
from tests.chaos.shop import Buyer, Mall
from tests.kit.state_machine import NothingCame

SEED = 20261122
SHARDS = 8
# For each undo, a forward step that fails permanently, so that the saga of a good order reaches that undo.
OPENERS = {
    "VoidPayment": Fault("ConfirmOrder", Kind.UNKNOWN),
    "StopShipment": Fault("CapturePayment", Kind.UNKNOWN),
    "RefundPayment": Fault("CapturePayment", Kind.UNKNOWN),
    SKIP: Fault("CapturePayment", Kind.UNKNOWN),
    "ReleaseInventory": Fault("ReserveInventory", Kind.UNKNOWN),
    "ReleaseCoupon": Fault("ClaimCoupon", Kind.UNKNOWN),
    "CancelOrder": Fault("ReserveInventory", Kind.UNKNOWN),
    "MarkNeedsAttention": Fault("ReserveInventory", Kind.UNKNOWN),
}
UNDONE = {
    "ClaimCoupon": ("ReleaseCoupon", "CancelOrder"),
    "ReserveInventory": ("ReleaseInventory", "ReleaseCoupon", "CancelOrder"),
    "AuthorizePayment": ("VoidPayment", "ReleaseInventory", "ReleaseCoupon", "CancelOrder"),
    "KeepReservation": ("VoidPayment", "ReleaseInventory", "ReleaseCoupon", "CancelOrder"),
    "KeepCoupon": ("VoidPayment", "ReleaseInventory", "ReleaseCoupon", "CancelOrder"),
    "ConfirmOrder": ("VoidPayment", "ReleaseInventory", "ReleaseCoupon", "CancelOrder"),
    "CapturePayment": ("StopShipment", "RefundPayment", "ReleaseInventory", "ReleaseCoupon", "CancelOrder"),
}
# The operator repairs the refund, and skips it nevertheless.
STUCK_REFUND = Fault("RefundPayment", Kind.FAILS_BEFORE, lasting=True)
WAYS_TO_UNDO = (
    (Story.GOOD, (OPENERS["VoidPayment"],), UNDONE["ConfirmOrder"]),
    (Story.NOT_COLLECTED, (), UNDONE["CapturePayment"]),
)


def by_turns(cases: list[Case]) -> list[Case]:
    """Four cases of an account's order, then four of a guest's, so that each buyer meets late and eager events."""
    buyers = list(Buyer)
    return [replace(case, buyer=buyers[number // 4 % len(buyers)]) for number, case in enumerate(cases)]


def play(mall: Mall, case: Case) -> Outcome:
    shop = mall.open()
    order_id = shop.place(*case.story.value, buyer=case.buyer)
    try:
        shop.run(order_id, case.faults, eager=case.eager)
    except NothingCame:
        return True, [f"the saga never ended; it went {', '.join(shop.world.calls[-12:])}"]
    if shop.skips:  # the reconciler must not repeat the operator's refund, and must void what is still authorized
        shop.reconcile()
        shop.reconcile()
    return shop.injector.met == set(case.faults), disagreements(shop, order_id)


def singles() -> list[Case]:
    found = []
    for fault, eager in itertools.product(ALL, (True, False)):
        if fault.task in FORWARD:
            found.append(Case(Story.GOOD, (fault,), eager))
            continue
        if fault.task == SKIP and eager:
            found.append(Case(Story.NOT_COLLECTED, (STUCK_REFUND, fault), eager))
            continue
        if fault.task == "RefundPayment" and eager:  # then the parcel leaves first, and nothing is refunded
            found.append(Case(Story.NOT_COLLECTED, (fault,), eager))
            continue
        way: tuple[Fault, ...] = (OPENERS[fault.task],)
        if fault.task == "MarkNeedsAttention":
            way = (*way, Fault("ReleaseInventory", Kind.UNKNOWN))
        if fault.task == SKIP:
            way = (*way, STUCK_REFUND)
        found.append(Case(Story.GOOD, (*way, fault), eager))
    return by_turns(found)


def plain() -> list[Case]:
    return [Case(story, (), eager, buyer) for story, eager, buyer in itertools.product(Story, (True, False), Buyer)]


def pairs() -> list[Case]:
    """Every pair that one saga can reach: two forward steps, a forward step and an undo, or two undos.

    For a forward step and an undo, either the step fails permanently, or it succeeds and a later one fails.
    """
    found = []
    for number, (one, other) in enumerate(itertools.combinations(ALL, 2)):
        eager = number % 2 == 0
        if other.task in FORWARD:
            found.append(Case(Story.GOOD, (one, other), eager))
        elif SKIP in (one.task, other.task):
            continue  # skipped() has these
        elif one.task in FORWARD:
            if one.is_final and other.task in UNDONE[one.task]:
                found.append(Case(Story.GOOD, (one, other), eager))
            elif not one.is_final:
                found += [
                    Case(story, (*opener, one, other), eager)
                    for story, opener, undone in WAYS_TO_UNDO
                    if other.task in undone and one.task not in {fault.task for fault in opener}
                ]
        else:
            found += [
                Case(story, (*opener, one, other), eager)
                for story, opener, undone in WAYS_TO_UNDO
                if {one.task, other.task} <= {*undone, "MarkNeedsAttention"}
                and (one.is_final or other.task != "MarkNeedsAttention")
            ]
    return by_turns(found)


def skipped() -> list[Case]:
    """Every way to park the payment's undo, with every fault of the write-off, and with faults of another undo."""
    found = []
    for (story, opener, undone), write_off in itertools.product(WAYS_TO_UNDO, faults_of(SKIP)):
        stuck_at = next(task for task in undone if task in SKIPPED)
        stuck = [fault for fault in faults_of(stuck_at) if fault.is_final]
        found += [Case(story, (*opener, fault, write_off), eager=False) for fault in stuck]
        found += [
            Case(story, (*opener, Fault(stuck_at, Kind.FAILS_BEFORE, lasting=True), write_off, other), eager=False)
            for task in ("ReleaseInventory", "ReleaseCoupon", "CancelOrder", "MarkNeedsAttention")
            for other in faults_of(task)
        ]
    return by_turns(found)


def test_each_story_without_faults_ends_with_books_that_agree(mall: Mall, record_property: Record) -> None:
    tally = play_all("no fault", plain(), functools.partial(play, mall), record_property)
    assert (tally.cases, tally.reached) == (20, 20)


@pytest.mark.parametrize("shard", range(2))
def test_one_fault_anywhere(mall: Mall, record_property: Record, shard: int) -> None:
    """Every fault, alternately with eager and late events, and of an account's and a guest's order."""
    chosen = [case for number, case in enumerate(singles()) if (number // 2 + number) % 2 == 0]
    tally = play_all("one fault", chosen[shard::2], functools.partial(play, mall), record_property)
    assert tally.reached == tally.cases


@pytest.mark.long
def test_one_fault_anywhere_at_once_and_late(mall: Mall, record_property: Record) -> None:
    cases = [replace(case, buyer=buyer) for case, buyer in itertools.product(singles(), Buyer)]
    tally = play_all("one fault, both ways", cases, functools.partial(play, mall), record_property)
    assert tally.reached == tally.cases


def traits(case: Case) -> Iterator[object]:
    """The story, the buyer, when events are heard, and the task and the kind of each fault, which passes or lasts."""
    yield from (case.story, case.buyer, f"eager: {case.eager}")
    for fault in case.faults:
        yield from ((fault.task, fault.lasting), (fault.kind, fault.lasting))


def test_two_faults_a_sample(mall: Mall, record_property: Record) -> None:
    sample = with_each_trait(pairs(), traits, SEED)
    play_all("two faults, a sample", sample, functools.partial(play, mall), record_property)


@pytest.mark.long
@pytest.mark.parametrize("shard", range(SHARDS))
def test_two_faults_everywhere(mall: Mall, record_property: Record, shard: int) -> None:
    play_all("two faults", pairs()[shard::SHARDS], functools.partial(play, mall), record_property)


def test_an_undo_that_is_skipped_and_two_faults_a_sample(mall: Mall, record_property: Record) -> None:
    sample = with_each_trait(skipped(), traits, SEED)
    play_all("skipped, a sample", sample, functools.partial(play, mall), record_property)


@pytest.mark.long
@pytest.mark.parametrize("shard", range(SHARDS))
def test_an_undo_that_is_skipped_and_two_faults(mall: Mall, record_property: Record, shard: int) -> None:
    play_all("skipped", skipped()[shard::SHARDS], functools.partial(play, mall), record_property)


FAULTS = st.sampled_from(ALL)


@pytest.mark.long
def test_three_faults_at_random(mall: Mall, record_property: Record) -> None:
    tally = Tally("three faults, by Hypothesis")

    @settings(
        max_examples=400,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(Story), st.tuples(FAULTS, FAULTS, FAULTS), st.booleans(), st.sampled_from(Buyer))
    @example(
        Story.GOOD,
        (Fault("CapturePayment", Kind.UNKNOWN), *[Fault("RefundPayment", Kind.DIES_AFTER, True)] * 2),
        True,
        Buyer.ACCOUNT,
    )
    def run(story: Story, faults: tuple[Fault, Fault, Fault], eager: bool, buyer: Buyer) -> None:
        case = Case(story, faults, eager, buyer)
        reached, wrong = play(mall, case)
        tally.cases += 1
        tally.reached += reached
        tally.failures += bool(wrong)
        assert not wrong, f"{case}\n" + "\n".join(wrong)

    try:
        run()
    finally:
        record_property("tally", vars(tally))
