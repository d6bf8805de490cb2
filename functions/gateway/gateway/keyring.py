"""The public keys of access tokens: cached for five minutes, and fetched again for an unknown key."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import jwt
from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.errors import TransientError
from mercato.telemetry.logs import log

ALGORITHM = "ES256"
FRESH = 300.0
PAUSE = 30.0  # seconds between two fetches at least, however many unknown keys are named


class Keyring:
    """`fetch` returns a JWK set as text. If it fails, the cached keys stay in use."""

    def __init__(self, fetch: Callable[[], str], now: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._now = now
        self._keys: dict[str, jwt.PyJWK] = {}
        self._asked_at: float | None = None

    def find(self, key_id: str) -> jwt.PyJWK | None:
        """The key with this id, or None. Raises TransientError if there are no keys at all."""
        age = None if self._asked_at is None else self._now() - self._asked_at
        if age is None or age >= FRESH or (key_id not in self._keys and age >= PAUSE):
            self._refresh()
        return self._keys.get(key_id)

    def _refresh(self) -> None:
        try:
            self._keys = parse_keys(self._fetch())
        except (TransientError, ValueError, TypeError, KeyError, jwt.PyJWKError) as error:
            if not self._keys:
                raise TransientError(f"no public keys: {error}") from error
            log.error("the public keys cannot be read, using older ones", extra={"reason": str(error)})
        self._asked_at = self._now()


def parse_keys(text: str) -> dict[str, jwt.PyJWK]:
    """By key id. Only keys of the accepted algorithm that are meant for signatures."""
    usable = [key for key in json.loads(text)["keys"] if _is_usable(key)]
    return {key["kid"]: jwt.PyJWK(key, ALGORITHM) for key in usable}


def _is_usable(key: dict[str, Any]) -> bool:
    """RFC 7517: a key that names its use, its operations or its algorithm is valid only for these."""
    return (
        (key.get("kty"), key.get("crv")) == ("EC", "P-256")
        and key.get("use", "sig") == "sig"
        and "verify" in key.get("key_ops", ["verify"])
        and key.get("alg", ALGORITHM) == ALGORITHM
    )


def fetch_parameter(name: str) -> str:
    try:
        answer = aws.client("ssm").get_parameter(Name=name)
    except (ClientError, BotoCoreError) as error:
        raise TransientError(f"reading {name}: {error}") from error
    return str(answer["Parameter"]["Value"])
