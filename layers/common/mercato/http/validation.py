"""Describes what is wrong with a field, in terms of the API instead of the model."""

from __future__ import annotations

from typing import Any

from pydantic_core import ErrorDetails

from mercato.text import WORDS

_SAID = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "datetime_type": "must be a time, such as 2026-11-22T12:00:00Z",
    "enum": "must be {expected}",
    "extra_forbidden": "is not known here",
    "greater_than_equal": "must be {ge} or more",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than_equal": "must be {le} or less",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "missing": "is missing",
    "model_attributes_type": "must be an object",
    "model_type": "must be an object",
    "string_too_long": "may have at most {max_length} characters",
    "string_too_short": "needs at least {min_length} characters",
    "string_type": "must be text",
    "timezone_aware": "must say its time zone, such as 2026-11-22T12:00:00Z",
}


def describe(error: ErrorDetails) -> str:
    """One error of a pydantic ValidationError."""
    kind, about = error["type"], error.get("ctx", {})
    if kind in ("too_short", "string_too_short") and about["min_length"] == 1:
        return "may not be empty"
    if kind in ("too_short", "too_long"):
        return _counted(kind, about)
    if kind == "string_pattern_mismatch":
        return WORDS.get(about["pattern"]) or f"must match {about['pattern']}"
    if kind == "value_error":
        return str(about["error"])
    if kind.startswith("datetime_"):
        kind = "datetime_type"
    return _SAID[kind].format(**about) if kind in _SAID else error["msg"]


def _counted(kind: str, about: dict[str, Any]) -> str:
    # A secret's error looks like a list's; only its type shows that it is text.
    things = "characters" if about["field_type"] == "Value" else "items"
    if kind == "too_short":
        return f"needs at least {about['min_length']} {things}"
    return f"may have at most {about['max_length']} {things}"
