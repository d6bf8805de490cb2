"""A customer returns goods, and every fault is injected into the return and its refund.

The buyer's bank may dispute the payment beside it.

The steps are the customer's request, its approval and its receipt by staff, the receipt's event in payments and
inventory, the provider's refund, and that refund's event in orders and notifications. Besides the faults of each step,
the process ends just before and after each write.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest

from mercato.money import Money
from payments.providers.port import Provider, ProviderTimeout, ProviderUnavailable
from tests.chaos import deeds
from tests.chaos.books import disagreements
from tests.chaos.bus import hearing
from tests.chaos.cases import Outcome, Record, Tally, play_all, with_each_trait
from tests.chaos.deeds import Deed, Scene
from tests.chaos.faults import Died, Fault, Injector, die, faults_of, lose
from tests.chaos.shop import QUANTITY, Mall, Shop
from tests.chaos.tables import Stretch

SEED = 20261122
SHARDS = 4
SAMPLED_PAIRS = 6
SAMPLED_ENDS = 2
SAMPLED_DISPUTES = 4
TRIES = 5  # attempts of the customer's app, with the same idempotency key
REQUEST, APPROVE, RECEIVE = "the customer asks", "staff approves", "staff receives"
CANCEL, GOODWILL = "the customer cancels", "an admin refunds"
DISPUTE, DECISION = "the bank disputes", "the bank decides"
GIVE_BACK = "the provider gives back"
STEPS = (
    REQUEST,
    APPROVE,
    RECEIVE,
    hearing("notifications", "order.return_approved"),
    hearing("payments", "order.return_received"),
    hearing("inventory", "order.return_received"),
    hearing("notifications", "order.return_received"),
    GIVE_BACK,
    hearing("orders", "payment.refunded"),
    hearing("notifications", "payment.refunded"),
    hearing("documents", "payment.refunded"),
)
FAULTS = [fault for step in STEPS for fault in faults_of(step)]


@dataclass(frozen=True)
class Ask:
    """One command, which its sender repeats until there is a response. `step` is its name in a fault."""

    step: str
    deed: Deed


def returning(key: str, quantity: int, *, came: int | None = None, write_off: int = 0) -> tuple[Ask, ...]:
    """A return of units, all of which come unless `came` says how many."""
    received = quantity if came is None else came
    return (
        Ask(REQUEST, lambda scene: deeds.ask_back(scene, key, quantity)),
        Ask(APPROVE, lambda scene: deeds.approve_back(scene, key)),
        Ask(RECEIVE, lambda scene: deeds.receive_back(scene, key, received, write_off)),
    )


@dataclass(frozen=True)
class Wish:
    """The commands of the returns in order, and a refund by an admin before them whose event the order has not
    consumed. `delivers`: the events of a command are consumed before the next one, else after the last one.
    """

    asks: tuple[Ask, ...]
    refund: Deed | None = None
    delivers: bool = True


WISHES: dict[str, Wish] = {
    "one of three, to be written off": Wish(returning("return-1", 1, write_off=1)),
    "all": Wish(returning("return-3", QUANTITY)),
    "two, of which one comes, and then the others": Wish(
        (*returning("return-1", QUANTITY - 1, came=1), *returning("return-2", QUANTITY - 1))
    ),
    "all, of which most was refunded a moment ago": Wish(returning("return-3", QUANTITY), deeds.refund_most),
}


def races() -> dict[str, Wish]:
    """An approved return is received, cancelled by its customer, and refunded by an admin for goodwill, in every order,
    with the events of each consumed before the next one and after all of them.

    Two units are received, one of which is written off. The goodwill refund leaves less than one unit's price.
    """
    asked, approved, received = returning("return-1", QUANTITY - 1, write_off=1)
    cancelled = Ask(CANCEL, lambda scene: deeds.cancel_back(scene, "return-1"))
    race = {"received": received, "cancelled": cancelled, "given back": Ask(GOODWILL, deeds.refund_most)}
    return {
        f"{', '.join(names)}{'' if delivers else ', all at once'}": Wish(
            (asked, approved, *(race[name] for name in names)), delivers=delivers
        )
        for names in itertools.permutations(race)
        for delivers in (True, False)
    }


RACES = races()


def disputed_races() -> dict[str, Wish]:
    """The race above, and a dispute by the buyer's bank that opens and is then won or lost, in every order."""
    asked, approved, received = returning("return-1", QUANTITY - 1, write_off=1)
    race = {
        "received": received,
        "cancelled": Ask(CANCEL, lambda scene: deeds.cancel_back(scene, "return-1")),
        "given back": Ask(GOODWILL, deeds.refund_most),
        "disputed": Ask(DISPUTE, deeds.open_dispute),
    }
    found: dict[str, Wish] = {}
    for is_won in (True, False):
        name = "won" if is_won else "lost"
        decided = Ask(DECISION, functools.partial(deeds.decide_dispute, is_won=is_won))
        for names in itertools.permutations((*race, name)):
            if names.index("disputed") < names.index(name):
                for delivers in (True, False):
                    acts = (asked, approved, *((race | {name: decided})[one] for one in names))
                    found[f"{', '.join(names)}{'' if delivers else ', all at once'}"] = Wish(acts, delivers=delivers)
    return found


