"""The store refuses, does not answer, or throttles: the caller waits for it at most once, and never gets its error."""

from __future__ import annotations

import json

import pytest

from mercato.breaker import Circuits, Outcome, Policy
from mercato.telemetry import metrics
from tests.unit.layer.breaker.virtual import World, fails, works

FAULTS = ["refused", "silent", "throttled"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_hides_neither_a_result_nor_an_exception(fault: str) -> None:
    world = World(Policy())
    world.store.fault = fault
    assert world.attempt(works) == "ok"
    assert [world.attempt(fails) for _ in range(5)] == ["Down"] * 5
    world.circuits[0].refresh_due()


@pytest.mark.parametrize("fault", FAULTS)
def test_without_a_store_a_sandbox_opens_by_its_own_failures_probes_alone_and_closes(fault: str) -> None:
    world = World(Policy())
    world.store.fault = fault
    for _ in range(5):
        world.attempt(fails)
    assert world.attempt(works) == "CircuitOpen"
    world.time.passed += 36.1
    first = world.one.admit()
    assert world.attempt(works) == "CircuitOpen"  # one at a time
    world.one.settle(first, Outcome.SUCCESS)
    assert [world.attempt(works) for _ in range(3)] == ["ok"] * 3
    assert world.one.view.state.st == "C"
    assert world.item() == {}


def test_a_rate_breaker_without_a_store_goes_by_its_failures_in_a_row() -> None:
    world = World(Policy(mode="rate"))
    world.store.fault = "silent"
    for _ in range(10):
        world.attempt(fails)
        world.time.passed += 0.3
    assert world.attempt(works) == "CircuitOpen"


def test_after_a_fault_the_store_is_left_alone_for_a_while_and_longer_each_time() -> None:
    world = World(Policy(failures=1, reset=0.001, max_reset=0.001))
    world.store.fault = "silent"
    asked = []
    for _ in range(6000):  # a minute of calls, a hundred a second
        world.attempt(fails)
        world.time.passed += 0.01
        asked.append(world.store.asked)
    assert 5 <= asked[-1] <= 8  # about 0, 1, 3, 7, 15, 31 s
    assert asked[40] == 1


def test_a_view_that_is_open_stays_open_until_its_own_time_while_the_store_is_away() -> None:
    world = World(Policy())
    world.trip()
    world.store.fault = "silent"
    world.time.passed += 29.9
    world.circuits[0].refresh_due()
    assert world.attempt(works) == "CircuitOpen"
    world.time.passed += 0.2
    assert world.attempt(works) == "ok"


def test_a_probe_whose_end_cannot_be_written_ends_by_its_lease_and_the_result_is_the_callers() -> None:
    world = World(Policy(), sandboxes=2)
    world.trip()
    world.circuits[1].refresh_due()
    world.time.passed += 30
    ticket = world.one.admit()
    world.store.fault = "silent"
    world.one.settle(ticket, Outcome.SUCCESS)
    assert (world.item()["st"], world.item()["ok"]) == ("H", 0)
    world.store.fault = None
    world.time.passed += 7
    assert world.attempt(works, 1) == "ok"
    assert world.item()["ok"] == 1


def test_the_word_of_a_store_that_is_back_counts() -> None:
    world = World(Policy(), sandboxes=2)
    world.store.fault = "silent"
    for _ in range(5):
        world.attempt(fails)
    assert world.attempt(works) == "CircuitOpen"
    world.store.fault = None
    world.time.passed += 6
    world.circuits[0].refresh_due()
    assert world.attempt(works) == "ok"


def test_a_condition_that_fails_is_an_answer_and_no_fault() -> None:
    world = World(Policy(), sandboxes=2)
    world.trip(0)
    for _ in range(5):
        assert world.attempt(fails, 1) == "Down"
    assert world.attempt(works, 1) == "CircuitOpen"
    world.circuits[1].refresh_due()
    assert world.breakers[1].view.state.gen == 1


def test_faults_and_rejections_are_counted_and_a_healthy_call_counts_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics.flush(lambda _: None)
    world = World(Policy())
    circuits = Circuits(world.store, world.time.clock())
    breaker = circuits.breaker("counted", Policy(failures=1))
    written: list[str] = []
    breaker.call(works)
    metrics.flush(written.append, world.time.wall)
    assert written == []
    world.store.fault = "silent"
    with pytest.raises(Exception, match="no answer"):
        breaker.call(fails)
    for _ in range(3):
        with pytest.raises(Exception, match="is open"):
            breaker.call(works)
    metrics.flush(written.append, world.time.wall)
    found = {document.get("circuit", ""): document for document in map(json.loads, written)}
    counted = found["counted"]
    assert (counted["CallsRejected"], counted["CallsFailed"], counted["CircuitOpenedAlone"]) == (3, 1, 1)
    assert found[""]["StoreDegraded"] == 1
    assert counted["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["circuit"]]
    assert counted["_aws"]["Timestamp"] == world.time.ms()
