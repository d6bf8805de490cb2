"""Text that people write, by its purpose, and text that only machines compare.

One rule holds for all text that people write. Characters without a visible effect are removed: blanks around the text,
soft hyphens, marks of direction (LRM, RLM), zero-width spaces, joiners and variation selectors that join or vary
nothing. Joiners that a script or an emoji needs are kept. Characters that hide or reorder text, or look different to
each reader, are refused by name. The rest is stored in NFC, the form that compares equal however it was typed.

The purposes differ in how long a text may be, and whether it may have several lines.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field
from pydantic_core import PydanticKnownError, core_schema

from mercato.dataclass import dataclass

# Unicode's Default_Ignorable_Code_Point: characters without a shape.
IGNORABLE = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_IGNORABLE = re.compile(f"[{IGNORABLE}]")
_LEFT_OUT = re.compile(r"[\u00ad\u034f\u061c\u200b\u200e\u200f\u2060-\u2064\ufeff]")
_NOT_ONE_LINE = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_NOT_TEXT = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029"
# Fillers, embeddings, overrides and isolates of the bidirectional algorithm, annotations.
_HIDING = r"\u115f\u1160\u17b4\u17b5\u202a-\u202e\u2066-\u206f\u3164\uffa0\ufff0-\ufffc"
_UNUSABLE = r"\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff"
_HIDES = re.compile(
    rf"[{_HIDING}\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
)
# White space as in ECMAScript's regular expressions, except the byte order mark, which is removed anywhere.
_AROUND = "\t\n\v\f\r \u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
_AROUND_PATTERN = r"[\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*"
# Accepted characters that show nothing by themselves.
_BLANK = r"\s\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u2060-\u2065\u2800\ufe00-\ufe0f\ufeff"
_SEEN = re.compile(f"[^{_BLANK}\U000e0100-\U000e01ef]")
_ZWNJ, _ZWJ = "\u200c", "\u200d"
_VIRAMA = 9  # canonical combining class
# Scripts whose letters change shape beside each other.
_JOINING = {"ARABIC", "SYRIAC", "MANDAIC", "NKO", "MONGOLIAN", "PHAGS-PA", "ADLAM", "HANIFI", "MANICHAEAN", "SOGDIAN"}
_VARYING = {"CJK", "IDEOGRAPHIC", "FULLWIDTH", "HIRAGANA", "KATAKANA", "MYANMAR", "PHAGS-PA"}
# The only use of tag characters: the flags of England, Scotland, Wales and other regions.
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
# Unicode keeps these for ideographs and emoji; it assigns some each year, and phones know them before this Python does.
_KEPT_FOR_LETTERS = re.compile("[\U00020000-\U0002fffd\U00030000-\U0003fffd\U0001f000-\U0001faff\U0001fc00-\U0001fffd]")
_CONTROLS = {"\0": "a null", "\t": "a tab", "\n": "a line feed", "\r": "a carriage return", "\x1b": "an escape"}

# Made by a machine: visible ASCII.
TOKEN = r"^[!-~]*$"  # noqa: S105
# An article's number. It begins with none of = + - @, so that no spreadsheet reads it as a formula.
SKU = r"^[A-Za-z0-9(][ -~]*$"
# The name of a tax class, such as standard or reduced.
TAX_CLASS = r"^[a-z][a-z0-9_-]*$"

WORDS = {
    SKU: "must begin with a letter, a digit or (, and may have visible ASCII characters and spaces only",
    TOKEN: "may have visible ASCII characters only",
    TAX_CLASS: "must begin with a small letter, and may have small letters, digits, - and _ only",
    r"^[A-Za-z0-9_-]*$": "must be a `next_cursor` that was answered",
    r"^[A-Z]{3}$": "must be an ISO 4217 code, such as GBP",
}


@dataclass(frozen=True)
class Text:
    """The rule for one purpose, as an annotation of `str`: `at_least` and `at_most` characters of the stored text, the
    former without blanks; `lines` allows several lines. Raises ValueError.
    """

    at_most: int
    at_least: int = 1
    lines: bool = False

    def normalise(self, text: str) -> str:
        """The text in its stored form. The error is a sentence about the field."""
        normalised = found = unicodedata.normalize("NFC", text)
        while (shorter := _without_what_shows_nothing(found)) != found:  # what is left out lets others meet
            found = shorter
        seen = len(_SEEN.findall(found))
        if not seen and text and self.at_least:
            raise ValueError(f"must be {self._kind} with something to see in it")
        if wrong := next(filter(self._is_wrong, _FLAG.sub("", found)), None):
            raise ValueError(self._refusal(wrong))
        if seen < self.at_least:
            raise PydanticKnownError("string_too_short", {"min_length": self.at_least})
        # With blanks and removed characters, as the contract's maxLength counts.
        if len(normalised) > self.at_most:
            raise PydanticKnownError("string_too_long", {"max_length": self.at_most})
        return found

    @property
    def _kind(self) -> str:
        return "text" if self.lines else "one line of text"

    def _is_wrong(self, character: str) -> bool:
        match unicodedata.category(character):
            case "Cc":
                return not (self.lines and character in "\n\r\t")
            case "Zl" | "Zp" | "Cs" | "Co":
                return True
            case "Cn":
                return not _KEPT_FOR_LETTERS.match(character)
            case "Cf" | "Lo" | "Mn" | "So":
                return _HIDES.match(character) is not None
        return False

    def _refusal(self, character: str) -> str:
        code = f"U+{ord(character):04X}"
        match unicodedata.category(character):
            case "Cc":
                return f"must be {self._kind}; take out {code} ({_CONTROLS.get(character, 'a control character')})"
            case "Zl" | "Zp":
                named = f"{code} {unicodedata.name(character)}"
                return f"must be {self._kind}; take out {named}" + (" or write a line break" if self.lines else "")
        name = unicodedata.name(character, "") or (
            "(a private character)" if unicodedata.category(character) == "Co" else "(not a character of Unicode)"
        )
        return (
            f"may not have {code} {name}; take it out: nothing is taken that hides or reorders text, or has no shape "
            "that all readers see"
        )

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return core_schema.no_info_after_validator_function(self.normalise, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """The pattern covers what JSON Schema can express; characters beyond U+FFFF and unassigned ones are
        refused too.
        """
        refused = (_NOT_TEXT if self.lines else _NOT_ONE_LINE) + _HIDING + _UNUSABLE
        seen = f"[^{refused}]*[^{_BLANK}{refused}]"
        found: dict[str, Any] = handler(schema) | {"maxLength": self.at_most}
        if self.at_least:
            found["minLength"] = self.at_least
        counted = {0: "", 1: seen}.get(self.at_least, f"(?:{seen}){{{self.at_least}}}")
        kind = f"{self._kind[0].upper()}{self._kind[1:]}"
        return found | {
            "pattern": f"^{_AROUND_PATTERN}{counted}[^{refused}]*{_AROUND_PATTERN}$",
            "description": f"{kind} in any script, stored in NFC without blanks around it. What shows nothing (soft "
            "hyphens, marks of direction, joiners that join nothing) is left out. Control characters, unassigned and "
            "private ones, and what hides or reorders text are refused.",
        }


@dataclass(frozen=True)
class Exact:
    """Marks text that is only compared or looked up, and is stored unchanged."""


# By purpose.
PERSON_NAME = Text(100)
PersonName = Annotated[str, PERSON_NAME]
AddressLine = Annotated[str, Text(120)]
Postcode = Annotated[str, Text(16, at_least=0)]  # empty where the country has none
RegionName = Annotated[str, Text(60)]  # or its code
Phone = Annotated[str, Text(32)]
ProductName = Annotated[str, Text(200)]
Description = Annotated[str, Text(5000, at_least=0, lines=True)]
AltText = Annotated[str, Text(250, at_least=0)]  # empty for a picture that only decorates
Reason = Annotated[str, Text(500, at_least=3)]  # an operator's, for the audit
ShortReason = Annotated[str, Text(200)]
Reference = Annotated[str, Text(80)]  # of another company's: a parcel's number
TaxClass = Annotated[str, Exact(), Field(min_length=1, max_length=40, pattern=TAX_CLASS, examples=["standard"])]
# Folded to words, never stored and never shown; a trailing space means that the last word is complete.
SearchQuery = Annotated[
    str,
    Exact(),
    Field(
        max_length=200,
        description="Words of a name or sku, in any form. The last may be a beginning, unless a space follows it.",
    ),
]
# users.domain.read_email checks it: at a log-in, an invalid address must be answered like an unknown one.
EmailAddress = Annotated[
    str,
    Exact(),
    Field(
        max_length=254,
        description="ASCII before the @; the domain may have letters of any script. Stored in lower case and NFKC, "
        "without blanks around it, the domain as IDNA's A-labels: xn--mnchen-3ya for münchen.",
        examples=["ada@example.com"],
    ),
]


# What mail programs make a link of: an address with // or www, one of a mailbox, and a bare name of a host.
_LINK = re.compile(r"//|www\.|[@＠]|[^\s.][.。．｡][^\s.\d]{2,}", re.IGNORECASE)


def greeting_name(name: str) -> str:
    """Returns the name on one line, for the greeting of a mail, or an empty text if the name holds a link.

    A stranger can register or order with another person's address, and chooses the name. The mail goes to that person,
    so a link in the name would be the stranger's link in a mail of the shop.
    """
    greeted = " ".join(name.split())
    return "" if _LINK.search(greeted) else greeted


def _without_what_shows_nothing(text: str) -> str:
    return unicodedata.normalize("NFC", "".join(_with_what_counts(text))).strip(_AROUND)


def _with_what_counts(text: str) -> Iterator[str]:
    """The text without characters that have no visible effect."""
    if text.isascii():
        yield text
        return
    before = letter = ""  # the character before, and the last that is no mark
    for place, character in enumerate(text):
        if _IGNORABLE.match(character) and not _is_needed(text, place, before, letter):
            continue
        yield character
        before = character
        if unicodedata.category(character)[0] != "M":
            letter = character


def _is_needed(text: str, place: int, before: str, letter: str) -> bool:
    character = text[place]
    if character in (_ZWNJ, _ZWJ):
        return _joins(character, text[place + 1 : place + 17], before, letter)
    if "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef":
        return _varies(before, character)
    if "\u180b" <= character <= "\u180f":
        return _script(before) == "MONGOLIAN"
    return not _LEFT_OUT.match(character)


def _joins(joiner: str, rest: str, before: str, letter: str) -> bool:
    """IDNA's CONTEXTJ rules (RFC 5892, A.1 and A.2), by script instead of joining type; also within emoji.

    In addition: before a virama, as in Bengali, and for the non-final form of an Arabic letter at the end of a word.
    """
    if not before:
        return False
    after = rest[:1]
    if unicodedata.combining(before) == _VIRAMA or (after and unicodedata.combining(after) == _VIRAMA):
        return True
    if joiner == _ZWJ and _is_emoji(before) and _is_emoji(after):
        return True
    following = next((one for one in rest if unicodedata.category(one)[0] != "M" and not _IGNORABLE.match(one)), "")
    sides = [_script(letter) in _JOINING, _script(following) in _JOINING]
    return any(sides) if joiner == _ZWJ else all(sides)


def _varies(base: str, selector: str) -> bool:
    """Whether the selector varies the base: emoji, also those made of digits; ideographs in Japanese names; a
    few scripts.
    """
    if selector in "\ufe0e\ufe0f":
        return _is_emoji(base) or (base != "" and base in "#*0123456789‼⁉ℹ〰")
    if selector > "\uffff":
        return _script(base) == "CJK" or bool(_KEPT_FOR_LETTERS.match(base))
    return _script(base) in _VARYING or (base != "" and unicodedata.category(base) == "Sm")


def _is_emoji(character: str) -> bool:
    return character != "" and (
        unicodedata.category(character) in ("So", "Sm", "Sk")
        or character == "\ufe0f"
        or "\U0001f000" <= character <= "\U0001ffff"
    )


def _script(character: str) -> str:
    """The first word of the character's Unicode name, such as ARABIC; "" if it has no name."""
    return unicodedata.name(character, "").partition(" ")[0] if character else ""
