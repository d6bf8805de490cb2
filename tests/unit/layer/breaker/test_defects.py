"""Defects of other breakers. Each is a test here, named after the defect."""

from __future__ import annotations

import threading

import pytest

from mercato.breaker import Circuits, Outcome, Policy
from mercato.breaker.memory import MemoryStore
from mercato.breaker.store import ATTEMPTS, CONNECT, READ
from tests.bench.simulation import recovery_of_ours
from tests.unit.layer.breaker.virtual import NAME, World, fails, works


def test_pybreaker_holds_its_lock_while_it_calls_so_that_threads_queue() -> None:
    """Eight calls must run concurrently: each waits inside for the other seven."""
    breaker = Circuits(MemoryStore()).breaker(NAME, Policy())
    inside = threading.Barrier(8, timeout=10)
    threads = [threading.Thread(target=lambda: breaker.call(inside.wait)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not inside.broken


def test_powertools_lets_a_stale_probes_late_success_close_a_circuit_that_a_newer_probe_re_opened() -> None:
    world = World(Policy(successes=1), sandboxes=2)
    world.trip()
    world.circuits[1].refresh_due()
    world.time.passed += 30
    stale = world.one.admit()
    world.time.passed += 10
    assert world.attempt(fails, 1) == "Down"
    before = dict(world.item())
    world.one.settle(stale, Outcome.SUCCESS)
    assert world.item() == before
    assert world.item()["st"] == "O"
    assert world.told() == ["circuit.opened:tripped"]


def test_powertools_lets_a_late_failure_overwrite_half_open_and_its_lease() -> None:
    world = World(Policy(), sandboxes=3)
    late = [world.breakers[2].admit() for _ in range(5)]
    world.trip()
    world.circuits[1].refresh_due()
    world.time.passed += 30
    world.breakers[1].admit()
    before = dict(world.item())
    assert before["st"] == "H"
    for ticket in late:
        world.breakers[2].settle(ticket, Outcome.FAILURE)
    assert world.item() == before


def test_powertools_lets_a_stale_probes_late_failure_re_open_a_circuit_that_has_closed() -> None:
    world = World(Policy(successes=1), sandboxes=2)
    world.trip()
    world.circuits[1].refresh_due()
    world.time.passed += 30
    stale = world.one.admit()
    world.time.passed += 10
    assert world.attempt(works, 1) == "ok"
    assert world.item()["st"] == "C"
    world.one.settle(stale, Outcome.FAILURE)
    assert world.item()["st"] == "C"
    assert world.told() == ["circuit.opened:tripped", "circuit.closed:recovered"]


@pytest.mark.parametrize("sandboxes", [1, 10, 200])
def test_powertools_makes_one_sandbox_run_all_probes_so_that_two_hundred_take_half_an_hour(sandboxes: int) -> None:
    seconds = recovery_of_ours(sandboxes, calls_per_second=1.0)
    assert 30 <= seconds <= 33


def test_powertools_writes_are_not_conditional_so_that_the_second_to_trip_moves_the_time_of_opening() -> None:
    world = World(Policy(), sandboxes=2)
    world.trip()
    opened_at = world.item()["opened_at"]
    world.time.passed += 20
    for _ in range(5):
        assert world.attempt(fails, 1) == "Down"
    assert (world.item()["opened_at"], world.item()["gen"]) == (opened_at, 1)
    assert world.attempt(works, 1) == "CircuitOpen"
    assert len(world.told()) == 1


def test_powertools_waits_up_to_240_seconds_for_its_own_store() -> None:
    assert (CONNECT, READ, ATTEMPTS) == (0.2, 0.5, 1)


def test_powertools_probe_owner_is_per_thread_so_that_two_calls_of_one_thread_share_a_probe() -> None:
    world = World(Policy())
    world.trip()
    world.time.passed += 30
    first = world.one.admit()
    world.time.passed += 10
    second = world.one.admit()
    assert first.view.state.probe != second.view.state.probe
    world.one.settle(first, Outcome.SUCCESS)
    assert world.item()["ok"] == 0
    world.one.settle(second, Outcome.SUCCESS)
    assert world.item()["ok"] == 1


def test_powertools_ignored_exception_strands_the_probe_until_its_lease_ends() -> None:
    world = World(Policy(ignoring=(PermissionError,)))
    world.trip()
    world.time.passed += 30

    def unsigned() -> str:
        raise PermissionError

    assert world.attempt(unsigned) == "PermissionError"
    assert world.attempt(works) == "ok"
