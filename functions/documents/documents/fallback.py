"""The fonts for letters that the documents' own font lacks: which files a text needs, and in which language to read it.

The files are in packages of the layer and are opened only for a text that needs them: they are 23 MB.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

_CJK = ("noto_cjk_sans_jp_regular", "NotoSansCJKjp-Regular.otf")
_EMOJI = ("manimgx_fonts", "NotoEmoji[wght].ttf")
# The first and the last letter of each block of Unicode, and its font: the part of its file's name.
_SCRIPTS = (
    (0x0900, 0x097F, "Devanagari"),
    (0x0980, 0x09FF, "Bengali"),
    (0x0A00, 0x0A7F, "Gurmukhi"),
    (0x0A80, 0x0AFF, "Gujarati"),
    (0x0B00, 0x0B7F, "Oriya"),
    (0x0B80, 0x0BFF, "Tamil"),
    (0x0C00, 0x0C7F, "Telugu"),
    (0x0C80, 0x0CFF, "Kannada"),
    (0x0D00, 0x0D7F, "Malayalam"),
    (0x0D80, 0x0DFF, "Sinhala"),
    (0x0E00, 0x0E7F, "Thai"),
    (0x0E80, 0x0EFF, "Lao"),
    (0x1000, 0x109F, "Myanmar"),
    (0x1200, 0x139F, "Ethiopic"),
    (0x1780, 0x17FF, "Khmer"),
)
_EMOJIS = range(0x1F000, 0x20000)
_FIRST_CJK = 0x1100  # Korean letters; what is no script of the table above begins at 0x2E80
# One letter of Unicode has several forms. Without a language it is drawn as in Japan.
_LANGUAGES = {"CN": "zh-hans", "SG": "zh-hans", "TW": "zh-hant", "HK": "zh-hk", "MO": "zh-hk", "KR": "ko", "KP": "ko"}


def font_files(lacking: Iterable[str]) -> list[Path]:
    """The files that have these letters, as far as there is one, each once."""
    found = dict.fromkeys(one for letter in sorted(set(lacking)) if (one := _file_of(ord(letter))))
    return [Path(str(files(package) / name)) for package, name in found]


def language_of(country: str | None) -> str | None:
    """The language whose forms the letters of an address have."""
    return _LANGUAGES.get(country or "")


def _file_of(letter: int) -> tuple[str, str] | None:
    for first, last, script in _SCRIPTS:
        if first <= letter <= last:
            return "manimgx_fonts", f"NotoSans{script}[wght].ttf"
    if letter in _EMOJIS:
        return _EMOJI
    return _CJK if letter >= _FIRST_CJK else None
