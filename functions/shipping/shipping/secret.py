"""The secret that signs the carrier's webhooks. Kept for five minutes, so that a rotated one is picked up."""

from __future__ import annotations

from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.errors import TransientError

_FRESH = timedelta(minutes=5)


class WebhookSecret:
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
