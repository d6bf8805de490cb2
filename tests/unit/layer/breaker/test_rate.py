"""Voting: a burst of failures raises a suspicion, and the outcomes after it decide."""

from __future__ import annotations

import random

import pytest

from mercato.breaker import Outcome, Policy
from tests.bench.simulation import Sandboxes, calls_of_a_fleet
from tests.unit.layer.breaker.virtual import World, fails, works

RATE = Policy(mode="rate")


def rush(world: World, outcomes: list[bool], step: float = 0.3, sandbox: int = 0) -> None:
    for is_ok in outcomes:
        world.attempt(works if is_ok else fails, sandbox)
        world.time.passed += step


def test_a_healthy_fleet_writes_nothing() -> None:
    world = World(RATE, sandboxes=3)
    for _ in range(200):
        for sandbox in range(3):
            assert world.attempt(works, sandbox) == "ok"
    assert world.store.asked == 0


def test_ten_failures_in_a_window_raise_a_suspicion_and_thirty_votes_decide_it() -> None:
    world = World(RATE)
    rush(world, [False] * 10)
    assert (world.item().get("st", "C"), world.item()["sus"]) == ("C", 1)
    assert world.item()["cc"] == 0
    rush(world, [False] * 29)
    assert world.attempt(works) == "ok"
    world.time.passed += 0.3
    world.circuits[0].refresh_due()
    assert (world.item()["st"], world.told()) == ("O", ["circuit.opened:tripped"])


def test_a_share_that_is_bearable_is_acquitted_and_then_nobody_counts_for_fifteen_seconds() -> None:
    world = World(RATE)
    rush(world, [False] * 10)
    rush(world, [True, True, False] * 10)
    assert (world.item()["sus"], world.item()["f"]) == (0, 0)
    assert world.told() == []
    asked = world.store.asked
    for _ in range(1000):
        world.attempt(fails)
    assert world.store.asked == asked
    world.time.passed += 15
    world.attempt(fails)
    assert world.store.asked > asked


def test_nine_failures_in_a_window_are_forgotten_with_it() -> None:
    world = World(RATE)
    rush(world, [False] * 9)
    world.time.passed += 10
    rush(world, [False] * 9)
    assert world.item().get("sus", 0) == 0
    assert int(world.item()["f"]) == 9


def test_a_call_admitted_before_the_suspicion_was_known_is_no_vote() -> None:
    world = World(RATE, sandboxes=2)
    early = [world.breakers[1].admit() for _ in range(50)]
    rush(world, [False] * 10)
    world.circuits[1].refresh_due()
    for ticket in early:
        world.breakers[1].settle(ticket, Outcome.FAILURE)
        world.time.passed += 0.3
    assert world.item()["cc"] == 0


def test_a_suspicion_that_nobody_decides_ends_and_its_votes_are_not_mixed_with_later_ones() -> None:
    world = World(RATE)
    rush(world, [False] * 20)
    first = world.item()["sus"]
    assert 0 < int(world.item()["cc"]) < 30
    world.time.passed += 61
    rush(world, [False] * 10)
    assert int(world.item()["sus"]) > int(first)
    assert world.item()["cc"] == 0


def test_one_sandbox_with_a_broken_network_does_not_open_the_circuit_of_all_where_two_must_vote() -> None:
    world = World(Policy(mode="rate", voters=2), sandboxes=2)
    rush(world, [False] * 80)
    assert world.item()["voters"] == 1
    assert world.told() == []
    world.circuits[1].refresh_due()
    rush(world, [False] * 2, sandbox=1)
    assert world.told() == ["circuit.opened:tripped"]


def test_slow_calls_have_a_share_of_their_own() -> None:
    world = World(Policy(mode="rate", slow_after=0.4))

    def slow() -> str:
        world.time.passed += 0.5
        return "late"

    for _ in range(60):
        world.attempt(slow)
    assert world.told() == ["circuit.opened:tripped"]


def test_a_sandbox_writes_at_most_four_times_a_second_and_loses_no_vote() -> None:
    world = World(Policy(mode="rate", votes=10_000, confirm=100))
    rush(world, [False] * 10)
    asked = world.store.asked
    rush(world, [False] * 1000, step=0.001)
    assert world.store.asked - asked <= 5
    world.time.passed += 0.3
    world.one.flush()
    assert world.item()["cc"] == 1000


@pytest.mark.parametrize("seed", range(3))
def test_a_dead_dependency_trips_a_thousand_sandboxes_within_a_second(seed: int) -> None:
    world = Sandboxes(1000, RATE, random.Random(seed))
    opened = calls_of_a_fleet(world, total_rate=500, failing=1.0, seconds=5, rng=random.Random(seed))
    assert opened is not None
    assert opened <= 1.0


@pytest.mark.parametrize("seed", range(3))
def test_one_failure_in_ten_never_trips_a_thousand_sandboxes(seed: int) -> None:
    world = Sandboxes(1000, RATE, random.Random(seed))
    assert calls_of_a_fleet(world, total_rate=500, failing=0.1, seconds=120, rng=random.Random(seed)) is None
    assert int(world.store.items["peer"]["gen"]) > 1  # the vote was held, and the circuit stayed closed
    assert world.store.calls < 120 * 1000 / 2
