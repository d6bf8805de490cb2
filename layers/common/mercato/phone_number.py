"""Phone numbers in the one form in which they are stored, compared and written to: E.164."""

from __future__ import annotations

import re

from mercato.errors import Invalid

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")  # https://www.itu.int/rec/T-REC-E.164: at most 15 digits
_BETWEEN = re.compile(r"[\s().\-/\u00a0\u2010-\u2015]")


class InvalidNumber(Invalid):
    """The phone number is not in international format."""

    def __init__(self) -> None:
        super().__init__("Write the phone number with its country code, such as +44 20 7946 0958.")


def read_number(text: str) -> str:
    """The number in E.164 format. Raises InvalidNumber. Whether it is in use, AWS says when it is written to."""
    number = _BETWEEN.sub("", text)
    if not _E164.fullmatch(number):
        raise InvalidNumber
    return number
