"""What people may write into a field, as patterns that a schema can state.

No control characters: they would reach parcels' labels, e-mail headers and logs.
"""

from __future__ import annotations

# One line with something to see in it.
LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*[^\s\x00-\x1f\x7f-\x9f\u2028\u2029][^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
# Any number of lines, also none.
TEXT = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
# What a machine made: visible ASCII.
TOKEN = r"^[!-~]*$"  # noqa: S105

WORDS = {
    LINE: "must be one line of text, without control characters",
    TEXT: "must be text without control characters",
    TOKEN: "may have visible ASCII characters only",
    r"^[A-Za-z0-9_-]*$": "must be a `next_cursor` that was answered",
    r"^[A-Z]{3}$": "must be an ISO 4217 code, such as GBP",
}
