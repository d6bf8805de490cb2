"""A breaker from its caller's view: consecutive failures, rejection, probing, fallback, an operator's override."""

from __future__ import annotations

import pytest

from mercato.breaker import CircuitOpen, Circuits, Outcome, Policy, State
from mercato.breaker.fallback import LastGood
from mercato.errors import NotFound, TransientError
from mercato.invocation import deadline
from tests.kit import aws_events
from tests.unit.layer.breaker.virtual import NAME, Down, World, fails, works


def test_five_failures_in_a_row_open_the_circuit_for_thirty_seconds() -> None:
    world = World(Policy())
    assert [world.attempt(fails) for _ in range(5)] == ["Down"] * 5
    with pytest.raises(CircuitOpen) as rejected:
        world.one.call(works)
    assert (rejected.value.name, rejected.value.retry_after) == (NAME, 30.0)
    assert rejected.value.opened_at == world.time.ms()
    world.time.passed += 29.9
    assert world.attempt(works) == "CircuitOpen"
    assert world.told() == ["circuit.opened:tripped"]


def test_a_success_in_between_starts_the_count_anew() -> None:
    world = World(Policy())
    for _ in range(3):
        assert [world.attempt(fails) for _ in range(4)] == ["Down"] * 4
        assert world.attempt(works) == "ok"
    assert (world.item(), world.store.asked) == ({}, 0)


def test_healthy_calls_ask_the_store_nothing_and_refreshing_is_one_read_for_all_circuits() -> None:
    world = World(Policy())
    circuits = Circuits(world.store, world.time.clock())
    breakers = [circuits.breaker(f"peer-{number}", Policy(slow_after=1.0)) for number in range(3)]
    for _ in range(1000):
        assert [breaker.call(works) for breaker in breakers] == ["ok"] * 3
    assert world.store.asked == 0
    circuits.refresh_due()
    assert world.store.asked == 4  # one read, and each circuit registers itself once
    world.time.passed += 10
    circuits.refresh_due()
    circuits.refresh_due()
    assert world.store.asked == 5
    assert world.store.items == {}


def test_a_state_that_came_with_another_read_is_as_good_as_a_refresh_and_an_older_one_is_not_taken() -> None:
    world = World(Policy())
    circuits = Circuits(world.store, world.time.clock())
    breaker = circuits.breaker(NAME, Policy())
    world.trip()
    opened = State.of(world.item())
    circuits.adopt({NAME: opened})
    asked = world.store.asked
    with pytest.raises(CircuitOpen):
        breaker.call(works)
    circuits.adopt({NAME: State()})
    assert (breaker.view.state, world.store.asked) == (opened, asked)
    assert not breaker.is_due()


def test_an_open_circuit_rejects_without_asking_the_store() -> None:
    world = World(Policy())
    world.trip()
    asked = world.store.asked
    assert {world.attempt(works) for _ in range(100)} == {"CircuitOpen"}
    assert world.store.asked == asked


def test_three_probes_that_succeed_close_it_and_any_sandbox_may_make_them() -> None:
    world = World(Policy(), sandboxes=4)
    world.trip()
    for circuits in world.circuits:
        circuits.refresh_due()
    world.time.passed += 30
    assert [world.attempt(works, sandbox) for sandbox in (1, 2, 3)] == ["ok"] * 3
    assert (world.item()["st"], world.item()["gen"]) == ("C", 5)
    assert world.told() == ["circuit.opened:tripped", "circuit.closed:recovered"]


def test_a_failing_probe_opens_it_again_for_twice_as_long_give_or_take_a_fifth() -> None:
    world = World(Policy(max_reset=100))
    world.trip()
    opened_at = world.item()["opened_at"]
    waits = []
    for _ in range(4):
        now = int(world.item()["retry_at"])
        world.time.passed += (now - world.time.ms()) / 1000 + 0.001
        assert world.attempt(fails) == "Down"
        waits.append((int(world.item()["retry_at"]) - world.time.ms()) / 1000)
    assert all(0.8 * nominal <= wait <= 1.2 * nominal for wait, nominal in zip(waits, (60, 100, 100, 100), strict=True))
    assert world.item()["opened_at"] == opened_at
    assert world.told() == ["circuit.opened:tripped"]


