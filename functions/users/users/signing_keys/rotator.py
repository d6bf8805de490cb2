"""UsersKeys: makes the signing keys after the first deploy, and rotates them on a schedule. The next key becomes the
current one, and the current one the previous. A key is published well before it signs.

Safe when repeated, concurrent, or interrupted between the two stores: a version of the secret is replaced once, the
public keys are read back from the secret, and a run that finds the two different only publishes and does not rotate.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from mercato.clock import utc_now
from mercato.invocation.schedule import scheduled
from mercato.telemetry.logs import log
from users.signing_keys.domain import KeySet, StoredKeys
from users.wiring import ports


class Keys(Protocol):
    def load(self) -> StoredKeys | None: ...
    def replace(self, keys: KeySet, version: str | None) -> bool: ...
    def publish(self, keys: KeySet) -> bool: ...


class Outcome(StrEnum):
    CREATED = "created"
    ROTATED = "rotated"
    PUBLISHED = "published"
    UNCHANGED = "unchanged"


@scheduled
def handler(event: dict[str, Any]) -> dict[str, str]:
    """Event: {"if_missing": true} only makes the first keys; any other event rotates, at most once an hour."""
    outcome = maintain_keys(ports().keys, utc_now(), if_missing=event.get("if_missing") is True)
    log.info("signing keys", extra={"outcome": outcome})
    return {"outcome": outcome}


def maintain_keys(store: Keys, now: datetime, *, if_missing: bool) -> Outcome:
    """`if_missing` only makes the first keys."""
    stored = store.load()
    if stored is None:
        made = store.replace(KeySet.make(now), None)
        _publish_stored(store)
        return Outcome.CREATED if made else Outcome.UNCHANGED
    if store.publish(stored.keys):
        return Outcome.PUBLISHED
    if if_missing or not stored.keys.may_rotate(now):
        return Outcome.UNCHANGED
    rotated = store.replace(stored.keys.rotate(now), stored.version)
    _publish_stored(store)
    return Outcome.ROTATED if rotated else Outcome.UNCHANGED


def _publish_stored(store: Keys) -> None:
    """Publishes the keys that are stored now."""
    stored = store.load()
    if stored is not None:
        store.publish(stored.keys)
