"""The retry of an optimistic lock, against a counter that other writers change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from mercato.errors import TransientError
from mercato.store.retry import retry_on_conflict


class Stale(Exception):
    pass


@dataclass
class Counter:
    """`rivals` is the number of other writes between a load and the write that follows it."""

    value: int = 0
    rivals: int = 0
    loaded: list[int] = field(default_factory=list)
    written: list[int] = field(default_factory=list)

    def load(self) -> int:
        self.loaded.append(self.value)
        return self.value

    def add_ten(self, seen: int) -> int:
        self.written.append(seen)
        if self.rivals:
            self.rivals -= 1
            self.value += 1
        if seen != self.value:
            raise Stale
        self.value += 10
        return self.value


def add_ten(counter: Counter, attempts: int = 3, exhausted: str | None = "too many writers") -> int:
    return retry_on_conflict(counter.load, counter.add_ten, conflict=Stale, attempts=attempts, exhausted=exhausted)


def test_a_write_that_meets_no_other_is_done_once() -> None:
    counter = Counter()
    assert add_ten(counter) == 10
    assert (counter.loaded, counter.written) == ([0], [0])


@pytest.mark.parametrize("rivals", [1, 2])
def test_after_a_conflict_the_newer_state_is_loaded_and_decided_on(rivals: int) -> None:
    counter = Counter(rivals=rivals)
    assert add_ten(counter) == 10 + rivals
    assert counter.loaded == counter.written == list(range(rivals + 1))


@pytest.mark.parametrize("attempts", [1, 3, 8])
def test_after_the_last_attempt_it_is_a_transient_error_and_nothing_more_is_read(attempts: int) -> None:
    counter = Counter(rivals=attempts + 1)
    with pytest.raises(TransientError, match=r"^too many writers$"):
        add_ten(counter, attempts)
    assert counter.loaded == counter.written == list(range(attempts))
    assert counter.value == attempts, "of the others' writes alone"


def test_without_a_text_the_last_conflict_itself_is_raised() -> None:
    with pytest.raises(Stale):
        add_ten(Counter(rivals=3), exhausted=None)


def test_a_state_that_was_loaded_before_is_the_first_to_be_tried() -> None:
    counter = Counter(value=5)
    assert retry_on_conflict(counter.load, counter.add_ten, conflict=Stale, attempts=2, seen=5) == 15
    assert counter.loaded == []

    counter = Counter(value=5)
    assert retry_on_conflict(counter.load, counter.add_ten, conflict=Stale, attempts=2, seen=4) == 15
    assert (counter.loaded, counter.written) == ([5], [4, 5])


@pytest.mark.parametrize("seen", [0, "", ()])
def test_a_state_that_is_false_is_a_state(seen: object) -> None:
    def load() -> object:
        raise AssertionError("loaded")

    assert retry_on_conflict(load, lambda state: state, conflict=Stale, attempts=2, seen=seen) == seen


def raising(error: Exception) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise error

    return fail


def test_another_error_of_the_write_is_not_tried_again() -> None:
    counter = Counter()
    with pytest.raises(ValueError, match="other"):
        retry_on_conflict(counter.load, raising(ValueError("other")), conflict=Stale, attempts=3)
    assert counter.loaded == [0]


def test_a_conflict_that_the_load_raises_ends_the_retries() -> None:
    counter = Counter()
    with pytest.raises(Stale):
        retry_on_conflict(raising(Stale()), counter.add_ten, conflict=Stale, attempts=3, exhausted="too many writers")
    assert counter.written == []
