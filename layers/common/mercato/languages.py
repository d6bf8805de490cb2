"""The languages that the shop writes its messages in."""

from __future__ import annotations

from enum import StrEnum


class Language(StrEnum):
    """By ISO 639's code."""

    EN = "en"
    DE = "de"


def preferred(accept_language: str) -> Language | None:
    """The one of the shop's languages that an Accept-Language header (RFC 9110, 12.5.4) prefers, if it names any."""
    weighted: list[tuple[float, int, Language]] = []
    for place, wanted in enumerate(accept_language.split(",")[:20]):
        tag, _, parameter = wanted.partition(";")
        code = tag.strip().lower().partition("-")[0]
        weight = _weight(parameter)
        if code in Language and weight > 0:
            weighted.append((-weight, place, Language(code)))
    return min(weighted)[2] if weighted else None


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
