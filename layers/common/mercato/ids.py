"""Ids: opaque strings. Random ids sort by time; derived ids make a repeated act idempotent."""

from __future__ import annotations

import hashlib
import json
import secrets
import uuid
from datetime import UTC, datetime
from typing import Any

_NAMESPACE = uuid.UUID("5d6aa9d2-6c3f-5f07-9c1e-0c6e4a2f7b11")


def new_id(now: datetime) -> str:
    """A UUID version 7 (RFC 9562): 48 bits of milliseconds, then random bits."""
    millis = int(now.astimezone(UTC).timestamp() * 1000)
    value = (millis & (2**48 - 1)) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))


def derived_id(*parts: str) -> str:
    """The same parts always give the same id (UUID version 5). Parts are length-prefixed, so that their borders
    count.
    """
    return str(uuid.uuid5(_NAMESPACE, "".join(f"{len(part)}:{part}" for part in parts)))


def fingerprint(payload: Any) -> str:
    """SHA-256 of the canonical JSON, in hex. Equal for equal requests."""
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
