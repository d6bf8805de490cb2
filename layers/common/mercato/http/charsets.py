"""Decodes text in the sender's declared charset, else UTF-8. Never replaces a byte: text that is invalid in its charset
is refused, with the charset and the byte.

Labels mean what the Encoding Standard (https://encoding.spec.whatwg.org) says: ISO-8859-1 is windows-1252 on the Web.
"""

from __future__ import annotations

import codecs
import re

from mercato.errors import Malformed, UnsupportedMediaType

UTF_8 = "utf-8"

# Python's codec for each accepted name.
_CODECS = {
    "utf-8": "utf-8",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "us-ascii": "ascii",
    "iso-8859-1": "cp1252",
    "iso-8859-2": "iso8859-2",
    "iso-8859-15": "iso8859-15",
    "windows-1250": "cp1250",
    "windows-1251": "cp1251",
    "windows-1252": "cp1252",
    "windows-1253": "cp1253",
    "windows-1254": "cp1254",
    "windows-1257": "cp1257",
}
_ALIASES = {
    "ascii": "us-ascii",
    "cp1250": "windows-1250",
    "cp1251": "windows-1251",
    "cp1252": "windows-1252",
    "cp1253": "windows-1253",
    "cp1254": "windows-1254",
    "cp1257": "windows-1257",
    "latin1": "iso-8859-1",
    "latin-1": "iso-8859-1",
    "utf8": "utf-8",
    "utf-16-be": "utf-16be",
    "utf-16-le": "utf-16le",
}
_PARAMETER = re.compile(r""";\s*charset\s*=\s*["']?([^\s;,"']+)""", re.IGNORECASE)
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16le"), (codecs.BOM_UTF16_BE, "utf-16be"))


class UnsupportedCharset(UnsupportedMediaType):
    """The body declares a charset that is not supported."""


def declared(content_type: str | None) -> str | None:
    """The charset of a Content-Type header; None if it names none. Raises UnsupportedCharset."""
    found = _PARAMETER.search(content_type or "")
    if found is None:
        return None
    label = found[1].lower()
    name = _ALIASES.get(label, label)
    if name not in _CODECS:
        raise UnsupportedCharset(f"The charset {label[:40]!r} is not taken; use UTF-8, or one of {', '.join(_CODECS)}.")
    return name


def decode(body: bytes, charset: str) -> str:
    """The whole body as text, with its byte order mark. `charset` is a result of `declared`. Raises Malformed."""
    try:
        return body.decode(_CODECS[charset])
    except UnicodeDecodeError as error:
        byte = f"0x{body[error.start]:02x}"
        raise Malformed(
            f"The body is not {charset.upper()}: byte {error.start} ({byte}) cannot be read. Send UTF-8, or name the "
            "charset in Content-Type."
        ) from None


def decode_file(body: bytes, charset: str | None) -> str:
    """A file as text, without its byte order mark. The mark decides its charset, then `charset`, else it is UTF-8.

    Raises Malformed.
    """
    for mark, name in _MARKS:
        if body.startswith(mark):
            return decode(body, name).removeprefix("\ufeff")
    return decode(body, charset or UTF_8)
