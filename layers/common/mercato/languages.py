"""The languages that the shop writes its messages in."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator


class Language(StrEnum):
    """By ISO 639's code."""

    EN = "en"
    DE = "de"


def known(code: object) -> Language | None:
    """None for no language, and for one that only a later release knows."""
    return Language(code) if isinstance(code, str) and code in Language else None


# Of what is read: an event or an item may come from a release that knows more languages, before this one or after it.
KnownLanguage = Annotated[Language | None, BeforeValidator(known)]


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
