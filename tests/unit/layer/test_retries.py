"""When a call is retried, and how often at most."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato.peers.retries import RetryBudget, longest_pause, read_retry_after

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@given(st.integers(0, 9), st.lists(st.booleans(), max_size=400))
def test_whatever_comes_retries_are_at_most_a_tenth_of_the_calls_and_what_was_there(
    tenths: int, calls: list[bool]
) -> None:
    budget, made, granted = RetryBudget(tenths), 0, 0
    for is_call in calls:
        if is_call:
            budget.pay_in()
            made += 1
        else:
            granted += budget.take()
        assert granted * 10 <= made + tenths


@given(st.integers(1, 30))
def test_over_a_fleet_of_short_lived_sandboxes_retries_are_a_tenth_of_the_calls(calls: int) -> None:
    granted = 0
    for tenths in range(10):  # as likely each
        budget = RetryBudget(tenths)
        for _ in range(calls):
            budget.pay_in()
            granted += budget.take()

    assert granted == calls  # of 10 × calls


def test_a_new_budget_never_holds_a_whole_retry() -> None:
    assert not any(RetryBudget().take() for _ in range(200))


def test_ten_calls_pay_for_one_retry_and_not_nine() -> None:
    budget = RetryBudget(0)
    for _ in range(9):
        budget.pay_in()
    assert not budget.take()
    budget.pay_in()
    assert budget.take()


def test_pauses_double_up_to_two_seconds() -> None:
    assert [longest_pause(attempt) for attempt in (1, 2, 3, 4, 5, 60)] == [0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("Sun, 22 Nov 2026 12:00:05 GMT", 5.0),
        ("Sun, 22 Nov 2026 11:59:00 GMT", 0.0),
        ("Sunday, 22-Nov-26 12:00:05 GMT", 5.0),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("1e3", None),
        ("", None),
        ("9999999999999", None),
        ("Sun, 99 Nov 2026 12:00:05 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert read_retry_after(header, NOON) == seconds
