"""The contract check accepts that a text is refused for a character that no pattern can name, if the text has it."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest

from mercato.http.request import Body, InvalidRequest, read_body
from mercato.text import Text
from tests.e2e.contract_checks import is_refused_for_what_no_pattern_can_name

PRIVATE, UNASSIGNED, TAG, OVERRIDE = "\ue000", "\u0378", "\U000e0041", "\u202e"


class Line(Body):
    name: Annotated[str, Text(20)]


class Order(Body):
    note: Annotated[str, Text(20)] = "x"
    lines: list[Line] = []
    count: int = 1


def problem_of(body: Any) -> dict[str, Any]:
    with pytest.raises(InvalidRequest) as refused:
        read_body(Order, json.dumps(body).encode())
    return dict(refused.value.extra)


@pytest.mark.parametrize("character", [PRIVATE, UNASSIGNED, TAG])
@pytest.mark.parametrize("make", [lambda text: {"note": text}, lambda text: {"lines": [{"name": "a"}, {"name": text}]}])
def test_a_text_that_has_such_a_character_may_be_refused(character: str, make: Any) -> None:
    sent = make(f"a{character}b")
    assert is_refused_for_what_no_pattern_can_name(problem_of(sent), (sent, None))


def test_a_query_may_be_refused_so_too() -> None:
    assert is_refused_for_what_no_pattern_can_name(problem_of({"note": f"a{TAG}"}), (None, {"note": f"a{TAG}"}))


@pytest.mark.parametrize(
    ("refused", "sent"),
    [
        ({"note": f"a{PRIVATE}"}, {"note": "a"}),
        ({"note": f"a{PRIVATE}"}, {"note": f"a{TAG}"}),
        ({"note": f"a{PRIVATE}"}, {"lines": [{"name": f"a{PRIVATE}"}]}),
        ({"note": f"a{OVERRIDE}"}, {"note": f"a{OVERRIDE}"}),
        ({"note": "a" * 21}, {"note": f"a{PRIVATE}"}),
        ({"note": f"a{PRIVATE}", "count": "x"}, {"note": f"a{PRIVATE}", "count": "x"}),
        ({"note": f"a{PRIVATE}"}, None),
    ],
    ids=["not there", "another", "elsewhere", "a pattern can name it", "for its length", "one of two", "no body"],
)
def test_no_other_refusal_of_what_the_schema_allows_passes(refused: Any, sent: Any) -> None:
    assert not is_refused_for_what_no_pattern_can_name(problem_of(refused), (sent, None))


def test_a_refusal_that_names_no_field_does_not_pass() -> None:
    assert not is_refused_for_what_no_pattern_can_name({"detail": "may not have U+E000 "}, ({"note": PRIVATE}, None))
