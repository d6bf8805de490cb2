"""The order number's check character, and how people type numbers."""

from __future__ import annotations

import itertools
import secrets
import statistics

import pytest

from orders.numbers import ALPHABET, LENGTH, MistypedOrderNumber, draw_number, parse_number

PLACES = [place for place in range(LENGTH + 1) if place != LENGTH // 2]  # of K7QF2-M9X40, without its hyphen


def is_a_number(text: str) -> bool:
    try:
        parse_number(text)
    except MistypedOrderNumber:
        return False
    return True


@pytest.fixture(scope="module")
def drawn() -> list[str]:
    return [draw_number() for _ in range(200)]


def test_what_is_drawn_is_read_back(drawn: list[str]) -> None:
    assert [parse_number(number) for number in drawn] == drawn
    assert all(len(number) == LENGTH + 1 and number[LENGTH // 2] == "-" for number in drawn)


def test_every_single_wrong_character_is_found(drawn: list[str]) -> None:
    """The check is linear, so whether a change is found depends on its place and its two characters alone. Among the
    numbers are all pairs of characters at each place.
    """
    seen: set[tuple[int, int]] = set()
    for number, place, other in itertools.product(drawn, PLACES, ALPHABET):
        if other != number[place]:
            assert not is_a_number(number[:place] + other + number[place + 1 :]), (number, place, other)
            seen.add((place, ALPHABET.index(number[place]) ^ ALPHABET.index(other)))
    assert seen == set(itertools.product(PLACES, range(1, len(ALPHABET)))), "all differences at all places were tried"


def test_every_swap_of_two_characters_is_found_of_neighbours_too(drawn: list[str]) -> None:
    found: set[tuple[int, int, int]] = set()
    for number in (*drawn, *(draw_number() for _ in range(300))):
        for first, second in itertools.combinations(PLACES, 2):
            characters = list(number)
            characters[first], characters[second] = characters[second], characters[first]
            difference = ALPHABET.index(number[first]) ^ ALPHABET.index(number[second])
            assert is_a_number("".join(characters)) is (difference == 0), (number, first, second)
            found.add((first, second, difference))
    pairs = itertools.combinations(PLACES, 2)
    assert found == {(*pair, difference) for pair in pairs for difference in range(len(ALPHABET))}


def test_a_character_too_many_or_too_few_is_found(drawn: list[str]) -> None:
    for number in drawn[:20]:
        assert not is_a_number(number[:-1])
        assert not is_a_number(number + "0")


@pytest.mark.parametrize(
    "typed",
    [
        "k7qf2-m9x40",
        "K7QF2M9X40",
        "  k7qf2 m9x4o ",
        "K7QF2-M9X4O",
        "K7-QF-2M-9X-40",
        "K7QF2\u2013M9X40",
        "K7QF2\u00a0M9X40",
        "K7QF2.M9X40",
    ],
)
def test_people_type_it_in_many_ways(typed: str) -> None:
    assert parse_number(typed) == "K7QF2-M9X40"


def test_i_and_l_are_read_as_one() -> None:
    number = next(one for one in iter(draw_number, "") if "1" in one)
    for like in "IilL":
        assert parse_number(number.replace("1", like)) == number


@pytest.mark.parametrize(
    "typed", ["", "-", "K7QF2-M9X4U", "K7QF2-M9X4\u0660", "\uff2b7QF2-M9X40", "K7QF2_M9X40", "9" * 40]
)
def test_what_is_no_number_is_refused_in_words_for_people(typed: str) -> None:
    with pytest.raises(MistypedOrderNumber, match="ten letters and digits"):
        parse_number(typed)


def test_numbers_are_drawn_from_all_characters_and_tell_nothing_of_their_order() -> None:
    numbers = [draw_number() for _ in range(2000)]
    assert len(set(numbers)) == len(numbers)
    for place in PLACES:
        assert {number[place] for number in numbers} == set(ALPHABET), "of 2,000 draws one of 32 is missing: 10^-27"
    rises = statistics.fmean(later > earlier for earlier, later in itertools.pairwise(numbers))
    assert 0.4 < rises < 0.6


def test_randomness_is_the_operating_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def none(most: int) -> int:
        asked.append(most)
        return 0

    monkeypatch.setattr(secrets, "randbelow", none)
    assert draw_number() == "00000-00000"
    assert asked == [32] * (LENGTH - 1)
