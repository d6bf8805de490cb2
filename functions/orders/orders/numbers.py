"""The order number, which people read, write and say: nine random characters and one check character, K7QF2-M9X40.

The alphabet is Crockford's base 32, without I, L, O and U. A character is an element of the field GF(32), which the
polynomial x^5 + x^2 + 1 makes. The number is the polynomial of its characters, and its value at x is zero. A character
at place i counts x^i times, and no two of the first 31 powers of x are equal. So a wrong character, and a swap of any
two different ones, leave a value that is not zero.

Nine characters are 45 random bits: nobody can guess the number of another order, and of a million orders the next one
draws a taken number once in 35 million times. The number alone opens no order.
"""

from __future__ import annotations

import re
import secrets

from mercato.errors import Invalid

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 10
_HALF = LENGTH // 2
_SEPARATORS = re.compile(r"[\s\-\u2010-\u2015\u2212.]+")
_ALIKE = str.maketrans("OIL", "011")
_MODULUS = 0b100101


class MistypedOrderNumber(Invalid):
    """The text is no order number: a character is wrong, missing or in another's place."""


def draw_number() -> str:
    characters = [secrets.randbelow(len(ALPHABET)) for _ in range(LENGTH - 1)]
    return _written("".join(ALPHABET[one] for one in (*characters, _times_x(_value(characters)))))


def parse_number(text: str) -> str:
    """The number as it is stored, from how people type it: in any case, with or without separators, with O for 0 and I
    or L for 1. Raises MistypedOrderNumber.
    """
    typed = _SEPARATORS.sub("", text).upper().translate(_ALIKE)
    is_written_right = len(typed) == LENGTH and all(one in ALPHABET for one in typed)
    if not is_written_right or _value([ALPHABET.index(one) for one in typed]):
        raise MistypedOrderNumber(
            "This is no order number. It has ten letters and digits, such as K7QF2-M9X40; please compare each of them."
        )
    return _written(typed)


def _written(characters: str) -> str:
    return f"{characters[:_HALF]}-{characters[_HALF:]}"


def _value(characters: list[int]) -> int:
    """The value at x of the polynomial with these coefficients, the last one being the constant."""
    value = 0
    for one in characters:
        value = _times_x(value) ^ one
    return value


def _times_x(element: int) -> int:
    doubled = element << 1
    return doubled ^ _MODULUS if doubled > 0b11111 else doubled
