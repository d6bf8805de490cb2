from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from products.words import MAX_LENGTH, MAX_TERMS, Asked, fold, index_terms, index_words, words_of

# The query, the product's name, and whether the query finds it.
SEARCHES = [
    # Latin
    ("creme brulee", "Crème brûlée", True),
    ("crème", "Creme", True),
    ("strasse", "STRAẞE", True),
    ("straße", "Strasse", True),
    ("office", "Oﬃce chair", True),
    ("smorrebrod", "Smørrebrød", True),
    ("lodz", "Łódź", True),
    ("oeuvre", "Œuvre", True),
    ("pho bo", "Phở bò", True),
    ("full 1", "ＦＵＬＬ １", True),
    ("loreal", "L’Oréal", True),
    ("red", "Read", False),
    # Turkish
    ("kırmızı", "KIRMIZI", True),
    ("KIRMIZI", "kırmızı kazak", True),
    ("istanbul", "İSTANBUL", True),
    # Greek
    ("αθηνα", "Αθήνα", True),
    ("ΟΔΥΣΣΕΥΣ", "Οδυσσεύς", True),
    ("ωδη", "ᾠδή", False),
    ("ᾨΔΗ", "ᾠδή", True),
    # Cyrillic
    ("замок", "за́мок", True),
    ("елка", "Ёлка", True),
    ("ёлка", "елка", True),
    ("чаи", "чай", False),
    ("мои", "мой", False),
    ("чай", "ЧАЙ", True),
    ("киів", "Київ", False),
    ("гопче", "Ѓопче", False),
    # Devanagari, Tamil
    ("दान", "दान पात्र", True),
    ("दान ", "दिन", False),
    ("दान", "दिन", False),
    ("दिन", "दान", False),
    ("हिन्दी", "हिन्दी किताब", True),
    ("क़लम", "\u0958लम", True),
    ("பால்", "பல்", False),
    # Thai, Lao
    ("แดง", "เสื้อสีแดงสด", True),
    ("สีแดง", "เสื้อสีแดงสด", True),
    ("สี", "สี่", False),
    ("สีเขียว", "เสื้อสีแดง", False),
    ("ລາວ", "ພາສາລາວ", True),
    # Japanese
    ("バス", "バスタオル", True),
    ("バス", "ハスの花", False),
    ("ハス", "バス", False),
    ("ﾊﾞｽ", "観光バス", True),
    ("茶碗", "青い茶碗セット", True),
    ("碗", "茶碗", True),
    ("碗茶", "茶碗", False),
    ("ケース", "iPhone用ケース", True),
    ("iphone ケース", "iPhone用ケース", True),
    ("東京 バス", "バスの東京", True),
    ("東京 バス", "東京の花", False),
    # Chinese
    ("杯子", "玻璃杯子（大）", True),
    ("杯", "玻璃杯子", True),
    ("木杯", "玻璃杯子", False),
    # Korean
    ("한글", unicodedata.normalize("NFD", "한글 책"), True),
    (unicodedata.normalize("NFD", "한글"), "한글 책", True),
    ("찻잔", "찻장", False),
    # Arabic, Persian
    ("محمد", "مُحَمَّد", True),
    ("كتـــاب", "كتاب", True),
    ("کتاب", "كتاب", True),
    ("سال", "سأل", False),
    ("علیرضا", "علی\u200cرضا", True),
    ("٣", "3", True),
    # Hebrew
    ("שלום", "שָׁלוֹם", True),
    ("שלוח", "שלום", False),
    # Signs and compounds
    ("widget", "Widget™", True),
    ("widget blue", "Widget® blue", True),
    ("no 5", "№5", True),
    ("№ 5", "No 5", True),
    ("10kω", "10㏀", True),
    ("10kΩ resistor", "Resistor 10k\u2126", True),
    ("51", "5½", False),
    ("c#", "C# in depth", True),
    ("c#", "C++ primer", False),
    ("c++", "C# in depth", False),
    ("c++ primer", "C++ primer", True),
    ("disney card", "Disney+ card", True),
    ("salt pepper", "salt+pepper", True),
    ("tshirt", "T-Shirt", True),
    ("t shirt", "T-Shirt", True),
    ("t-shirt", "T-Shirt", True),
    ("t-shirt", "Tshirt", True),
    ("t-shirt", "T shirt", True),
    ("t‑shirt", "T-Shirt", True),
    ("usbc", "USB-C cable", True),
    ("usb-c cable", "USBC cable", True),
    ("1020", "10-20 cm", False),
    ("extra", "e\u00adxtra", True),
]


