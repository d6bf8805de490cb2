"""What schemathesis holds of every answer beside its own checks."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Response

_MISTAKES = {"urn:mercato:problem:invalid-request", "urn:mercato:problem:malformed"}


def _names_such_a_character(response: Response) -> bool:
    found = re.search(r"may not have U\+([0-9A-F]+) ", response.text)
    code = int(found[1], 16) if found else 0
    return code > 0xFFFF or unicodedata.category(chr(code)) in {"Cn", "Co"}


def _problem_type(response: Response) -> str:
    if response.headers.get("content-type", [""])[0] != "application/problem+json":
        return ""
    return str(response.json()["type"])


@schemathesis.check
def what_the_schema_allows_is_not_called_invalid(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """It may be refused for a reason of the domain, by that reason's own type, and for a character that no pattern of
    JSON Schema can name: one that is unassigned or private, or beyond U+FFFF.
    """
    if case.meta is not None and case.meta.generation.mode.is_positive and not _names_such_a_character(response):
        assert _problem_type(response) not in _MISTAKES, f"the schema allows what was refused: {response.text[:300]}"


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
