"""Sandboxes on a virtual clock: the time from a trip until the circuit is closed, with a recovered dependency."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

from mercato.breaker import Breaker, CircuitOpen, Circuits, Outcome, Policy
from mercato.breaker.memory import MemoryStore
from mercato.breaker.timing import Clock

START = 1_800_000_000.0
LATENCY = 0.05


class Down(Exception):
    """The dependency does not answer."""


def fails() -> None:
    raise Down


def arrivals(sandboxes: int, rate: float, rng: random.Random) -> list[tuple[float, int]]:
    """The first call of each sandbox, as a heap; each sandbox's calls are a Poisson process."""
    heap = [(rng.expovariate(rate), index) for index in range(sandboxes)]
    heapq.heapify(heap)
    return heap


class Sandboxes:
    """Our breakers. `now` is seconds since the start."""

    def __init__(self, sandboxes: int, policy: Policy, rng: random.Random) -> None:
        self.now = 0.0
        self.store = MemoryStore()
        clock = Clock(lambda: START + self.now, lambda: self.now, rng.random)
        self.circuits = [Circuits(self.store, clock) for _ in range(sandboxes)]
        self.breakers = [circuits.breaker("peer", policy) for circuits in self.circuits]

    @property
    def status(self) -> str:
        return str(self.store.items.get("peer", {}).get("st", "C"))


def recovery_of_ours(sandboxes: int, calls_per_second: float, seed: int = 7, limit: float = 4000.0) -> float:
    """Seconds from the trip until the circuit is closed. Calls take 50 ms and are settled at their end."""
    rng = random.Random(seed)
    world = Sandboxes(sandboxes, Policy(), rng)
    for _ in range(5):
        _swallow(lambda: world.breakers[0].call(fails))
    for circuits in world.circuits:
        circuits.refresh_due()
    calls = arrivals(sandboxes, calls_per_second, rng)
    ends: list[tuple[float, int, Callable[[], None]]] = []
    count = 0
    while world.now < limit:
        if ends and ends[0][0] <= calls[0][0]:
            world.now, _, settle = heapq.heappop(ends)
            settle()
            if world.status == "C":
                return world.now
            continue
        world.now, index = heapq.heappop(calls)
        heapq.heappush(calls, (world.now + rng.expovariate(calls_per_second), index))
        count += 1
        settle_later = _begin(world.breakers[index], world.circuits[index])
        heapq.heappush(ends, (world.now + LATENCY, count, settle_later))
    return limit


def _begin(breaker: Breaker, circuits: Circuits) -> Callable[[], None]:
    try:
        ticket = breaker.admit()
    except CircuitOpen:
        return circuits.refresh_due

    def settle() -> None:
        breaker.settle(ticket, Outcome.SUCCESS)
        circuits.refresh_due()

    return settle


def _swallow(call: Callable[[], object]) -> None:
    try:
        call()
    except (Down, CircuitOpen):
        return


def calls_of_a_fleet(
    world: Sandboxes, total_rate: float, failing: float, seconds: float, rng: random.Random
) -> float | None:
    """The moment at which the circuit opens, if it does, at so large a share of failing calls."""
    while world.now < seconds:
        world.now += rng.expovariate(total_rate)
        index = rng.randrange(len(world.breakers))
        breaker = world.breakers[index]
        is_failing = rng.random() < failing
        _swallow(lambda breaker=breaker, is_failing=is_failing: breaker.call(fails if is_failing else _nothing))  # type: ignore[misc]
        world.circuits[index].refresh_due()
        if world.status == "O":
            return world.now
    return None


def _nothing() -> None:
    return None
