"""A value that is cached for a limited time."""

import pytest

from mercato.errors import TransientError
from users.signing_keys.cached import Cached


class Source:
    def __init__(self) -> None:
        self.value, self.asked, self.away, self.time = "old", 0, False, 0.0

    def fetch(self) -> str:
        self.asked += 1
        if self.away:
            raise TransientError("away")
        return self.value


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def cached(source: Source) -> Cached[str]:
    return Cached(source.fetch, 300, now=lambda: source.time)


def test_the_source_is_asked_once_while_the_value_is_fresh(source: Source, cached: Cached[str]) -> None:
    cached.get()
    source.value, source.time = "new", 299.9

    assert cached.get() == "old"
    assert source.asked == 1


def test_an_old_value_is_fetched_again(source: Source, cached: Cached[str]) -> None:
    cached.get()
    source.value, source.time = "new", 300.0

    assert cached.get() == "new"


def test_an_old_value_is_better_than_none(source: Source, cached: Cached[str]) -> None:
    cached.get()
    source.away, source.time = True, 300.0

    assert cached.get() == "old"
    assert cached.get() == "old"
    assert source.asked == 2


def test_without_any_value_the_failure_is_told(source: Source, cached: Cached[str]) -> None:
    source.away = True

    with pytest.raises(TransientError):
        cached.get()