DISPUTED_RACES = disputed_races()


class UnreliableProvider:
    """The provider with injected faults, raised as the errors that a provider's client raises."""

    def __init__(self, provider: Provider, injector: Injector) -> None:
        self._provider, self._injector = provider, injector

    def __getattr__(self, name: str) -> object:
        return getattr(self._provider, name)

    def refund(self, charge_id: str, amount: Money, key: str) -> None:
        try:
            self._injector.call(lambda _: self._provider.refund(charge_id, amount, key), {"task": GIVE_BACK})
        except Exception as error:
            match type(error).__name__:
                case "TransientError" | "Lambda.TooManyRequestsException":
                    raise ProviderUnavailable("503") from None
                case "Runtime.ExitError" | "Sandbox.Timedout":
                    raise ProviderTimeout("no answer") from None
            raise


def ask(scene: Scene, wish: Ask, injector: Injector) -> None:
    """Sends the command as an app does: with the same key again until there is a response."""
    for attempt in range(TRIES + 1):
        if attempt == TRIES:
            injector.mend(wish.step)
        with contextlib.suppress(Exception, Died):  # whatever the error is, there was no response
            injector.call(lambda _: wish.deed(scene), {"task": wish.step})
            return


def settle(shop: Shop, injector: Injector) -> None:
    """Delivers until no event is left. An operator repairs the failing steps and redrives their dead letters."""
    shop.bus.deliver()
    injector.finish_late_calls()
    for step in STEPS if shop.bus.dead else ():
        injector.mend(step)
    shop.bus.redrive()
    injector.finish_late_calls()
    shop.bus.deliver()
    shop.bus.deliver_again()


def play(mall: Mall, wish: Wish, faults: Sequence[Fault] = (), stretch: Stretch | None = None) -> Outcome:
    scene, injector = Scene(*mall.open_delivered()), Injector(tuple(faults))
    shop = scene.shop
    shop.bus.injector = injector
    shop.unreliable(UnreliableProvider(shop.provider, injector))
    if wish.refund:
        wish.refund(scene)
    with shop.watch.counting(stretch):
        for one in wish.asks:
            ask(scene, one, injector)
            if wish.delivers:
                shop.bus.deliver()
        settle(shop, injector)
    wrong = disagreements(shop, scene.order_id, **scene.kept)
    return injector.met == set(faults), wrong


@dataclass(frozen=True)
class FaultyReturn:
    """A wish with its faults."""

    wish: str
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return f"{self.wish}; {'; '.join(map(str, self.faults))}"


def singles() -> list[FaultyReturn]:
    return [FaultyReturn(wish, (fault,)) for wish, fault in itertools.product(WISHES, FAULTS)]


def pairs() -> list[FaultyReturn]:
    wishes = itertools.cycle(WISHES)
    return [FaultyReturn(next(wishes), both) for both in itertools.combinations(FAULTS, 2)]


def play_faulty(mall: Mall, name: str, cases: Sequence[FaultyReturn], record: Record) -> Tally:
    return play_all(name, cases, lambda case: play(mall, WISHES[case.wish], case.faults), record)


def test_returns_with_one_fault_a_sample(mall: Mall, record_property: Record) -> None:
    """A sample that has each kind of fault, each step and each wish, but not all combinations."""

    def traits(case: FaultyReturn) -> Iterator[object]:
        (fault,) = case.faults
        yield from (case.wish, fault.task, (fault.kind, fault.lasting))

    sample = with_each_trait(singles(), traits, SEED)
    tally = play_faulty(mall, "returns, one fault, a sample", sample, record_property)
    assert tally.reached == tally.cases


