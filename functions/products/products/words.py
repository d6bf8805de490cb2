"""Words: how a text is folded for sorting, cut into words for the search index, and matched against what was asked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass

MAX_WORDS = 20
MAX_ASKED = 8
_MAX_LENGTH = 40
_WORD = re.compile(r"[^\W_]+")
_APOSTROPHES = str.maketrans("", "", "'’`´")


def fold(text: str) -> str:
    """Without case, accents and doubled spaces, so that texts which read the same compare the same."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(letter for letter in decomposed if not unicodedata.combining(letter)).split())


def words_of(text: str, at_most: int = MAX_WORDS) -> tuple[str, ...]:
    """The distinct words of a text, in its order: "Children's T-LIGHT" is childrens, t, light."""
    found = (word[:_MAX_LENGTH] for word in _WORD.findall(fold(text.translate(_APOSTROPHES))))
    return tuple(dict.fromkeys(found))[:at_most]


@dataclass(frozen=True)
class Asked:
    """A search: all of `whole` must be words of a product, and one of its words must begin with `prefix`."""

    whole: tuple[str, ...]
    prefix: str

    @classmethod
    def read(cls, text: str) -> Asked | None:
        """The last word may still be being typed, unless a space follows it. None where there is no word at all."""
        words = words_of(text, MAX_ASKED)
        if not words:
            return None
        return cls(words, "") if text[-1].isspace() else cls(words[:-1], words[-1])

    @property
    def driver(self) -> str:
        """The word whose index entries are read: the longest, as the likeliest to be rare."""
        return max((*self.whole, self.prefix), key=len)

    @property
    def driver_is_prefix(self) -> bool:
        return self.driver not in self.whole

    def matches(self, words: Collection[str]) -> bool:
        return all(word in words for word in self.whole) and any(word.startswith(self.prefix) for word in words)

    def is_first_entry(self, word: str, words: Sequence[str]) -> bool:
        """Of several words of one product with the prefix, the first alone counts, so that it is found once."""
        return not self.driver_is_prefix or word == min(other for other in words if other.startswith(self.prefix))