def test_one_probe_at_a_time_and_who_is_refused_waits_before_it_asks_again() -> None:
    world = World(Policy(), sandboxes=2)
    world.trip()
    world.circuits[0].refresh_due()
    world.circuits[1].refresh_due()
    world.time.passed += 30
    world.one.admit()
    assert world.attempt(works, 1) == "CircuitOpen"
    asked = world.store.asked
    world.time.passed += 0.4
    assert world.attempt(works, 1) == "CircuitOpen"
    assert world.store.asked == asked


def test_a_probe_that_never_comes_back_loses_its_lease_to_another_sandbox() -> None:
    world = World(Policy(call_timeout=5), sandboxes=2)
    world.trip()
    world.circuits[1].refresh_due()
    world.time.passed += 30
    world.one.admit()
    world.time.passed += 5 + 1 + 1  # the call's timeout, one second, and the skew of two clocks
    assert world.attempt(works, 1) == "ok"


def test_what_is_no_failure_is_an_answer_and_what_is_ignored_says_nothing() -> None:
    def no_such_thing() -> str:
        raise NotFound("not here")

    def unsigned() -> str:
        raise PermissionError("no credentials")

    world = World(Policy(failing=(Down,), ignoring=(PermissionError,)))
    for _ in range(4):
        world.attempt(fails)
    world.attempt(unsigned)
    world.attempt(no_such_thing)
    assert [world.attempt(fails) for _ in range(4)] == ["Down"] * 4
    assert world.item() == {}
    assert world.attempt(fails) == "Down"
    assert world.item()["st"] == "O"


def test_an_ignored_probe_frees_its_slot_at_once_and_counts_for_nothing() -> None:
    world = World(Policy(ignoring=(PermissionError,)))
    world.trip()
    world.time.passed += 30
    ticket = world.one.admit()
    world.one.settle(ticket, Outcome.IGNORED)
    assert (world.item()["st"], world.item()["ok"], world.item()["lease_until"]) == ("H", 0, 0)
    assert world.attempt(works) == "ok"
    assert world.item()["ok"] == 1


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_the_process_is_never_counted(stop: type[BaseException]) -> None:
    def cut_off() -> str:
        raise stop

    world = World(Policy(failures=1))
    with pytest.raises(stop):
        world.one.call(cut_off)
    assert world.item() == {}
    world.trip()
    world.time.passed += 30
    with pytest.raises(stop):
        world.one.call(cut_off)
    assert (world.item()["st"], world.item()["ok"], world.item()["lease_until"]) == ("H", 0, 0)


def test_a_bad_result_and_a_slow_call_are_failures_too() -> None:
    world = World(Policy(failures=2, bad_result=lambda status: int(status) >= 500, slow_after=1.0))

    def slow() -> str:
        world.time.passed += 1.1
        return "200"

    assert world.one.call(lambda: "503") == "503"
    assert world.one.call(lambda: "404") == "404"
    assert world.one.call(lambda: "503") == "503"
    assert world.item() == {}
    assert world.one.call(slow) == "200"
    assert world.item()["st"] == "O"


def test_retry_after_of_the_dependency_prolongs_the_opening_and_never_beyond_the_most() -> None:
    def limited(seconds: float) -> str:
        error = TransientError("429")
        error.retry_after = seconds
        raise error

    for asked, waited in ((90.0, 90), (5.0, 30), (9999.0, 300)):
        world = World(Policy(failures=1))
        world.attempt(lambda asked=asked: limited(asked))  # type: ignore[misc]
        assert int(world.item()["retry_at"]) - world.time.ms() == waited * 1000


