"""Orders that wait for their buyer, with every fault of the saga's calls, and with the buyer, the bank, the time-out
and a cancellation in every order.

After each run the books must agree. At no moment may two charges hold money, nor one order be charged twice.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest

from mercato.clock import utc_now
from mercato.errors import DomainError, TransientError
from orders import usecases as orders_usecases
from orders.order import Request
from payments import usecases as payments_usecases
from payments.domain import ChargeStatus
from payments.providers.sandbox import Sandbox, charge_id_of
from payments.providers.webhooks import ChargeChanged
from tests.chaos.books import charges_of, disagreements
from tests.chaos.cases import Outcome, Record, play_all, with_each_trait
from tests.chaos.deeds import Scene
from tests.chaos.faults import Fault, faults_of
from tests.chaos.shop import CUSTOMER, Mall
from tests.chaos.tables import Stretch
from tests.kit.state_machine import NothingCame

SEED = 20261129
SHARDS = 8
ASKING = ("AttemptPayment", "AskBuyer", "AwaitBuyer")
_MONEY = (ChargeStatus.AUTHORIZED, ChargeStatus.CAPTURED)


class Counted:
    """The provider, which notes where more than one charge of the order has money."""

    def __init__(self, provider: Sandbox) -> None:
        self._provider = provider
        self.look: Callable[[], object] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return functools.partial(self._call, name)

    def _call(self, name: str, *arguments: Any, **named: Any) -> Any:
        try:
            return getattr(self._provider, name)(*arguments, **named)
        finally:
            self.look()


@dataclass
class Waiting(Scene):
    """An order that waits for its buyer, and what was seen of its charges."""

    wrong: list[str] = field(default_factory=list)

    def count(self) -> None:
        held = [charge.reference for charge in charges_of(self.order_id, self.shop) if charge.status in _MONEY]
        if len(held) > 1:
            self.wrong.append(f"money is held by {held}")

    def answer_bank(self) -> None:
        self.shop.provider.answer(charge_id_of(self.payment_id), is_confirmed=True)
        self.count()


def open_waiting(mall: Mall, token: str) -> Waiting:
    shop = mall.open()
    order_id = shop.place(token, waits_for_buyer=True)
    scene = Waiting(shop, order_id)
    provider = Counted(shop.provider)
    provider.look = scene.count
    shop.unreliable(provider)
    return scene


def pay(scene: Scene, token: str | None, key: str) -> None:
    command = orders_usecases.Command(scene.order_id, CUSTOMER, Request(id=key, fingerprint=key))
    orders_usecases.pay_again(command, token, scene.shop.orders, utc_now())


def browser_returns(scene: Waiting) -> None:
    scene.answer_bank()
    pay(scene, None, "return")


def webhook_comes(scene: Waiting) -> None:
    scene.answer_bank()
    told = ChargeChanged("evt-1", payment_id=scene.payment_id)
    payments_usecases.observe(told, scene.shop.payment_ports(), utc_now())


def another_card(scene: Waiting) -> None:
    pay(scene, "tok_ok", "second")


def time_is_up(scene: Waiting) -> None:
    order = scene.shop.orders.load(scene.order_id)
    if order and order.awaited and scene.shop.world.calls[-1] == "AwaitBuyer":
        scene.shop.world.times_out.set()


def cancels(scene: Waiting) -> None:
    scene.shop.cancel(scene.order_id)


ACTS = (browser_returns, webhook_comes, another_card, time_is_up, cancels)
DYING = (browser_returns, webhook_comes, another_card, cancels)


def play(scene: Waiting, faults: tuple[Fault, ...] = (), *, eager: bool) -> Outcome:
    shop = scene.shop
    try:
        shop.run(scene.order_id, faults, eager=eager)
        scene.ask_again()
        shop.finish_cancellation(scene.order_id)
        shop.reconcile()
    except NothingCame:
        return True, [f"the saga never ended; it went {', '.join(shop.world.calls[-12:])}"]
    finally:
        shop.world.times_out.clear()
    return shop.injector.met == set(faults), [*scene.wrong, *disagreements(shop, scene.order_id)]


class Story(Enum):
    """The first card, and what the buyer does each time the saga waits."""

    ANOTHER_CARD = ("tok_declined", another_card)
    CONFIRMED = ("tok_confirm_ok", browser_returns)
    HEARD = ("tok_confirm_ok", webhook_comes)
    UNANSWERED = ("tok_confirm_never", time_is_up)
    GIVEN_UP = ("tok_declined", cancels)
    NEVER_ASKED = ("tok_ok", time_is_up)


@dataclass(frozen=True)
class Case:
    story: Story
    faults: tuple[Fault, ...]
    eager: bool

    def __str__(self) -> str:
        when = "at once" if self.eager else "late"
        return f"{self.story.name}, events {when}: {'; '.join(map(str, self.faults)) or 'no fault'}"


def play_case(mall: Mall, case: Case) -> Outcome:
    token, act = case.story.value
    scene = open_waiting(mall, token)
    waited: list[bool] = []

    def buyer() -> None:
        """Does as the story says, and lets the time run out where the saga waits again: the answer was lost."""
        scene.do(act if not waited else time_is_up)  # type: ignore[arg-type]
        waited.append(True)

    scene.shop.buyer = buyer
    return play(scene, case.faults, eager=case.eager)


def cases() -> list[Case]:
    """The story without faults, and each fault of each of its calls that only orders that wait make."""
    found = [Case(story, (), eager) for story, eager in itertools.product(Story, (True, False))]
    for story, task, eager in itertools.product(Story, ASKING, (True, False)):
        if story is Story.NEVER_ASKED and task != "AttemptPayment":
            continue
        found += [Case(story, (fault,), eager) for fault in faults_of(task)]
    return found


def test_every_story_without_faults(mall: Mall, record_property: Record) -> None:
    plain = [case for case in cases() if not case.faults]
    tally = play_all("waiting, no fault", plain, functools.partial(play_case, mall), record_property)
    assert tally.reached == tally.cases == 12


def test_one_fault_a_sample(mall: Mall, record_property: Record) -> None:
    """A sample that has each kind of fault, each story with each of its calls, and both ways to hear events."""

    def traits(case: Case) -> Iterator[object]:
        (fault,) = case.faults
        yield from ((fault.kind, fault.lasting), (case.story, fault.task), case.eager)

    sample = with_each_trait([case for case in cases() if case.faults], traits, SEED)
    play_all("waiting, one fault, a sample", sample, functools.partial(play_case, mall), record_property)


@pytest.mark.long
@pytest.mark.parametrize("shard", range(SHARDS))
def test_one_fault_anywhere(mall: Mall, record_property: Record, shard: int) -> None:
    tally = play_all("waiting, one fault", cases()[shard::SHARDS], functools.partial(play_case, mall), record_property)
    assert tally.reached == tally.cases


class Pace(Enum):
    """When the acts run: all before any event is heard, each with its events heard, or one before each later call."""

    AT_ONCE = "at once"
    HEARD = "each is heard"
    BETWEEN = "between the saga's calls"


@dataclass(frozen=True)
class Race:
    """Acts in an order. `dies` dies at its write, and is done again later."""

    acts: tuple[Callable[[Waiting], None], ...]
    pace: Pace
    dies: Callable[[Waiting], None] | None = None
    write: int = 0
    after: bool = False

    def __str__(self) -> str:
        names = ", ".join(act.__name__ for act in self.acts)
        died = (
            f"; {self.dies.__name__} dies {'after' if self.after else 'before'} write {self.write}" if self.dies else ""
        )
        return f"{names}, {self.pace.value}{died}"


def die() -> None:
    raise TransientError("died")


def play_race(mall: Mall, race: Race) -> Outcome:
    scene = open_waiting(mall, "tok_confirm_ok")
    shop, left = scene.shop, list(race.acts)

    def run_next() -> None:
        act = left.pop(0)
        if act is not race.dies:
            scene.do(act)  # type: ignore[arg-type]
            return
        stretch = Stretch()
        (stretch.run_after if race.after else stretch.run_before)(race.write, die)
        try:
            with shop.watch.counting(stretch):
                act(scene)
        except TransientError:
            scene.unanswered.append(act)  # type: ignore[arg-type]
        except DomainError:
            return

    def buyer() -> None:
        if not left:
            time_is_up(scene)
        elif race.pace is Pace.BETWEEN:
            count = len(left) - 1
            run_next()
            shop.between += [run_next] * count
        else:
            while left:
                run_next()
                if race.pace is Pace.HEARD:
                    shop.bus.deliver()
        with suppress(DomainError, TransientError):
            scene.ask_again()

    shop.buyer = buyer
    return play(scene, eager=race.pace is not Pace.AT_ONCE)


def races(most: int = len(ACTS)) -> list[Race]:
    """Every order of two acts and more, at every pace."""
    orders = itertools.chain.from_iterable(itertools.permutations(ACTS, size) for size in range(2, most + 1))
    return [Race(acts, pace) for acts, pace in itertools.product(orders, Pace)]


def deaths() -> list[Race]:
    """Every order of the acts, with each of them dying once, by turns before and after each of its first writes."""
    points = itertools.cycle(itertools.product(range(3), (False, True)))
    pairs = [(race, act) for race in races() for act in race.acts if act in DYING]
    return [Race(race.acts, race.pace, dies, *point) for (race, dies), point in zip(pairs, points, strict=False)]


def test_the_buyer_the_bank_the_clock_and_a_cancellation_in_any_order(mall: Mall, record_property: Record) -> None:
    """A sample that has every order of two, each act first and last at each pace, and races of each length."""

    def traits(race: Race) -> Iterator[object]:
        if len(race.acts) == 2:
            yield race.acts
        yield from (len(race.acts), (race.pace, "first", race.acts[0]), (race.pace, "last", race.acts[-1]))

    sample = with_each_trait(races(), traits, SEED)
    play_all("races, a sample", sample, functools.partial(play_race, mall), record_property)


def test_each_of_them_dies_in_the_race_a_sample(mall: Mall, record_property: Record) -> None:
    """A sample that has each act dying before and after writes, at each of its writes and at each pace, and races of
    each length.
    """

    def traits(race: Race) -> Iterator[object]:
        yield len(race.acts)
        yield from ((race.dies, trait) for trait in (race.after, f"write {race.write}", race.pace))

    sample = with_each_trait(deaths(), traits, SEED)
    play_all("races with a crash, a sample", sample, functools.partial(play_race, mall), record_property)


@pytest.mark.long
@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_order_of_them(mall: Mall, record_property: Record, shard: int) -> None:
    play_all("races", races()[shard::SHARDS], functools.partial(play_race, mall), record_property)


@pytest.mark.long
@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_order_of_them_with_each_crash(mall: Mall, record_property: Record, shard: int) -> None:
    play_all("races with a crash", deaths()[shard::SHARDS], functools.partial(play_race, mall), record_property)
