"""What people may write into a field, as patterns that a schema can state.

No control characters: they would reach parcels' labels, e-mail headers and logs. Nothing that makes text read otherwise
than it is stored: embeddings, overrides and isolates of the bidirectional algorithm, annotations, letters without a
shape, noncharacters. Joiners, which Persian, Sinhala and emoji need, are text.
"""

from __future__ import annotations

_UNSEEN = r"\u115f\u1160\u17b4\u17b5\u202a-\u202e\u2066-\u206f\u3164\ufdd0-\ufdef\uffa0\ufff0-\ufffc\ufffe\uffff"
_NO_LINE = r"\x00-\x1f\x7f-\x9f\u2028\u2029" + _UNSEEN
# Not refused, but nothing to see where it stands alone.
_BLANK = r"\s\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u2060-\u2065\u2800\ufe00-\ufe0f\ufeff"
# One line with something to see in it.
LINE = rf"^[^{_NO_LINE}]*[^{_BLANK}{_NO_LINE}][^{_NO_LINE}]*$"
# Any number of lines, also none.
TEXT = rf"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f{_UNSEEN}]*$"
# Unicode's Default_Ignorable_Code_Point: what has no shape of its own.
IGNORABLE = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# What a machine made: visible ASCII.
TOKEN = r"^[!-~]*$"  # noqa: S105
# An article's number: no spreadsheet takes it for a formula, for it begins with none of = + - @.
SKU = r"^[A-Za-z0-9(][ -~]*$"

WORDS = {
    LINE: "must be one line of text, without control characters and what hides or reorders text",
    TEXT: "must be text without control characters and what hides or reorders text",
    SKU: "must begin with a letter, a digit or (, and may have visible ASCII characters and spaces only",
    TOKEN: "may have visible ASCII characters only",
    r"^[A-Za-z0-9_-]*$": "must be a `next_cursor` that was answered",
    r"^[A-Z]{3}$": "must be an ISO 4217 code, such as GBP",
}
