"""One-time tokens in the users' table, and the only module that knows their keys.

USER#<id>  TOKEN#<purpose>  the digest of the newest token, the event it was sent for, and when it was used;
                            `newest` is the newest processed request of this purpose, as time and event id
"""

from __future__ import annotations

from datetime import datetime, timedelta

from mercato.clock import epoch, rfc3339
from mercato.store.dynamo import ConditionFailed, Table, Write, delete, update
from mercato.store.expiry import ABSENT, NAMES, at
from users.one_time_token import PAUSE, OneTimeToken, Purpose

_KEPT = timedelta(days=45)  # longer than an event can be redelivered, like mercato.events.inbox


class OneTimeStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def issue(self, token: OneTimeToken, purpose: Purpose, event_id: str, asked_at: datetime, now: datetime) -> bool:
        """Replaces any earlier token. Returns False if no mail is to be sent: this event's mail was sent, a newer
        request was processed, a link was used since the request, or another mail was sent too recently.
        """
        request = _request(event_id, asked_at)
        again = "(event_id = :event AND attribute_not_exists(sent_at))"
        # Items that an earlier release wrote lack `newest` and `used_at`.
        is_newest = "(attribute_not_exists(newest) OR newest < :request)"
        is_unused = "(attribute_not_exists(used_at) OR used_at < :asked)"
        is_later = f"(event_id <> :event AND issued_at <= :earlier AND {is_newest} AND {is_unused})"
        change = update(
            *_key(token.user_id, purpose),
            "SET digest = :digest, event_id = :event, issued_at = :issued, expires_at = :expires, newest = :request, "
            "#ttl = :ttl REMOVE sent_at",
            f"{ABSENT} OR {again} OR {is_later}",
            names=NAMES,
            values=at(now)
            | {
                ":digest": token.digest,
                ":event": event_id,
                ":request": request,
                ":asked": rfc3339(asked_at),
                ":issued": rfc3339(now),
                ":expires": rfc3339(now + purpose.lifetime),
                ":earlier": rfc3339(now - PAUSE),
                ":ttl": epoch(now + _KEPT),
            },
        )
        return self._done(change)

    def pass_over(self, user_id: str, purpose: Purpose, event_id: str, asked_at: datetime) -> None:
        """Marks a request that sends no mail as processed, so that its redelivery sends none either."""
        self._done(
            update(
                *_key(user_id, purpose),
                "SET newest = :request",
                "attribute_exists(pk) AND (attribute_not_exists(newest) OR newest < :request)",
                values={":request": _request(event_id, asked_at)},
            )
        )

    def mark_sent(self, token: OneTimeToken, purpose: Purpose, now: datetime) -> None:
        """Changes nothing if the token was used or replaced in between."""
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
        """Checks the token before costly work. Only `use` decides."""
        item = self._table.get(*_key(token.user_id, purpose))
        return item is not None and item.get("digest") == token.digest and item["expires_at"] > rfc3339(now)

    def _done(self, write: Write) -> bool:
        try:
            self._table.write(write)
        except ConditionFailed:
            return False
        return True


def use(token: OneTimeToken, purpose: Purpose, now: datetime) -> Write:
    """The write for the transaction of the token's effect. The item stays, so that the event makes no second token."""
    return update(
        *_key(token.user_id, purpose),
        "SET used_at = :now, sent_at = :now REMOVE digest",
        "digest = :digest AND expires_at > :now",
        values={":now": rfc3339(now), ":digest": token.digest},
    )


def forget(user_id: str) -> list[Write]:
    return [delete(*_key(user_id, purpose)) for purpose in Purpose]


def _request(event_id: str, asked_at: datetime) -> str:
    """Requests sort by their time. The id distinguishes two of the same millisecond."""
    return f"{rfc3339(asked_at)}#{event_id}"


def _key(user_id: str, purpose: Purpose) -> tuple[str, str]:
    return f"USER#{user_id}", f"TOKEN#{purpose}"
