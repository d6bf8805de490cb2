"""One-time tokens in the users' table, and the only place that knows their keys.

USER#<id>  TOKEN#<purpose>  the digest of the newest token, for which event it was sent, and when it was used
"""

from __future__ import annotations

from datetime import datetime, timedelta

from mercato.clock import epoch, rfc3339
from mercato.dynamo import ConditionFailed, Table, Write, delete, update
from mercato.expiry import ABSENT, NAMES, at
from users.onetime import PAUSE, OneTimeToken, Purpose

_KEPT = timedelta(days=45)  # longer than an event can be delivered again, as mercato.inbox counts


class OneTimeStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def issue(self, token: OneTimeToken, purpose: Purpose, event_id: str, now: datetime) -> bool:
        """In the place of any earlier token. False where this event's mail was sent, or another has just been."""
        again = "(event_id = :event AND attribute_not_exists(sent_at))"
        change = update(
            *_key(token.user_id, purpose),
            "SET digest = :digest, event_id = :event, issued_at = :issued, expires_at = :expires, #ttl = :ttl "
            "REMOVE sent_at",
            f"{ABSENT} OR {again} OR (event_id <> :event AND issued_at <= :earlier)",
            names=NAMES,
            values=at(now)
            | {
                ":digest": token.digest,
                ":event": event_id,
                ":issued": rfc3339(now),
                ":expires": rfc3339(now + purpose.lifetime),
                ":earlier": rfc3339(now - PAUSE),
                ":ttl": epoch(now + _KEPT),
            },
        )
        return self._done(change)

    def mark_sent(self, token: OneTimeToken, purpose: Purpose, now: datetime) -> None:
        """Where it was used or replaced meanwhile, there is nothing to mark."""
        key = _key(token.user_id, purpose)
        self._done(
            update(
                *key,
                "SET sent_at = :now",
                "digest = :digest",
                values={":now": rfc3339(now), ":digest": token.digest},
            )
        )

    def is_good(self, token: OneTimeToken, purpose: Purpose, now: datetime) -> bool:
        """For refusing before costly work. Only `use` decides."""
        item = self._table.get(*_key(token.user_id, purpose))
        return item is not None and item.get("digest") == token.digest and item["expires_at"] > rfc3339(now)

    def _done(self, write: Write) -> bool:
        try:
            self._table.write(write)
        except ConditionFailed:
            return False
        return True


def use(token: OneTimeToken, purpose: Purpose, now: datetime) -> Write:
    """For the transaction of what the token allows. The item stays, so that the event makes no second token."""
    return update(
        *_key(token.user_id, purpose),
        "SET used_at = :now, sent_at = :now REMOVE digest",
        "digest = :digest AND expires_at > :now",
        values={":now": rfc3339(now), ":digest": token.digest},
    )


def forget(user_id: str) -> list[Write]:
    return [delete(*_key(user_id, purpose)) for purpose in Purpose]


def _key(user_id: str, purpose: Purpose) -> tuple[str, str]:
    return f"USER#{user_id}", f"TOKEN#{purpose}"
