"""Folds texts for sorting, cuts them into words for the search index, and matches them with a search.

The rules depend on the script: a mark is an ornament in one script and makes another letter in the next. RULES is the
rules' number. Each product stores the number of the rules that made its entries, so that a later change removes exactly
these entries (store.py). `mercato products reindex` writes the entries of an existing catalogue again.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence

from mercato.dataclass import dataclass
from mercato.text import IGNORABLE

RULES = 2
MAX_TERMS = 40
MAX_LENGTH = 40

# Trade marks are not letters, a numero sign is a word, and a space separates a fraction from the number before it.
_SIGNS = str.maketrans(
    {"™": " ", "℠": " ", "№": " no "} | {fraction: f" {fraction}" for fraction in "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅟↉"}
)
# Letters without a decomposition into the letters that people type instead. Persian keyboards write two Arabic
# letters with code points of their own.
_LETTERS = str.maketrans(
    {"ı": "i", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "æ": "ae", "œ": "oe", "þ": "th"}
    | {"ی": "ي", "ک": "ك", "\u0640": None}
)
_APOSTROPHES = str.maketrans("", "", "'’`´ʼʻ׳״")
_IGNORED = re.compile(f"[{IGNORABLE}]")
# Arabic vowel points, and the signs of recitation. The hamza and the madda make other letters: they stay.
_ARABIC_POINTS = re.compile("[\u0610-\u061a\u064b-\u0652\u0670\u06d6-\u06ed]")
_CYRILLIC_VOWELS, _STRESS = "аеиоуыэюяіїє", "\u0300\u0301"
_UNMARKED = {"LATIN", "GREEK", "HEBREW"}
_UNSPACED = {"CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "BOPOMOFO"}
_UNSPACED |= {"THAI", "LAO", "KHMER", "MYANMAR", "TAI"}
_HYPHENS = "-‐"
# Patterns over a text's shape (see _shape): a word with the signs of C# and C++, a word, a run without spaces.
_ONE = r"(?:[wd]*w\++(?![+wdu])|[wd]+|u+)"
_WORD = re.compile(_ONE)
_COMPOUND = re.compile(rf"{_ONE}(?:-{_ONE})*")


def fold(text: str, rules: int = RULES) -> str:
    """The text in lower case, with single spaces, and without the marks that its script can omit.

    - Latin and Greek letters and digits lose their marks, Hebrew its points, Arabic its vowel points and tatweel.
    - Cyrillic vowels lose a stress mark, and ё is е, as most Russian texts write it. й, ї, ў, ѓ and ќ are letters.
    - All other scripts keep their marks: an Indic or Thai vowel sign, or a Japanese voicing mark, makes another word.
    - Compatibility forms (full-width, ligatures, units) are the letters that they stand for; digits are ASCII.
    """
    if rules == 1:
        return _fold_by_first_rules(text)
    if not text.isascii():
        text = unicodedata.normalize("NFKD", _IGNORED.sub("", text).translate(_SIGNS)).casefold()
        text = _IGNORED.sub("", unicodedata.normalize("NFKD", text)).translate(_LETTERS)
        text = unicodedata.normalize("NFC", "".join(_without_marks(text)))
    return " ".join(text.casefold().split())


def _without_marks(decomposed: str) -> Iterator[str]:
    base = ""
    for character in decomposed:
        category = unicodedata.category(character)
        if category[0] != "M":
            base = character if category[0] == "L" else ""
            yield str(unicodedata.decimal(character)) if category == "Nd" else character
        elif base and _keeps(base, character):
            yield character


def _keeps(base: str, mark: str) -> bool:
    script = _script(base)
    if script == "CYRILLIC":
        return (base, mark) != ("е", "\u0308") and not (base in _CYRILLIC_VOWELS and mark in _STRESS)
    if script == "ARABIC":
        return not _ARABIC_POINTS.match(mark)
    return script not in _UNMARKED


@functools.lru_cache(10_000)
def _script(letter: str) -> str:
    """The first word of the letter's Unicode name: CJK, LATIN, THAI."""
    return unicodedata.name(letter, "").partition(" ")[0]


def is_unspaced(word: str) -> bool:
    """Whether the word is a run of a script without spaces, in which a word may begin anywhere."""
    return _script(word[0]) in _UNSPACED


def is_sign_script(word: str) -> bool:
    """Whether one character of the word's script says as much as several of an alphabet."""
    return is_unspaced(word) or _script(word[0]) == "HANGUL"


def _shape(folded: str) -> str:
    """One character per character: w letter, d digit, u letter of a script without spaces. A mark gets the class of the
    character before it.
    """
    shape: list[str] = []
    for character in folded:
        category = unicodedata.category(character)
        if category[0] == "M":
            shape.append(shape[-1] if shape and shape[-1] in "wdu" else " ")
        elif category[0] == "L" or category == "Nl":
            shape.append("u" if is_unspaced(character) else "w")
        elif category[0] == "N":
            shape.append("d")
        else:
            shape.append("-" if character in _HYPHENS else "+" if character in "+#" else " ")
    return "".join(shape)


def _compounds(text: str) -> list[list[str]]:
    """The words of a text in its order. Words that hyphens join are in one list."""
    folded = fold(text.translate(_APOSTROPHES)).translate(_APOSTROPHES)
    shape = _shape(folded)
    return [
        [folded[part.start() : part.end()] for part in _WORD.finditer(shape, *compound.span())]
        for compound in _COMPOUND.finditer(shape)
    ]


