"""Opaque cursors: the key of the last item, bound to the list it belongs to."""

from __future__ import annotations

import base64
import binascii
import json

from mercato.dynamo import Item
from mercato.errors import Malformed


class InvalidCursor(Malformed):
    """The cursor is not one that this list has given out."""


def encode_cursor(next_key: Item | None) -> str | None:
    if next_key is None:
        return None
    return base64.urlsafe_b64encode(json.dumps(next_key, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, **partition: str) -> Item | None:
    """The key in the cursor. `partition` names the attributes that must match, so that no cursor opens another's list."""
    if cursor is None:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, UnicodeDecodeError):
        raise InvalidCursor("The cursor cannot be read; start again without one.") from None
    is_key = isinstance(key, dict) and {"pk", "sk"} <= key.keys() and all(isinstance(part, str) for part in key.values())
    if not is_key or any(key.get(name) != value for name, value in partition.items()):
        raise InvalidCursor("The cursor belongs to another list; start again without one.")
    return dict(key)
