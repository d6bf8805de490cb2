"""Guests who want to be reminded of their carts, in the notifications table.

pk=USER#cart:<guest>  sk=CONTACT      the address and the language of the mail, once its box was ticked; expires
pk=USER#cart:<guest>  sk=LINES        what the only reminder of the cart told, of which version, until it is put back;
                                      the digest of its address; expires
pk=ADDRESS#<digest>   sk=ASKED#<date> how many mails guests have asked for to this address on that day; expires
pk=ADDRESS#<digest>   sk=UNREMINDED   the address wants no reminders; expires after a year
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta

from mercato.clock import epoch, rfc3339
from mercato.dataclass import dataclass
from mercato.languages import Language, known
from mercato.store import dynamo, expiry
from mercato.store.attributes import Item
from mercato.store.dynamo import ConditionFailed, Table, Write
from mercato.store.expiry import NAMES, at, live
from notifications.domain import reader_of_cart
from notifications.wishes.guest_store import address_key, count_mail

CONSENT_LASTS = timedelta(days=60)  # CartReminderDays is at most 30, counted from the last change of the cart
TOLD_LASTS = timedelta(days=90)  # as long as carts keeps a guest's cart
REFUSAL_LASTS = timedelta(days=365)


@dataclass(frozen=True)
class Consent:
    guest_id: str
    email: str
    language: Language | None
    asked_at: datetime


@dataclass(frozen=True)
class LeftLine:
    product_id: str
    name: str
    quantity: int


@dataclass(frozen=True)
class Told:
    """What the reminder of a cart told, and of which version of the cart."""

    version: int
    lines: tuple[LeftLine, ...]


class GuestCarts:
    def __init__(self, table: Table) -> None:
        self._table = table

    def note(self, wish: Consent, now: datetime) -> bool:
        """Stores the wish in place of an earlier one for the cart. Idempotent.

        Returns False, and stores nothing, where the address wants no reminders or was asked for too often today, and
        where the cart's only reminder was sent or ended. Then the wish with another address ends, too: that one may
        have been mistyped.
        """
        earlier = self.find(wish.guest_id, now)
        if earlier and (earlier.email, earlier.language) == (wish.email, wish.language):
            return True
        pk = _pk(wish.guest_id)
        contact: Item = {"pk": pk, "sk": "CONTACT", "email": wish.email, "name": "", "language": wish.language}
        contact |= {"asked_at": rfc3339(wish.asked_at), "ttl": epoch(wish.asked_at + CONSENT_LASTS)}
        writes = [
            dynamo.check(pk, "UNREAD", "attribute_not_exists(closed_at)"),
            dynamo.check(pk, "LINES", expiry.ABSENT, names=NAMES, values=at(now)),
            _unless_refused(wish.email, now),
            dynamo.put(contact),
        ]
        if not earlier or earlier.email != wish.email:
            writes.append(count_mail(wish.email, now))
        try:
            self._table.transact(writes)
        except ConditionFailed:
            if earlier and earlier.email != wish.email:
                self._forget(earlier)
            return False
        return True

    def _forget(self, wish: Consent) -> None:
        """Changes nothing where another address has taken its place."""
        values = {":email": wish.email}
        with suppress(ConditionFailed):
            self._table.write(dynamo.delete(_pk(wish.guest_id), "CONTACT", "email = :email", values=values))

    def find(self, guest_id: str, now: datetime) -> Consent | None:
        item = live(self._table.get(_pk(guest_id), "CONTACT"), now)
        if item is None:
            return None
        asked_at = datetime.fromisoformat(item["asked_at"])
        return Consent(guest_id, item["email"], known(item.get("language")), asked_at)

    def drop(self, guest_id: str) -> None:
        """The guest does not want to be reminded after all. Idempotent."""
        self._table.write(dynamo.delete(_pk(guest_id), "CONTACT"))

    def is_refused(self, address: str, now: datetime) -> bool:
        """Whether the address wants no reminders, by the link in the mail about any cart."""
        return live(self._table.get(address_key(address), "UNREMINDED"), now) is not None

    def tell(self, consent: Consent, version: int, lines: Sequence[LeftLine], now: datetime) -> list[Write]:
        """Part of the transaction that adds the reminder. Fails where the cart has one, and where the address wants
        none.
        """
        told = {"version": version, "lines": [asdict(line) for line in lines], "address": address_key(consent.email)}
        key = {"pk": _pk(consent.guest_id), "sk": "LINES", "ttl": epoch(now + TOLD_LASTS)}
        return [expiry.put_new(key | told, now), _unless_refused(consent.email, now)]

    def find_told(self, guest_id: str, now: datetime) -> Told | None:
        """None also once it is put back."""
        item = live(self._table.get(_pk(guest_id), "LINES"), now)
        if item is None or "lines" not in item:
            return None
        return Told(item["version"], tuple(LeftLine(**line) for line in item["lines"]))

    def put_back(self, guest_id: str) -> None:
        """Forgets what the reminder told, and its address. The cart gets no other reminder. Idempotent."""
        names = {"#lines": "lines"}
        told = dynamo.update(_pk(guest_id), "LINES", "REMOVE #lines", "attribute_exists(pk)", names=names)
        with suppress(ConditionFailed):
            self._table.write(told)
        self.drop(guest_id)

    def refuse(self, guest_id: str, now: datetime) -> None:
        """No guest can have reminders sent to the address of this cart's from now on. Idempotent."""
        items = [live(self._table.get(_pk(guest_id), sk), now) for sk in ("CONTACT", "LINES")]
        for item in items:
            if item:
                key = {"pk": item.get("address") or address_key(item["email"]), "sk": "UNREMINDED"}
                self._table.write(dynamo.put(key | {"ttl": epoch(now + REFUSAL_LASTS)}))


def _unless_refused(address: str, now: datetime) -> Write:
    """The condition that the address has not refused reminders."""
    return dynamo.check(address_key(address), "UNREMINDED", expiry.ABSENT, names=NAMES, values=at(now))


def _pk(guest_id: str) -> str:
    return f"USER#{reader_of_cart(guest_id)}"
