"""Tells a provider's webhook from anybody else's: HMAC-SHA256 over the timestamp, a dot and the raw body.

Headers: X-Webhook-Timestamp (epoch seconds) and X-Webhook-Signature (hex). What is older than five minutes is refused;
within them a replay is the receiver's to notice, by the id of the event.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.errors import TransientError, Unauthenticated

TIMESTAMP, SIGNATURE = "x-webhook-timestamp", "x-webhook-signature"
MAX_AGE = timedelta(minutes=5)
_FRESH = timedelta(minutes=5)


class InvalidSignature(Unauthenticated):
    """The webhook is not signed by the provider, or not now."""


def sign(secret: str, timestamp: str, body: bytes) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """`headers` in lower case. Raises InvalidSignature, which does not say what is wrong."""
    timestamp, signature = headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "")
    is_recent = (
        re.fullmatch(r"[0-9]{1,12}", timestamp) and abs(now.timestamp() - int(timestamp)) <= MAX_AGE.total_seconds()
    )
    expected = sign(secret, timestamp, body)
    if not (hmac.compare_digest(expected.encode(), signature.encode()) and is_recent):
        raise InvalidSignature("The webhook's signature is not valid.")


class WebhookSecret:
    """The secret in Secrets Manager, read when first needed and again every five minutes, so that rotation is seen."""

    def __init__(self, secret_id: str) -> None:
        self._secret_id = secret_id
        self._value = ""
        self._expires: datetime | None = None

    def read(self, now: datetime) -> str:
        if self._expires is None or now >= self._expires:
            try:
                answer = aws.client("secretsmanager").get_secret_value(SecretId=self._secret_id)
            except (ClientError, BotoCoreError) as error:
                raise TransientError(f"the webhook secret cannot be read: {error}") from error
            self._value, self._expires = answer["SecretString"], now + _FRESH
        return self._value