@pytest.mark.long
@pytest.mark.parametrize("shard", range(2))
def test_returns_with_one_fault_anywhere(mall: Mall, record_property: Record, shard: int) -> None:
    tally = play_faulty(mall, "returns, one fault", singles()[shard::2], record_property)
    assert tally.reached == tally.cases


def test_returns_with_two_faults_a_sample(mall: Mall, record_property: Record) -> None:
    sample = random.Random(SEED).sample(pairs(), SAMPLED_PAIRS)
    play_faulty(mall, "returns, two faults, a sample", sample, record_property)


@pytest.mark.long
@pytest.mark.parametrize("shard", range(SHARDS))
def test_returns_with_two_faults_everywhere(mall: Mall, record_property: Record, shard: int) -> None:
    play_faulty(mall, "returns, two faults", pairs()[shard::SHARDS], record_property)


@dataclass(frozen=True)
class Ended:
    """A wish whose process ends just before or just after one of its writes."""

    wish: str
    write: int
    after: bool

    def __str__(self) -> str:
        return f"{self.wish}; {'after' if self.after else 'before'} write {self.write}"


def ends_of(mall: Mall, name: str, wish: Wish) -> list[Ended]:
    """An end before and after each write, except the writes of mails, which have tests of their own.

    SES cannot be asked whether it has sent a mail, so an interrupted mail waits until its claim expires.
    """
    way = Stretch()
    assert play(mall, wish, stretch=way) == (True, []), name
    places = [write for write, table in enumerate(way.tables) if table != "NotificationsTable"]
    return [Ended(name, write, after) for write in places for after in (False, True)]


def play_ended(mall: Mall, case: Ended, end: Callable[[], None]) -> Outcome:
    """The process ends there, or the table's response is lost."""
    stretch = Stretch()
    (stretch.run_after if case.after else stretch.run_before)(case.write, end)
    return play(mall, (WISHES | RACES | DISPUTED_RACES)[case.wish], stretch=stretch)


@pytest.mark.long
@pytest.mark.parametrize("end", [die, lose])
def test_returns_that_end_at_each_write(mall: Mall, record_property: Record, end: Callable[[], None]) -> None:
    cases = [case for name, wish in WISHES.items() for case in ends_of(mall, name, wish)]
    play_all(f"returns, {end.__name__} at each write", cases, lambda case: play_ended(mall, case, end), record_property)


def test_races_over_a_return_and_a_sample_of_their_crashes(mall: Mall, record_property: Record) -> None:
    draw = random.Random(SEED)
    cases = [case for name, wish in RACES.items() for case in draw.sample(ends_of(mall, name, wish), SAMPLED_ENDS)]
    play_all("races over a return, a sample", cases, lambda case: play_ended(mall, case, die), record_property)


@pytest.mark.long
@pytest.mark.parametrize("end", [die, lose])
@pytest.mark.parametrize("shard", range(SHARDS))
def test_races_over_a_return_that_end_at_each_write(
    mall: Mall, record_property: Record, end: Callable[[], None], shard: int
) -> None:
    cases = [case for name, wish in RACES.items() for case in ends_of(mall, name, wish)][shard::SHARDS]
    play_all(f"races over a return, {end.__name__}", cases, lambda case: play_ended(mall, case, end), record_property)


def test_races_with_a_dispute_a_sample(mall: Mall, record_property: Record) -> None:
    draw = random.Random(SEED)
    names = draw.sample(sorted(DISPUTED_RACES), SAMPLED_DISPUTES)
    cases = [draw.choice(ends_of(mall, name, DISPUTED_RACES[name])) for name in names]
    play_all("races with a dispute, a sample", cases, lambda case: play_ended(mall, case, die), record_property)


@pytest.mark.long
@pytest.mark.parametrize("shard", range(2 * SHARDS))
def test_races_with_a_dispute_that_end_at_each_write(mall: Mall, record_property: Record, shard: int) -> None:
    names = sorted(DISPUTED_RACES)[shard :: 2 * SHARDS]
    cases = [case for name in names for case in ends_of(mall, name, DISPUTED_RACES[name])]
    play_all("races with a dispute", cases, lambda case: play_ended(mall, case, die), record_property)