def finds(asked: str, name: str) -> bool:
    """Whether the index finds it: an entry of the driving word exists once, and the words match."""
    words = index_words(name)
    found = 0
    for number, reading in enumerate(readings := Asked.readings(asked)):
        driver = reading.driver[:MAX_LENGTH]
        entries = [(term, shared) for term, shared in index_terms(words) if term.startswith(driver)]
        first = sum(reading.is_first_entry(term, words, shared) for term, shared in entries)
        assert first <= 1
        if not any(earlier.matches(words) for earlier in readings[:number]):
            found += reading.matches(words) and first == 1
    assert found <= 1
    return found == 1


@pytest.mark.parametrize(("asked", "name", "found"), SEARCHES)
def test_a_search_finds_that_word_and_no_other(asked: str, name: str, found: bool) -> None:
    assert finds(asked, name) is found


LETTERS = st.sampled_from(
    "aàbßéıİIiøﬁŁ żaA1½²ⅣªαάΆςΣϊᾳаёйїіѓЯ" + "दनदािी\u0941\u094d\u093cहสีแด\u0e48\u0e33กハバス゛々茶碗ー用がケ한글값"
    "אבש\u05c1\u05b8ם\u064f\u0651حمدأإآیکـ٣३" + "™№㏀Ω+#-_' ’.&\u0301\u3099\u200d\ufe0f😀"
)
# In the form in which names are stored.
NAMES = (st.text(LETTERS, max_size=30) | st.text(max_size=30)).map(partial(unicodedata.normalize, "NFC"))


FORMS: list[Callable[[str], str]] = [
    partial(unicodedata.normalize, "NFC"),
    partial(unicodedata.normalize, "NFD"),
    str.upper,
    str.lower,
    str.casefold,
]


@given(NAMES, st.sampled_from(FORMS))
@example("ᾳ ΐ ŉ", str.upper)
@example("\u0640\u05b8", partial(unicodedata.normalize, "NFC"))
def test_a_product_is_found_by_each_of_its_words_in_every_form(name: str, form: Callable[[str], str]) -> None:
    written = form(name)
    words = index_words(name)
    assert fold(written) == fold(name) == fold(fold(name))
    assert index_words(written) == words
    assert all(finds(f"{word} ", name) for word in words_of(written)) or len(index_terms(words)) >= MAX_TERMS


# Each line has all spellings of one word. The words resemble each other.
WORDS = [
    ["Café", "CAFE", "cafe\u0301", "ｃａｆé"],
    ["kırık", "KIRIK", "kirik"],
    ["दान", "दा\u200dन"],
    ["दिन"],
    ["दीन"],
    ["क़लम", "\u0958लम"],
    ["कलम"],
    ["バス", "ﾊﾞｽ", "ハ\u3099ス"],
    ["ハス"],
    ["パス"],
    ["чай", "ЧАЙ", "чаи\u0306"],
    ["чаи", "ча\u0301и"],
    ["ёлка", "Елка"],
    ["สี"],
    ["สี่"],
    ["محمد", "مُحَمَّد", "محمـــد"],
    ["سأل"],
    ["سال"],
    ["שלום", "שָׁלוֹם"],
    ["한글", unicodedata.normalize("NFD", "한글")],
    ["하글"],
    ["C#"],
    ["C++"],
    ["C"],
    ["T-shirt", "TSHIRT", "t‑shirt"],
]
WRITTEN = st.sampled_from([(number, text) for number, texts in enumerate(WORDS) for text in texts])


@given(WRITTEN, st.lists(WRITTEN, min_size=1, max_size=6))
def test_a_product_is_found_by_the_words_of_its_name_and_by_no_other(
    asked: tuple[int, str], name: list[tuple[int, str]]
) -> None:
    found = finds(f"{asked[1]} ", " ".join(text for _, text in name))

    assert found is (asked[0] in {number for number, _ in name})


def test_a_word_of_each_length_of_a_run_is_found_once_wherever_it_stands() -> None:
    name = "東京東京都の東の京東京"
    for start in range(len(name)):
        for end in range(start + 1, len(name) + 1):
            assert finds(name[start:end], name)


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


@pytest.mark.parametrize(
    "text", [" ".join(f"{n}" + "x" * 100 for n in range(50)), "".join(map(chr, range(0x4E00, 0x4EC8)))]
)
def test_a_long_text_gives_a_bounded_number_of_bounded_terms(text: str) -> None:
    terms = [term for term, _ in index_terms(index_words(text))]

    assert len(terms) == 40
    assert {len(term) for term in terms} == {40}


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