def test_failures_of_one_origin_do_not_open_a_circuit_that_wants_several() -> None:
    world = World(Policy(failures=5, origins=3))
    for _ in range(50):
        with pytest.raises(Down):
            world.one.call(fails, origin="card-1")
    for _ in range(5):
        with pytest.raises(Down):
            world.one.call(fails, origin="card-2")
    assert world.item() == {}
    with pytest.raises(Down):
        world.one.call(fails, origin="card-3")
    assert world.item()["st"] == "O"


def test_the_fallback_answers_rejections_only() -> None:
    world = World(Policy())
    with pytest.raises(Down):
        world.one.call(fails, fallback=lambda _: "default")
    world.trip()
    assert world.one.call(works, fallback=lambda rejected: f"default of {rejected.name}") == "default of peer"


def test_the_last_good_answer_stands_in_for_a_while_and_then_the_default() -> None:
    world = World(Policy())
    known: LastGood[str] = LastGood(max_age=60, size=2, clock=world.time.clock())
    known.keep("u-1", "Ann")
    assert known.or_else("u-1", "Unknown")(CircuitOpen(NAME, 1, 0)) == "Ann"
    assert known.or_else("u-2", "Unknown")(CircuitOpen(NAME, 1, 0)) == "Unknown"
    world.time.passed += 61
    assert known.or_else("u-1", "Unknown")(CircuitOpen(NAME, 1, 0)) == "Unknown"
    for name in ("u-3", "u-4", "u-5"):
        known.keep(name, name)
    assert [known.or_else(name, "-")(CircuitOpen(NAME, 1, 0)) for name in ("u-3", "u-4", "u-5")] == ["-", "u-4", "u-5"]


def test_a_new_sandbox_makes_one_call_against_a_dead_dependency_or_none_if_it_reads_first() -> None:
    world = World(Policy(), sandboxes=1)
    world.trip()
    circuits = Circuits(world.store, world.time.clock())
    optimist = circuits.breaker(NAME, Policy())
    assert optimist.call(works) == "ok"
    circuits.refresh_due()
    with pytest.raises(CircuitOpen):
        optimist.call(works)
    strict = Circuits(world.store, world.time.clock()).breaker(NAME, Policy(strict_first=True))
    with pytest.raises(CircuitOpen):
        strict.call(works)


@pytest.mark.parametrize("clocks", ["wall time only", "both"])
def test_a_view_that_thaws_after_minutes_is_due_whichever_clock_slept(clocks: str) -> None:
    world = World(Policy(), sandboxes=2)
    world.circuits[0].refresh_due()
    world.trip(sandbox=1)
    assert not world.one.is_due()
    if clocks == "both":
        world.time.passed += 600
    else:
        world.time.asleep += 600
    assert world.one.is_due()
    assert world.attempt(works) == "ok"  # closed stays closed until it is read
    world.circuits[0].refresh_due()
    assert world.one.view.state.st == "O"


def test_a_streak_from_before_a_long_sleep_is_not_in_a_row_with_what_comes_after() -> None:
    world = World(Policy())
    for _ in range(4):
        world.attempt(fails)
    world.time.asleep += 600
    for _ in range(4):
        world.attempt(fails)
    assert world.item() == {}


def test_the_calls_timeout_ends_before_the_function_does() -> None:
    world = World(Policy(call_timeout=5))
    assert world.one.timeout() == 5
    with deadline.of_invocation(aws_events.Context(2000)):
        assert 1.4 < world.one.timeout(reserve=0.5) <= 1.5


def test_a_second_breaker_of_the_same_name_in_one_sandbox_is_refused() -> None:
    circuits = Circuits(World(Policy()).store)
    circuits.breaker(NAME, Policy())
    with pytest.raises(ValueError, match="has a breaker in this sandbox already"):
        circuits.breaker(NAME, Policy())


@pytest.mark.parametrize(
    "wrong", [{"failures": 0}, {"failure_rate": 0}, {"failure_rate": 1.1}, {"max_reset": 1}, {"origins": 6}]
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"\d"):
        Policy(**wrong)  # type: ignore[arg-type]
