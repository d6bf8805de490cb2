"""Plays cases one after the other and counts them. Has the cases of the crash matrix, and what all cases share."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from tests.chaos.faults import Fault
from tests.chaos.shop import COUPON, QUANTITY, SPENT, STOCKED, Buyer

_NAMED = 5

Record = Callable[[str, object], None]
Outcome = tuple[bool, list[str]]  # whether every fault of the case was injected, and what the books disagree on


class Story(Enum):
    """How an order ends without faults, as the payment token, the ordered quantity and the code of its coupon."""

    GOOD = ("tok_ok", QUANTITY, COUPON)
    DECLINED = ("tok_declined", QUANTITY, COUPON)
    NOT_COLLECTED = ("tok_capture_declined", QUANTITY, COUPON)
    OUT_OF_STOCK = ("tok_ok", STOCKED + 1, COUPON)
    USED_UP = ("tok_ok", QUANTITY, SPENT)


@dataclass(frozen=True)
class Case:
    """A case of the crash matrix: how the order would end without faults, and the faults that its saga meets."""

    story: Story
    faults: tuple[Fault, ...]
    eager: bool
    buyer: Buyer = Buyer.ACCOUNT

    def __str__(self) -> str:
        when = "at once" if self.eager else "late"
        return f"{self.story.name}, {self.buyer.name}, events {when}: {'; '.join(map(str, self.faults)) or 'no fault'}"


@dataclass
class Tally:
    """`reached` counts the cases whose faults were all injected. A fault that is never reached proves nothing."""

    name: str
    cases: int = 0
    reached: int = 0
    failures: int = 0


def with_each_trait[C](cases: Sequence[C], traits: Callable[[C], Iterable[object]], seed: int) -> list[C]:
    """Draws few cases that have each trait that any of the cases has, for a sample that leaves out no kind of them."""
    left = random.Random(seed).sample(cases, len(cases))
    missing = {trait for case in left for trait in traits(case)}
    chosen: list[C] = []
    while missing:
        chosen.append(max(left, key=lambda case: len(missing.intersection(traits(case)))))
        missing.difference_update(traits(chosen[-1]))
    return chosen


def play_all[C](name: str, cases: Iterable[C], play: Callable[[C], Outcome], record: Record) -> Tally:
    """Plays every case. The message of a failure names the first failed cases, so that each can be played alone."""
    tally, failed = Tally(name), []
    for case in cases:
        reached, wrong = play(case)
        tally.cases += 1
        tally.reached += reached
        if wrong:
            tally.failures += 1
            failed.append(f"{case}\n    " + "\n    ".join(wrong))
    record("tally", vars(tally))
    assert not failed, f"{len(failed)} of {tally.cases} cases failed:\n" + "\n".join(failed[:_NAMED])
    assert tally.reached
    return tally
