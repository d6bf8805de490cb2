"""A customer returns goods, and every fault is injected into the return and its refund.

The steps are the customer's request, its event in payments and inventory, the provider's refund, and that refund's
event in orders and notifications. Besides the faults of each step, the process ends just before and after each write.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest

from mercato.errors import TransientError
from mercato.money import Money
from payments.providers.port import Provider, ProviderTimeout, ProviderUnavailable
from tests.chaos import deeds
from tests.chaos.books import disagreements
from tests.chaos.bus import hearing
from tests.chaos.cases import Outcome, Record, Story, Tally, play_all
from tests.chaos.deeds import Deed, Scene
from tests.chaos.faults import Died, Fault, Injector, faults_of
from tests.chaos.shop import QUANTITY, Mall, Shop
from tests.chaos.tables import Stretch

SEED = 20261122
SHARDS = 4
SAMPLED_PAIRS = 6
TRIES = 5  # attempts of the customer's app, with the same idempotency key
REQUEST, GIVE_BACK = "the customer asks", "the provider gives back"
STEPS = (
    REQUEST,
    hearing("payments", "order.return_accepted"),
    hearing("inventory", "order.return_accepted"),
    GIVE_BACK,
    hearing("orders", "payment.refunded"),
    hearing("notifications", "payment.refunded"),
)
FAULTS = [fault for step in STEPS for fault in faults_of(step)]


def return_all(scene: Scene) -> None:
    deeds.send_back(scene, "return-3", QUANTITY)


def return_one(scene: Scene) -> None:
    deeds.send_back(scene, "return-1", 1)


def return_two(scene: Scene) -> None:
    deeds.send_back(scene, "return-2", QUANTITY - 1)


@dataclass(frozen=True)
class Wish:
    """The customer's returns in order, and a refund by an admin before them whose event the order has not consumed."""

    deeds: tuple[Deed, ...]
    refund: Deed | None = None


WISHES: dict[str, Wish] = {
    "one of three": Wish((return_one,)),
    "all": Wish((return_all,)),
    "one, and then the others": Wish((return_one, return_two)),
    "all, of which most was refunded a moment ago": Wish((return_all,), deeds.refund_most),
}


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


def deliver_one(mall: Mall) -> Scene:
    """Places an order and runs it until it is delivered and no event is left."""
    shop = mall.open()
    scene = Scene(shop, shop.place(*Story.GOOD.value))
    shop.run(scene.order_id)
    return scene


def ask(scene: Scene, wish: Deed, injector: Injector) -> None:
    """Requests the return as an app does: with the same key again until there is a response."""
    for attempt in range(TRIES + 1):
        if attempt == TRIES:
            injector.mend(REQUEST)
        with contextlib.suppress(Exception, Died):  # whatever the error is, there was no response
            injector.call(lambda _: wish(scene), {"task": REQUEST})
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
    scene, injector = deliver_one(mall), Injector(tuple(faults))
    shop = scene.shop
    shop.bus.injector = injector
    shop.unreliable(UnreliableProvider(shop.provider, injector))
    if wish.refund:
        wish.refund(scene)
    with shop.watch.counting(stretch):
        for one in wish.deeds:
            ask(scene, one, injector)
            shop.bus.deliver()
        settle(shop, injector)
    wrong = disagreements(shop, scene.order_id, given_back=scene.given_back, came_back=scene.came_back)
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
    tally = play_faulty(mall, "returns, one fault, a sample", singles()[::17], record_property)
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


def die() -> None:
    raise Died


def lose() -> None:
    raise TransientError("no answer")


@dataclass(frozen=True)
class Ended:
    """A wish whose process ends just before or just after one of its writes."""

    wish: str
    write: int
    after: bool

    def __str__(self) -> str:
        return f"{self.wish}; {'after' if self.after else 'before'} write {self.write}"


def ends_of(mall: Mall, wish: str) -> Iterator[Ended]:
    """Yields an end before and after each write, except the writes of mails, which have tests of their own.

    SES cannot be asked whether it has sent a mail, so an interrupted mail waits until its claim expires.
    """
    way = Stretch()
    assert play(mall, WISHES[wish], stretch=way) == (True, [])
    for write, table in enumerate(way.tables):
        if table != "NotificationsTable":
            yield from (Ended(wish, write, after) for after in (False, True))


@pytest.mark.long
@pytest.mark.parametrize("end", [die, lose])
def test_returns_that_end_at_each_write(mall: Mall, record_property: Record, end: Callable[[], None]) -> None:
    """The process ends there, or the table's response is lost."""

    def play_ended(case: Ended) -> Outcome:
        stretch = Stretch()
        (stretch.run_after if case.after else stretch.run_before)(case.write, end)
        return play(mall, WISHES[case.wish], stretch=stretch)

    cases = [case for wish in WISHES for case in ends_of(mall, wish)]
    play_all(f"returns, {end.__name__} at each write", cases, play_ended, record_property)
