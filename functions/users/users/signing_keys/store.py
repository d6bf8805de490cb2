"""Stores the keys: the private set in Secrets Manager, the public one in an SSM parameter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.errors import TransientError
from mercato.ids import derived_id
from users.signing_keys.domain import KeySet, StoredKeys


class KeyStore:
    def __init__(self, secret_id: str, parameter: str) -> None:
        self._secret_id = secret_id
        self._parameter = parameter

    def load(self) -> StoredKeys | None:
        """The private set, or None before the first one is made."""
        with _as_transient("reading the signing keys"):
            try:
                answer = aws.client("secretsmanager").get_secret_value(SecretId=self._secret_id)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceNotFoundException":
                    raise
                return None  # the secret exists from the first deploy on, but has no value yet
        keys = KeySet.from_json(answer.get("SecretString", ""))
        return StoredKeys(keys, answer["VersionId"]) if keys else None

    def replace(self, keys: KeySet, version: str | None) -> bool:
        """Replaces `version` (None: no value) by `keys`. Returns False if another run was first.

        The new version's id is derived from the replaced one, and Secrets Manager refuses a second value for one id.
        """
        with _as_transient("writing the signing keys"):
            try:
                aws.client("secretsmanager").put_secret_value(
                    SecretId=self._secret_id,
                    SecretString=keys.to_json(),
                    ClientRequestToken=derived_id("signing-keys", self._secret_id, version or ""),
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceExistsException":
                    raise
                return False
        return True

    def published(self) -> dict[str, Any]:
        """The JWK set as the authorizer reads it; without keys before the first publication."""
        with _as_transient("reading the public keys"):
            try:
                answer = aws.client("ssm").get_parameter(Name=self._parameter)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ParameterNotFound":
                    raise
                return {"keys": []}
        found: dict[str, Any] = json.loads(answer["Parameter"]["Value"])
        return found

    def publish(self, keys: KeySet) -> bool:
        """Returns True if the published set has changed."""
        if self.published() == keys.public():
            return False
        with _as_transient("publishing the keys"):
            aws.client("ssm").put_parameter(
                Name=self._parameter, Value=json.dumps(keys.public()), Type="String", Overwrite=True
            )
        return True


@contextmanager
def _as_transient(what: str) -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise TransientError(f"{what}: {error}") from error
