"""Virtual sandboxes on one virtual clock, sharing one store."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from mercato.breaker import Breaker, Circuits, Policy
from mercato.breaker.change import Change, Result
from mercato.breaker.errors import StoreFault
from mercato.breaker.memory import MemoryStore
from mercato.breaker.store import Reading
from mercato.breaker.timing import Clock
from mercato.errors import DomainError, TransientError

NAME = "peer"
START = 1_800_000_000.0


class Down(Exception):
    """The dependency does not answer."""


def fails() -> str:
    raise Down("no answer")


def works() -> str:
    return "ok"


@dataclass
class Time:
    """`asleep` is wall time that the monotonic clocks did not count."""

    passed: float = 0.0
    asleep: float = 0.0
    rng: random.Random = field(default_factory=lambda: random.Random(7))

    def wall(self) -> float:
        return START + self.passed + self.asleep

    def monotonic(self) -> float:
        return self.passed

    def clock(self, skew: float = 0.0) -> Clock:
        return Clock(lambda: self.wall() + skew, self.monotonic, self.rng.random)

    def ms(self) -> int:
        return int(self.wall() * 1000)


class FaultyStore(MemoryStore):
    """`fault` applies to every call of the store: None, or the reason why it does not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: str | None = None
        self.asked = 0

    def _meet(self) -> None:
        self.asked += 1
        if self.fault is not None:
            raise StoreFault(self.fault)

    def read(self, names: Collection[str], entries: Collection[str] = ()) -> Reading:
        self._meet()
        return super().read(names, entries)

    def change(self, name: str, change: Change, now: int) -> Result:
        self._meet()
        return super().change(name, change, now)

    def enlist(self, name: str, about: str) -> None:
        self._meet()
        super().enlist(name, about)


@dataclass
class World:
    policy: Policy
    sandboxes: int = 1
    time: Time = field(default_factory=Time)
    store: FaultyStore = field(default_factory=FaultyStore)
    skews: tuple[float, ...] = ()
    circuits: list[Circuits] = field(default_factory=list)
    breakers: list[Breaker] = field(default_factory=list)

    def __post_init__(self) -> None:
        for index in range(self.sandboxes):
            skew = self.skews[index] if index < len(self.skews) else 0.0
            self.circuits.append(Circuits(self.store, self.time.clock(skew)))
            self.breakers.append(self.circuits[-1].breaker(NAME, self.policy))

    @property
    def one(self) -> Breaker:
        return self.breakers[0]

    def item(self) -> dict[str, int | str]:
        return self.store.items.get(NAME, {})

    def attempt(self, function: Callable[[], str], sandbox: int = 0) -> str:
        """The outcome of a call, as a word."""
        try:
            return self.breakers[sandbox].call(function)
        except (Down, PermissionError, TransientError, DomainError) as error:
            return type(error).__name__

    def trip(self, sandbox: int = 0) -> None:
        for _ in range(self.policy.failures):
            self.attempt(fails, sandbox)
        assert self.item()["st"] == "O"

    def told(self) -> list[str]:
        return [f"{event.TYPE}:{getattr(event, 'cause', '')}" for _, _, event in self.store.published]
