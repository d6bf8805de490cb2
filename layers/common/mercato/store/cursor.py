"""Opaque cursors: the key of the last item, bound to its list."""

from __future__ import annotations

import base64
import binascii
import json

from mercato.store.attributes import Item
from mercato.store.dynamo import InvalidCursor

__all__ = ["InvalidCursor", "decode_cursor", "encode_cursor"]


def encode_cursor(next_key: Item | None) -> str | None:
    if next_key is None:
        return None
    text = json.dumps(next_key, separators=(",", ":"), ensure_ascii=False)  # escapes would make it three times as long
    return base64.urlsafe_b64encode(text.encode(errors="surrogatepass")).decode().rstrip("=")


def decode_cursor(cursor: str | None, **partition: str) -> Item | None:
    """The key in the cursor. `partition` must match, so that a cursor is valid only for its own list."""
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        key = json.loads(text)
        json.dumps(key, ensure_ascii=False).encode()  # a lone surrogate would fail in the call to DynamoDB
    except (ValueError, binascii.Error, UnicodeError, RecursionError):
        raise InvalidCursor("The cursor cannot be read; start again without one.") from None
    # DynamoDB refuses a start key with a missing or additional attribute, which would be a 500.
    expected = {"pk", "sk", *partition, *(name.removesuffix("pk") + "sk" for name in partition if name.endswith("pk"))}
    is_key = (
        isinstance(key, dict)
        and key.keys() == expected
        and all(part and isinstance(part, str) for part in key.values())
    )
    if not is_key or any(key.get(name) != value for name, value in partition.items()):
        raise InvalidCursor("The cursor belongs to another list; start again without one.")
    return dict(key)
