"""Sessions in the users' table, and the only module that knows their keys.

FAMILY#<id>  SESSION  a session, as digests of its refresh tokens
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mercato.clock import epoch, rfc3339
from mercato.store.attributes import Item
from mercato.store.dynamo import ConditionFailed, Table, put, update
from users.sessions.domain import Family, NotNewest, RefreshToken


class SessionStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def open(self, token: RefreshToken, user_id: str, session_epoch: int, expires_at: datetime) -> None:
        item = {
            "pk": _family(token.family_id),
            "sk": "SESSION",
            "user_id": user_id,
            "digest": token.digest,
            "session_epoch": session_epoch,
            "expires_at": rfc3339(expires_at),
            "ttl": epoch(expires_at),
        }
        # The client library may retry after a lost response, so the same session may exist, but no other.
        is_ours = "attribute_not_exists(pk) OR digest = :digest"
        self._table.write(put(item, is_ours, values={":digest": token.digest}))

    def rotate(self, token: RefreshToken, salt: str, now: datetime) -> Family:
        """Replaces `token` by its successor. Raises NotNewest if it is not the newest of a live session."""
        change = update(
            _family(token.family_id),
            "SESSION",
            "SET digest = :new, previous_digest = :old, salt = :salt, rotated_at = :now",
            "digest = :old AND attribute_not_exists(revoked_at) AND expires_at > :now",
            values={":new": token.successor(salt).digest, ":old": token.digest, ":salt": salt, ":now": rfc3339(now)},
        )
        try:
            item = self._table.write(change, return_values="ALL_NEW")
        except ConditionFailed as failed:
            raise NotNewest(_session(token.family_id, failed.item) if failed.item else None) from None
        return _session(token.family_id, item or {})

    def revoke(self, family_id: str, now: datetime) -> None:
        """Ends the session. Idempotent, also for an unknown session."""
        change = update(
            _family(family_id),
            "SESSION",
            "SET revoked_at = :now",
            "attribute_exists(pk) AND attribute_not_exists(revoked_at)",
            values={":now": rfc3339(now)},
        )
        try:
            self._table.write(change)
        except ConditionFailed:
            return


def _family(family_id: str) -> str:
    return f"FAMILY#{family_id}"


def _session(family_id: str, item: Item) -> Family:
    return Family(
        family_id=family_id,
        user_id=item["user_id"],
        digest=item["digest"],
        session_epoch=item.get("session_epoch", 0),
        expires_at=datetime.fromisoformat(item["expires_at"]),
        previous_digest=item.get("previous_digest"),
        salt=item.get("salt"),
        rotated_at=_moment(item.get("rotated_at")),
        revoked_at=_moment(item.get("revoked_at")),
    )


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
