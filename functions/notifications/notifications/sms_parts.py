"""Of how many parts a text message is, each of which is charged (3GPP TS 23.038 and 23.040)."""

from __future__ import annotations

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[~]|€\f")  # each takes two places
_ALONE, _JOINED = 160, 153
_UNICODE_ALONE, _UNICODE_JOINED = 70, 67


def parts_of(text: str) -> int:
    """0 for no text. One character outside the GSM alphabet makes the whole message UCS-2, whose parts are shorter."""
    if set(text) <= _BASIC | _EXTENDED:
        length, alone, joined = len(text) + sum(one in _EXTENDED for one in text), _ALONE, _JOINED
    else:
        length, alone, joined = len(text.encode("utf-16-be")) // 2, _UNICODE_ALONE, _UNICODE_JOINED
    return -(-length // alone) if length <= alone else -(-length // joined)
