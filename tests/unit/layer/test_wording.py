"""A refused field is described in words for the person who filled it in."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import pytest
from pydantic import AwareDatetime, Field, SecretStr

from mercato.countries import CODES, Country
from mercato.http import Body, InvalidRequest, read_body
from mercato.text import TOKEN, Text


class Brew(Body):
    kind: Literal["green", "black"] = "green"
    cups: Annotated[int, Field(ge=1, le=9)] = 1
    hot: bool = True
    note: Annotated[str, Text(20, at_least=2)] = "none"
    recipe: Annotated[str, Text(1000, at_least=0, lines=True)] = ""
    secret: Annotated[SecretStr, Field(min_length=10, max_length=128)] = SecretStr("long enough")
    leaves: Annotated[list[str], Field(min_length=1, max_length=2)] = ["assam"]
    country: Country = "GB"
    token: Annotated[str, Field(pattern=TOKEN)] = "tok_ok"
    at: AwareDatetime | None = None


def refusal(**given: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        read_body(Brew, json.dumps(given).encode())
    (problem,) = caught.value.extra["errors"]
    assert caught.value.detail == f"{problem['field']} {problem['message']}."
    return f"{problem['field']} {problem['message']}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "white"}, "kind must be 'green' or 'black'"),
        ({"cups": 0}, "cups must be 1 or more"),
        ({"cups": 10}, "cups must be 9 or less"),
        ({"cups": "2"}, "cups must be a whole number"),
        ({"cups": 1.5}, "cups must be a whole number"),
        ({"hot": 1}, "hot must be true or false"),
        ({"note": 7}, "note must be text"),
        ({"note": "x"}, "note needs at least 2 characters"),
        ({"note": "x" * 21}, "note may have at most 20 characters"),
        ({"note": "one\ntwo"}, "note must be one line of text; take out U+000A (a line feed)"),
        ({"secret": "short"}, "secret needs at least 10 characters"),
        ({"secret": "x" * 129}, "secret may have at most 128 characters"),
        ({"leaves": []}, "leaves may not be empty"),
        ({"leaves": ["a", "b", "c"]}, "leaves may have at most 2 items"),
        ({"leaves": "assam"}, "leaves must be a list"),
        ({"country": "XX"}, "country must be an ISO 3166-1 alpha-2 code, such as GB"),
        ({"token": "tok ok"}, "token may have visible ASCII characters only"),
        ({"at": "yesterday"}, "at must be a time, such as 2026-11-22T12:00:00Z"),
        ({"at": "2026-11-22T12:00:00"}, "at must say its time zone, such as 2026-11-22T12:00:00Z"),
        ({"pot": 1}, "pot is not known here"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_plain_words(given: dict[str, Any], said: str) -> None:
    assert refusal(**given) == said


def test_a_missing_field_is_said_to_be_missing() -> None:
    class Needs(Body):
        name: str

    with pytest.raises(InvalidRequest, match=r"^name is missing\.$"):
        read_body(Needs, b"{}")


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "a\tb", "a\nb", "a\x7f", "a\x85b", "a\u2028b", "   ", "\u00a0 "])
def test_a_line_has_no_control_characters_and_is_not_blank(text: str) -> None:
    assert refusal(note=text * 2).startswith("note must be one line")


@pytest.mark.parametrize("text", ["1 Quay", "Łódź, ul. Główna 3", "東京都千代田区", "O'Neill & Søn", "🏠 2b"])
def test_a_line_may_be_in_any_script(text: str) -> None:
    assert read_body(Brew, json.dumps({"note": text}).encode()).note == text


def test_a_text_may_have_lines_and_tabs_but_no_other_control_characters() -> None:
    assert read_body(Brew, json.dumps({"recipe": "boil\r\n\tsteep\n"}).encode()).recipe == "boil\r\n\tsteep"
    for wrong in ("\x00", "\x08", "\x1b[31m", "\x7f", "\x9b"):
        assert refusal(recipe=wrong).startswith(f"recipe must be text; take out U+{ord(wrong[0]):04X} (a")


def test_the_countries_are_those_of_iso_3166() -> None:
    assert len(CODES) == 249
    assert {"GB", "DE", "US", "XK"} & CODES == {"GB", "DE", "US"}
    for wrong in ("UK", "gb", "GBR", "ZZ", "", "EU", "G\x00"):
        assert refusal(country=wrong).startswith("country must be an ISO")


@pytest.mark.parametrize("hidden", ["\u202e", "\u202a", "\u2066", "\u2069", "\u206a", "\u3164", "\ufffb", "\ufdd0"])
def test_what_hides_or_reorders_text_is_refused_in_a_line_and_in_a_text(hidden: str) -> None:
    assert "hides or reorders" in refusal(note=f"ab{hidden}c")
    assert "hides or reorders" in refusal(recipe=f"ab{hidden}c")


@pytest.mark.parametrize("blank", ["\u200b\u200b", "\u00ad \u00ad", "\u200d\u200c", "\u2800\u2800", "\ufe0f\ufeff"])
def test_a_line_without_anything_to_see_is_refused(blank: str) -> None:
    assert refusal(note=blank).startswith("note must be one line")


@pytest.mark.parametrize("name", ["ශ්\u200dරී", "علی\u200cرضا", "👨\u200d👩\u200d👧", "Trần Thị Hà", "O’Neill"])
def test_joiners_and_marks_are_text(name: str) -> None:
    assert read_body(Brew, json.dumps({"note": name}).encode()).note == name
