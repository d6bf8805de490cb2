"""Texts that people write: what is accepted, in which form it is stored, and what is refused by name."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mercato.text import AddressLine, Description, PersonName, ProductName, Reason, Text, greeting_name

LINE = Text(100)
LINES = Text(100, at_least=0, lines=True)

AS_THEY_ARE = [
    "Ada Lovelace",
    "O’Neill-Søn",
    "Trần Thị Hà",
    "ශ්\u200dරී",  # after a virama
    "क्\u200dष",
    "র\u200d্যাম",  # before a virama
    "علی\u200cرضا",  # between joining letters
    "می\u200cخواهم",
    "١٤٤٥ ه\u200d",  # the form of a letter at the beginning, at the end of a word
    "葛\U000e0100城",  # an ideographic variation
    "\U0002a6d6\U00031350",
    "👨\u200d👩\u200d👧",
    "👩🏽\u200d🚀",
    "🏳\ufe0f\u200d🌈",
    "🙂\u200d↔\ufe0f",
    "❤\ufe0f",
    "1\ufe0f\u20e3",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # Scotland
    "🇬🇧",
    "\U0001fae9",  # of Unicode 16
    "ᠮᠣᠩᠭᠣᠯ\u180b",
    "50 % off · “new” ™ №5 ½",
]


@pytest.mark.parametrize("text", AS_THEY_ARE)
@pytest.mark.parametrize("rule", [LINE, LINES])
def test_what_names_are_written_with_is_taken_as_it_is(rule: Text, text: str) -> None:
    assert rule.normalise(text) == text


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("  Ada King \t\n", "Ada King"),
        ("\u3000小林\u00a0", "小林"),
        ("Jose\u0301", "José"),
        ("\u1112\u1161\u11ab", "한"),
        ("Donau\u00addampf", "Donaudampf"),
        ("Ada\u200e", "Ada"),
        ("\u200fעדה\u061c", "עדה"),
        ("\ufeffAda\u2060", "Ada"),
        ("สวัสดี\u200bครับ", "สวัสดีครับ"),
        ("A\u200dda", "Ada"),
        ("A\u200cda", "Ada"),
        ("علی\u200c رضا", "علی رضا"),
        ("Ada\ufe0f", "Ada"),
        ("A\U000e0101da", "Ada"),
        ("👩\u200dA", "👩A"),
        ("A\u180bda", "Ada"),
    ],
)
def test_what_shows_nothing_is_left_out_and_the_rest_is_in_nfc(text: str, stored: str) -> None:
    assert LINE.normalise(text) == stored


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Ada\u202eKing", "may not have U+202E RIGHT-TO-LEFT OVERRIDE; take it out: "),
        ("\u2067Ada\u2069", "may not have U+2067 RIGHT-TO-LEFT ISOLATE; "),
        ("Ada\u3164", "may not have U+3164 HANGUL FILLER; "),
        ("Ada\ufff9", "may not have U+FFF9 INTERLINEAR ANNOTATION ANCHOR; "),
        ("A\U000e0061da", "may not have U+E0061 TAG LATIN SMALL LETTER A; "),
        ("🏴\U000e0067", "may not have U+E0067 TAG LATIN SMALL LETTER G; "),
        ("👩\U000e0067\U000e0062\U000e0065\U000e007f", "may not have U+E0067 "),
        ("Ada\ue000", "may not have U+E000 (a private character); "),
        ("Ada\U0010fffd", "may not have U+10FFFD (a private character); "),
        ("Ada\u0378", "may not have U+0378 (not a character of Unicode); "),
        ("Ada\ufdd0", "may not have U+FDD0 (not a character of Unicode); "),
        ("Ada\U00101234", "may not have U+101234 (a private character); "),
        ("Ada\U000e0080", "may not have U+E0080 (not a character of Unicode); "),
        ("Ada\ud800", "may not have U+D800 "),
        ("Ada\nBcc: x", "must be one line of text; take out U+000A (a line feed)"),
        ("Ada\x1b[31m", "must be one line of text; take out U+001B (an escape)"),
        ("Ada\x9bKing", "must be one line of text; take out U+009B (a control character)"),
        ("Ada\u2028King", "must be one line of text; take out U+2028 LINE SEPARATOR"),
        ("\u200b\u2800\u00ad", "must be one line of text with something to see in it"),
    ],
)
def test_what_hides_reorders_or_means_nothing_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        LINE.normalise(text)


def test_a_text_of_several_lines_has_breaks_and_tabs_and_no_separators() -> None:
    assert LINES.normalise("one\r\n\ttwo\n") == "one\r\n\ttwo"
    assert LINES.normalise(" ") == ""
    with pytest.raises(ValueError, match=r"^must be text; take out U\+2029 PARAGRAPH SEPARATOR or write a line break$"):
        LINES.normalise("one\u2029two")


def test_lengths_are_those_of_the_text_as_stored() -> None:
    reason = TypeAdapter(Reason)
    assert reason.validate_python("  x y z  ") == "x y z"
    assert reason.validate_python("e\u0301" * 500) == "é" * 500
    for wrong, kind in (
        (" ab ", "string_too_short"),
        ("é" * 501, "string_too_long"),
        ("", "string_too_short"),
        ("\u00a0" * 498 + "xyz", "string_too_long"),
    ):
        with pytest.raises(ValidationError) as caught:
            reason.validate_python(wrong)
        assert caught.value.errors()[0]["type"] == kind


@pytest.mark.parametrize("kind", [PersonName, AddressLine, ProductName, Reason, Description])
def test_the_pattern_of_the_contract_takes_what_the_rule_takes_and_no_blank(kind: Any) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(kind)
    schema = adapter.json_schema()
    for text in [
        "\u202e",
        "a\u202e",
        "abc\x00d",
        "a\ue000bc",
        *(["   ", "\u200b\u200b\u200b"] if kind is not Description else []),
    ]:
        assert not re.search(schema["pattern"], text)
        with pytest.raises(ValidationError):
            adapter.validate_python(text)
    for text in ["\t\r\n\v\f \u3000abc\u2028\u2029\u00a0"]:
        assert re.search(schema["pattern"], text)
        assert adapter.validate_python(text) == "abc"
    for text in ["abc\x1f", "\x85abc", "\x1cabc"]:
        assert not re.search(schema["pattern"], text)
        with pytest.raises(ValidationError):
            adapter.validate_python(text)
    for text in AS_THEY_ARE:
        assert re.search(schema["pattern"], f"abc {text}")
        assert adapter.validate_python(f"abc {text}") == unicodedata.normalize("NFC", f"abc {text}")


@given(
    st.text(max_size=60)
    | st.text("aé\u0301 \n\u200c\u200d\ufe0f\u00ad👩🏽‍❤ا م्क\u202e\U000e0067\U000e007f🏴", max_size=12)
)
@example(" \u200c\u094d")
@example("\u0b4d\u200c\u0b4d\u0338")
@example("❤\u200d\ufe0f")
def test_what_is_stored_is_in_nfc_trimmed_and_taken_again_as_it_is(text: str) -> None:
    try:
        stored = LINES.normalise(text)
    except ValueError:
        return
    assert unicodedata.is_normalized("NFC", stored)
    assert stored == stored.strip()
    assert LINES.normalise(stored) == stored
    assert not any(
        unicodedata.bidirectional(one) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI"} for one in stored
    )


def test_a_hostile_text_is_judged_in_time_that_grows_with_its_length() -> None:
    for text in ("\u200d" * 200_000, "ا\u200d\u0651" * 60_000, "🏴\U000e0067" * 60_000, "e\u0301" * 100_000):
        with pytest.raises(ValueError, match=r"."):
            LINE.normalise(text)


@pytest.mark.parametrize(
    ("name", "greeted"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        (" J.R.R. \n Tolkien ", "J.R.R. Tolkien"),
        ("Dr. M. L. King Jr.", "Dr. M. L. King Jr."),
        ("Nuñez, Ana-María (Reception 2.14)", "Nuñez, Ana-María (Reception 2.14)"),
        ("李小龙", "李小龙"),
        ("see https://evil.example/win", ""),
        ("see evil.example", ""),
        ("see EVIL.EXAMPLE/win", ""),
        ("see //evil", ""),
        ("see www.evil", ""),
        ("see evil。example", ""),
        ("mail eve@evil", ""),
        ("mail eve＠evil", ""),
    ],
)
def test_a_mail_greets_by_no_name_that_holds_a_link(name: str, greeted: str) -> None:
    assert greeting_name(name) == greeted
