"""How long a client must wait after wrong passwords."""

from datetime import timedelta

import pytest

from users.passwords.attempts import TooManyAttempts, wait_after


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (4, 0), (5, 1), (6, 2), (10, 32), (14, 512), (15, 900), (1_000_000, 900)]
)
def test_the_wait_doubles_after_five_failures_up_to_a_quarter_of_an_hour(failures: int, seconds: int) -> None:
    assert wait_after(failures) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("wait", "told", "words"),
    [
        (0.2, 1, "1 second,"),
        (1, 1, "1 second,"),
        (1.2, 2, "2 seconds,"),
        (119, 119, "119 seconds,"),
        (119.5, 120, "2 minutes,"),
        (121, 121, "3 minutes,"),
        (900, 900, "15 minutes,"),
    ],
)
def test_the_guesser_is_told_the_wait_rounded_up(wait: float, told: int, words: str) -> None:
    refused = TooManyAttempts(timedelta(seconds=wait))

    assert refused.extra == {"retry_after": told}
    assert f" in {words}" in refused.detail
