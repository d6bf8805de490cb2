from __future__ import annotations

import pytest

from products.words import Asked, fold, words_of


@pytest.mark.parametrize(
    ("text", "folded"),
    [("  Crème  BRÛLÉE ", "creme brulee"), ("Straße", "strasse"), ("ＦＵＬＬ", "full"), ("", "")],
)
def test_texts_that_read_the_same_fold_to_the_same(text: str, folded: str) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('RECORD FRAME 7" SINGLE SIZE ', ("record", "frame", "7", "single", "size")),
        ("Children's T-LIGHT, children’s", ("childrens", "t", "light")),
        ("AIRLINE LOUNGE,METAL_SIGN", ("airline", "lounge", "metal", "sign")),
        ("? * —", ()),
    ],
)
def test_a_text_is_cut_into_its_distinct_words(text: str, words: tuple[str, ...]) -> None:
    assert words_of(text) == words


def test_a_long_text_gives_a_bounded_number_of_bounded_words() -> None:
    words = words_of(" ".join(f"{n}" + "x" * 100 for n in range(50)))

    assert len(words) == 20
    assert {len(word) for word in words} == {40}


def test_the_last_word_is_a_beginning_unless_a_space_follows() -> None:
    assert Asked.read("white hea") == Asked(("white",), "hea")
    assert Asked.read("white heart ") == Asked(("white", "heart"), "")
    assert Asked.read("?!") is None


@pytest.mark.parametrize(
    ("asked", "matches"),
    [
        ("heart", True),
        ("hea", True),
        ("white hea", True),
        ("heart white", True),
        ("whi heart", False),
        ("red heart", False),
        ("hea ", False),
    ],
)
def test_all_words_must_match(asked: str, matches: bool) -> None:
    found = Asked.read(asked)

    assert found is not None
    assert found.matches(("white", "hanging", "heart")) is matches


@pytest.mark.parametrize(
    ("text", "driver", "is_prefix"),
    [("red umbrella", "umbrella", True), ("umbrella re", "umbrella", False), ("red hat", "red", False)],
)
def test_the_longest_word_drives_the_search(text: str, driver: str, is_prefix: bool) -> None:
    found = Asked.read(text)

    assert found is not None
    assert (found.driver, found.driver_is_prefix) == (driver, is_prefix)


def test_of_several_words_with_the_prefix_the_first_counts() -> None:
    found = Asked((), "heart")
    words = ("hearts", "of", "heart")

    assert [word for word in words if word.startswith("heart") and found.is_first_entry(word, words)] == ["heart"]
