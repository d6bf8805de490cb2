"""A secret in Secrets Manager, read at its first use and again every five minutes, so that a rotation takes effect."""

from __future__ import annotations

from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.errors import TransientError

_FRESH = timedelta(minutes=5)


class StoredSecret:
    """`what` names the secret in errors, such as "the webhook secret"."""

    def __init__(self, secret_id: str, what: str = "the webhook secret") -> None:
        self._secret_id = secret_id
        self._what = what
        self._value = ""
        self._expires: datetime | None = None

    def read(self, now: datetime) -> str:
        """Raises TransientError, also if the secret has no value yet."""
        if self._expires is None or now >= self._expires:
            try:
                answer = aws.client("secretsmanager").get_secret_value(SecretId=self._secret_id)
            except (ClientError, BotoCoreError) as error:
                raise TransientError(f"{self._what} cannot be read: {error}") from error
            self._value, self._expires = answer["SecretString"], now + _FRESH
        return self._value

    def forget(self) -> None:
        """Drops the cached value after a refusal, so that the next use reads it again."""
        self._expires = None