def _joined(compound: list[str]) -> list[str]:
    """The joined word of a compound, if it has one: "T-shirt" gives "tshirt", but "10-20" does not give "1020"."""
    joined = "".join(compound)
    if joined.isdecimal() or any(is_unspaced(part) or part[-1] in "+#" for part in compound):
        return compound
    return [joined]


def words_of(text: str) -> tuple[str, ...]:
    """The distinct words of a text, in its order: "Children's T-LIGHT" is childrens, t, light."""
    return tuple(dict.fromkeys(part for compound in _compounds(text) for part in compound))


def index_words(text: str, rules: int = RULES) -> tuple[str, ...]:
    """The words of a text, then their other spellings: the parts of a compound joined, "Disney+" without its sign."""
    if rules == 1:
        return _words_by_first_rules(text)
    compounds = _compounds(text)
    words = [part for compound in compounds for part in compound]
    joined = [word for compound in compounds for word in _joined(compound)]
    unsigned = [bare for word in words if len(bare := word.rstrip("+#")) > 1]
    return tuple(dict.fromkeys(words + joined + unsigned))


def index_terms(words: Iterable[str]) -> list[tuple[str, int]]:
    """The terms that the index stores for a product's words, in the index's order.

    A term is a word, or the rest of a run without spaces from any of its characters, cut to MAX_LENGTH characters. At
    most MAX_TERMS in all. The number is how many characters a term shares with the term before it: for any longer
    prefix it is the first term.
    """
    words = list(words)
    terms = dict.fromkeys(word[:MAX_LENGTH] for word in words)
    for word in filter(is_unspaced, words):
        for start in range(1, len(word)):
            if len(terms) >= MAX_TERMS:
                break
            if not _is_mark(word[start]):
                terms[word[start : start + MAX_LENGTH]] = None
    found = sorted(list(terms)[:MAX_TERMS])
    return [(term, _common(before, term)) for before, term in zip(["", *found], found, strict=False)]


def _common(one: str, other: str) -> int:
    """The length of the longest common prefix."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


@dataclass(frozen=True)
class Asked:
    """A search. A product matches if it has all words of `whole`, one of its words begins with `prefix`, and each text
    of `inside` occurs in one of its words.
    """

    whole: tuple[str, ...]
    prefix: str
    inside: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> Asked | None:
        """Reads the last word as a prefix unless a space follows it. None if the text has no word."""
        return cls._of([part for compound in _compounds(text) for part in compound], text)

    @classmethod
    def readings(cls, text: str) -> tuple[Asked, ...]:
        """Searches a compound by its parts and joined: "t-shirt" finds "T shirt" and "Tshirt"."""
        compounds = _compounds(text)
        joined = [word for compound in compounds for word in _joined(compound)]
        readings = (cls.read(text), cls._of(joined, text))
        return tuple(dict.fromkeys(reading for reading in readings if reading))

    @classmethod
    def _of(cls, words: list[str], text: str) -> Asked | None:
        if not words:
            return None
        spaced = [word for word in words if not is_unspaced(word)]
        prefix = spaced.pop() if spaced and words[-1] == spaced[-1] and not text[-1].isspace() else ""
        inside = dict.fromkeys(word for word in words if is_unspaced(word))
        return cls(tuple(dict.fromkeys(spaced)), prefix, tuple(inside))

    @property
    def driver(self) -> str:
        """The word whose index entries are read: the longest, since it is probably the rarest."""
        return max((*self.whole, *self.inside, self.prefix), key=len)

    @property
    def driver_is_prefix(self) -> bool:
        return self.driver not in self.whole

    def matches(self, words: Collection[str]) -> bool:
        return (
            all(word in words for word in self.whole)
            and any(word.startswith(self.prefix) for word in words)
            and all(any(_stands_in(part, word) for word in words) for part in self.inside)
        )

    def is_first_entry(self, term: str, words: Sequence[str], shared: int | None = None) -> bool:
        """Whether the term is the product's first with the prefix. Only that one counts, so that a product is found
        once.

        `shared` is the number from index_terms. Entries of the first rules, whose terms are the words, have none.
        """
        driver = self.driver[:MAX_LENGTH]
        if not self.driver_is_prefix:
            return term == driver
        if shared is None:
            return term == min(word for word in words if word.startswith(driver))
        return len(driver) > shared


def _stands_in(part: str, word: str) -> bool:
    """Whether `part` ends at a whole character of `word`: สี does not occur in สี่."""
    start = word.find(part)
    while start >= 0:
        end = start + len(part)
        if end == len(word) or not _is_mark(word[end]):
            return True
        start = word.find(part, start + 1)
    return False


def _fold_by_first_rules(text: str) -> str:
    """Folds by the first rules, only to find the keys of products that were not written since."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(letter for letter in decomposed if not unicodedata.combining(letter)).split())


def _words_by_first_rules(text: str) -> tuple[str, ...]:
    found = re.findall(r"[^\W_]+", _fold_by_first_rules(text.translate(str.maketrans("", "", "'’`´"))))
    return tuple(dict.fromkeys(word[:40] for word in found))[:20]
