"""E-mail addresses in the one form in which they are stored, compared and sent to."""

from __future__ import annotations

import re
import unicodedata

from mercato.errors import Invalid

MAX_EMAIL, MAX_LOCAL = 254, 64
_MOST_READ = 1000
# Scripts that are written together: the first words of the letters' Unicode names.
_WRITTEN_TOGETHER = [
    {"LATIN", "CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"},
    {"LATIN", "CJK", "HANGUL"},
    {"LATIN", "CJK", "BOPOMOFO"},
]

_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(rf"(?P<local>{_ATOM}(?:\.{_ATOM})*)@(?:{_LABEL}\.)+(?!\d+$){_LABEL}")


class InvalidEmail(Invalid):
    """The text is not an e-mail address that can receive mail."""


def read_email(text: str) -> str:
    """The address in its canonical form, for storing, comparing and sending: the domain as IDNA's A-labels.

    The part before the @ must be ASCII, since SES does not support SMTPUTF8 (RFC 6531).
    """
    local, at, domain = unicodedata.normalize("NFKC", text[:_MOST_READ]).strip().rpartition("@")
    if not local.isascii():
        raise InvalidEmail("No mail can be sent to an address with such letters before the @: they must be ASCII.")
    email = local.lower() + at + (domain.lower() if domain.isascii() else _to_ascii(domain))
    match = _EMAIL.fullmatch(email) if len(email) <= MAX_EMAIL else None
    if match is None or len(match["local"]) > MAX_LOCAL:
        raise InvalidEmail("This is not an e-mail address.")
    return email


def _to_ascii(domain: str) -> str:
    """The A-labels of an international domain. Refuses a label that mixes scripts, since it may imitate another."""
    import idna  # tables of some 200 KB that hardly any address needs

    try:
        found = idna.encode(domain, uts46=True, std3_rules=True).decode()
        labels = idna.decode(found).split(".")
    except idna.IDNAError:
        raise InvalidEmail(
            "This is not an e-mail address: its domain has characters that no domain may have."
        ) from None
    for label in labels:
        scripts = {unicodedata.name(letter).partition(" ")[0] for letter in label if letter.isalpha()}
        if len(scripts) > 1 and not any(scripts <= together for together in _WRITTEN_TOGETHER):
            raise InvalidEmail("This is not an e-mail address: a part of its domain mixes letters of several scripts.")
    return found
