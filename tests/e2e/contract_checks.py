"""The checks that schemathesis makes of every response, besides its own."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Response

_MISTAKES = {"urn:mercato:problem:invalid-request", "urn:mercato:problem:malformed"}


def is_refused_for_what_no_pattern_can_name(problem: Mapping[str, Any], sent: Sequence[Any]) -> bool:
    """Whether each error of a 422 is about a character that is unassigned, private or beyond U+FFFF, and that character
    is in the field that the error names.

    `sent` has the body and the query as they were sent.
    """
    errors = problem.get("errors") or []
    return bool(errors) and all(
        _is_such_a_character(character := _character_of(error["message"]))
        and any(character in text for part in sent for text in _texts_at(part, error["field"]))
        for error in errors
    )


def _character_of(message: str) -> str:
    """The character that the message says is not allowed; empty for other messages."""
    found = re.match(r"may not have U\+([0-9A-F]{4,6}) ", message)
    return chr(int(found[1], 16)) if found else ""


def _is_such_a_character(character: str) -> bool:
    return bool(character) and (ord(character) > 0xFFFF or unicodedata.category(character) in {"Cn", "Co"})


def _texts_at(part: Any, field: str) -> Iterator[str]:
    """The texts at that path. `lines.3.name` is the name of the fourth line."""
    for step in field.split("."):
        if isinstance(part, Mapping):
            part = part.get(step)
        elif isinstance(part, list) and step.isdecimal() and int(step) < len(part):
            part = part[int(step)]
        else:
            return
    if isinstance(part, str):
        yield part


def _problem_type(response: Response) -> str:
    if response.headers.get("content-type", [""])[0] != "application/problem+json":
        return ""
    return str(response.json()["type"])


@schemathesis.check
def what_the_schema_allows_is_not_called_invalid(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """A request that the schema allows may only be refused by an error of the domain, which has its own type, or for a
    character that is unassigned, private or beyond U+FFFF, since no pattern of JSON Schema can name these.
    """
    if case.meta is None or not case.meta.generation.mode.is_positive or _problem_type(response) not in _MISTAKES:
        return
    refused = is_refused_for_what_no_pattern_can_name(response.json(), (case.body, case.query))
    assert refused, f"the schema allows what was refused: {response.text[:300]}"


@schemathesis.check
def every_answer_is_guarded(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    assert response.headers["x-content-type-options"] == ["nosniff"]
    assert response.headers["x-request-id"][0]
    assert "max-age" in response.headers["strict-transport-security"][0]
    assert response.headers["referrer-policy"] == ["no-referrer"]
    assert response.headers["content-security-policy"][0]
    assert "set-cookie" not in response.headers
    is_public = response.headers["cache-control"][0].startswith("public")
    assert is_public or response.headers["cache-control"] == ["no-store"]
    assert not (is_public and "ratelimit" in response.headers)
