"""Verifies that a webhook comes from its provider: HMAC-SHA256 over the timestamp, a dot and the raw body.

Headers: X-Webhook-Timestamp (epoch seconds) and X-Webhook-Signature (hex). A webhook older than five minutes is
refused; within them the receiver must detect a replay, by the event's id.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from mercato.errors import Unauthenticated

TIMESTAMP, SIGNATURE = "x-webhook-timestamp", "x-webhook-signature"
MAX_AGE = timedelta(minutes=5)


class InvalidSignature(Unauthenticated):
    """The webhook's signature is missing, wrong or too old."""


def sign(secret: str, timestamp: str, body: bytes) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """`headers` in lower case. Raises InvalidSignature, which gives no reason."""
    verify_any(secret, headers.get(TIMESTAMP, ""), [headers.get(SIGNATURE, "")], body, now)


def verify_any(secret: str, timestamp: str, signatures: Sequence[str], body: bytes, now: datetime) -> None:
    """Accepts one valid signature of several, since a provider signs with both secrets during a rotation. Raises
    InvalidSignature.
    """
    is_recent = (
        re.fullmatch(r"[0-9]{1,12}", timestamp) and abs(now.timestamp() - int(timestamp)) <= MAX_AGE.total_seconds()
    )
    if not (secret and is_recent):
        raise InvalidSignature("The webhook's signature is not valid.")
    expected = sign(secret, timestamp, body)
    # Only hexadecimal digits: compare_digest accepts no other text, and a sender may write them in either case.
    hexadecimal = [signature.lower() for signature in signatures if re.fullmatch(r"[0-9A-Fa-f]{64}", signature)]
    if not any(hmac.compare_digest(expected, signature) for signature in hexadecimal):
        raise InvalidSignature("The webhook's signature is not valid.")
