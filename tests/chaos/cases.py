"""A case of the crash matrix: how the order would end by itself, and what befalls its saga on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from tests.chaos.books import disagreements
from tests.chaos.faults import Fault
from tests.chaos.shop import QUANTITY, STOCKED, Mall
from tests.saga_world import NothingCame

_NAMED = 5


class Story(Enum):
    """The customer's token and the quantity asked for."""

    GOOD = ("tok_ok", QUANTITY)
    DECLINED = ("tok_declined", QUANTITY)
    NOT_COLLECTED = ("tok_capture_declined", QUANTITY)
    OUT_OF_STOCK = ("tok_ok", STOCKED + 1)


@dataclass(frozen=True)
class Case:
    story: Story
    faults: tuple[Fault, ...]
    eager: bool

    def __str__(self) -> str:
        when = "at once" if self.eager else "late"
        return f"{self.story.name}, events {when}: {'; '.join(map(str, self.faults)) or 'no fault'}"


@dataclass
class Tally:
    """`reached`: the cases whose every fault was met; a fault that a saga never comes to proves nothing."""

    name: str
    cases: int = 0
    reached: int = 0
    failures: int = 0


def run_case(mall: Mall, case: Case) -> tuple[bool, list[str]]:
    """Whether every fault was met, and what the books disagree on."""
    token, quantity = case.story.value
    shop = mall.open()
    order_id = shop.place(token, quantity)
    try:
        shop.run(order_id, case.faults, eager=case.eager)
    except NothingCame:
        return True, [f"the saga never ended; it went {', '.join(shop.world.calls[-12:])}"]
    return shop.injector.met == set(case.faults), disagreements(shop, order_id)


def run_all(mall: Mall, name: str, cases: Iterable[Case], record: Callable[[str, object], None]) -> Tally:
    """Every case; the first that fail are named, so that each can be run alone."""
    tally, failed = Tally(name), []
    for case in cases:
        reached, wrong = run_case(mall, case)
        tally.cases += 1
        tally.reached += reached
        if wrong:
            tally.failures += 1
            failed.append(f"{case}\n    " + "\n    ".join(wrong))
    record("tally", vars(tally))
    assert not failed, f"{len(failed)} of {tally.cases} cases failed:\n" + "\n".join(failed[:_NAMED])
    assert tally.reached
    return tally
