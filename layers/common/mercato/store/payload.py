"""A payload as one attribute. One JSON string is four times cheaper to read than a map of typed attributes."""

from __future__ import annotations

import json
import zlib
from typing import Any

_PLAIN = 4 * 1024  # bytes; a longer payload is deflated, since a transaction is billed twice by the kilobyte


def pack(data: Any) -> str | bytes:
    """Returns JSON, deflated if it is long."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    encoded = text.encode()
    return text if len(encoded) <= _PLAIN else zlib.compress(encoded)


def unpack(payload: str | bytes) -> Any:
    return json.loads(zlib.decompress(payload) if isinstance(payload, bytes) else payload)
