"""How long a client must wait after wrong passwords."""

from datetime import timedelta

import pytest

from users.passwords.attempts import TooManyAttempts, wait_after


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (4, 0), (5, 1), (6, 2), (10, 32), (14, 512), (15, 900), (1_000_000, 900)]
)
def test_the_wait_doubles_after_five_failures_up_to_a_quarter_of_an_hour(failures: int, seconds: int) -> None:
    assert wait_after(failures) == timedelta(seconds=seconds)


@pytest.mark.parametrize(("wait", "told"), [(0.2, 1), (1, 1), (1.2, 2), (900, 900)])
def test_the_guesser_is_told_whole_seconds_rounded_up(wait: float, told: int) -> None:
    refused = TooManyAttempts(timedelta(seconds=wait))

    assert refused.extra == {"retry_after": told}
    assert str(told) in refused.detail
