"""Addresses that get no mail any more: SES reported that a mail cannot be delivered there for good, or a complaint.

pk=ADDRESS#<digest>  sk=STOP   the address, why and when it was stopped; released_at once staff has released it. Expires
                               after a year. While stopped: gsi1pk=STOPS, gsi1sk=<stopped at>#<digest>
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum

from mercato.clock import epoch, rfc3339
from mercato.dataclass import dataclass
from mercato.errors import NotFound
from mercato.store import dynamo
from mercato.store.attributes import Item
from mercato.store.cursor import decode_cursor, encode_cursor
from mercato.store.dynamo import ConditionFailed, KeyRange, Table
from mercato.store.expiry import NAMES, is_live, live
from notifications.domain import Channel

KEPT = timedelta(days=365)
_LISTED = "STOPS"


class StopNotFound(NotFound):
    """The address is not stopped."""

    def __init__(self, stop_id: str) -> None:
        super().__init__("This address is not stopped.", stop_id=stop_id)


class Reason(StrEnum):
    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    OPTED_OUT = "opted_out"


@dataclass(frozen=True)
class Stop:
    """`address` is an e-mail address or a phone number. `detail` is SES's word for the kind of bounce or complaint,
    such as NoEmail or abuse.
    """

    address: str
    reason: Reason
    detail: str
    at: datetime

    @property
    def stop_id(self) -> str:
        return _digest(self.address)

    @property
    def channel(self) -> Channel:
        return Channel.EMAIL if "@" in self.address else Channel.SMS


class Stops:
    def __init__(self, table: Table) -> None:
        self._table = table

    def stop(self, stop: Stop) -> None:
        """Idempotent. Ignores a report that is not newer than the last one, and one from before the last release."""
        written = dynamo.update(
            *_key(stop.stop_id),
            "SET email = :email, reason = :reason, detail = :detail, stopped_at = :at, gsi1pk = :listed, "
            "gsi1sk = :place, #ttl = :ttl REMOVE released_at",
            "(attribute_not_exists(stopped_at) OR stopped_at < :at) "
            "AND (attribute_not_exists(released_at) OR released_at < :at)",
            names=NAMES,
            values={
                ":email": stop.address,  # a number, too: the attribute keeps the name that it got first
                ":reason": stop.reason,
                ":detail": stop.detail,
                ":at": rfc3339(stop.at),
                ":listed": _LISTED,
                ":place": f"{rfc3339(stop.at)}#{stop.stop_id}",
                ":ttl": epoch(stop.at + KEPT),
            },
        )
        with suppress(ConditionFailed):
            self._table.write(written)

    def find(self, address: str, now: datetime) -> Stop | None:
        """None if messages may be sent there."""
        item = live(self._table.get(*_key(_digest(address))), now)
        return _stop(item) if item and "released_at" not in item else None

    def list_page(self, *, limit: int, cursor: str | None, now: datetime) -> tuple[list[Stop], str | None]:
        """The newest first."""
        start = decode_cursor(cursor, gsi1pk=_LISTED)
        page = self._table.query(_LISTED, KeyRange(forward=False), index="gsi1", limit=limit, start=start)
        return [_stop(item) for item in page.items if is_live(item, now)], encode_cursor(page.next_key)

    def release(self, stop_id: str, now: datetime) -> None:
        """Idempotent. A later report stops the address again."""
        released = dynamo.update(
            *_key(stop_id),
            "SET released_at = if_not_exists(released_at, :now) REMOVE gsi1pk, gsi1sk",
            "#ttl > :live",
            names=NAMES,
            values={":now": rfc3339(now), ":live": epoch(now)},
        )
        try:
            self._table.write(released)
        except ConditionFailed:
            raise StopNotFound(stop_id) from None


def _digest(address: str) -> str:
    return hashlib.sha256(address.lower().encode()).hexdigest()


def _key(stop_id: str) -> tuple[str, str]:
    return f"ADDRESS#{stop_id}", "STOP"


def _stop(item: Item) -> Stop:
    return Stop(item["email"], Reason(item["reason"]), item["detail"], datetime.fromisoformat(item["stopped_at"]))
