"""What guests have asked for, until they confirm it, in the notifications table.

pk=USER#wish:<id>     sk=ASKED          the address, product and language; confirmed_at once confirmed, mailing while or
                                        after its mail is sent; expires
pk=USER#wish:<id>     sk=CONTACT        the address, once it is confirmed; expires after the wish
pk=ADDRESS#<digest>   sk=ASKED#<date>   how many mails guests have asked for to this address on that day; expires
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from mercato.clock import epoch, rfc3339
from mercato.events import inbox, outbox
from mercato.languages import known
from mercato.store import dynamo
from mercato.store.dynamo import ConditionFailed, Table, Write
from mercato.store.expiry import LIVE, NAMES, at, live
from notifications.domain import reader_of_wish
from notifications.events import WishAsked
from notifications.wishes.domain import CONFIRM_WITHIN, GUESTS_WISH_LASTS, MOST_ASKED, Asked, OfGuest, Wish
from notifications.wishes.store import WishStore

_ASKED = "ASKED"


class GuestWishStore:
    def __init__(self, table: Table, wishes: WishStore) -> None:
        self._table = table
        self._wishes = wishes

    def ask(self, asked: Asked, now: datetime) -> bool:
        """Stores what was asked and announces it. Returns False if the address was asked to confirm too often today."""
        stored = dynamo.put_new(
            {
                "pk": _pk(asked.wish_id),
                "sk": _ASKED,
                "email": asked.email,
                "product_id": asked.product_id,
                "name": asked.name,
                "language": asked.language,
                "ttl": epoch(now + CONFIRM_WITHIN),
            }
        )
        event = WishAsked(wish_id=asked.wish_id)
        told = outbox.record(event, service="notifications", subject=asked.wish_id, sequence=1, now=now)
        try:
            self._table.transact([count_mail(asked.email, now), stored, told])
        except ConditionFailed as failed:
            if failed.index == 0:
                return False
            raise
        return True

    def find(self, wish_id: str, now: datetime) -> Asked | None:
        """None where nothing was asked, it has expired, or its guest has ended it."""
        item = live(self._table.get(_pk(wish_id), _ASKED), now)
        if item is None:
            return None
        about = item["email"], item["product_id"], item["name"], known(item.get("language"))
        return Asked(wish_id, *about, is_confirmed="confirmed_at" in item)

    def claim_mail(self, wish_id: str, claim: str, now: datetime) -> bool:
        """The right to send the mail that asks to confirm, which one attempt has."""
        claimed = dynamo.update(
            _pk(wish_id),
            _ASKED,
            "SET mailing = :claim",
            f"{LIVE} AND (attribute_not_exists(mailing) OR mailing = :claim)",
            names=NAMES,
            values={":claim": claim} | at(now),
        )
        try:
            self._table.write(claimed)
        except ConditionFailed:
            return False
        return True

    def release_mail(self, wish_id: str, claim: str) -> None:
        """The attempt has certainly sent nothing."""
        released = dynamo.update(_pk(wish_id), _ASKED, "REMOVE mailing", "mailing = :claim", values={":claim": claim})
        try:
            self._table.write(released)
        except ConditionFailed:
            return

    def confirm(self, asked: Asked, *, is_sold_out: bool, now: datetime) -> None:
        """Makes a wish of what was asked, once. Changes nothing where the address waits for the product already.

        Raises InStock, UnknownProduct, and ReaderGone where the guest has ended it.
        """
        reader = reader_of_wish(asked.wish_id)
        guest = OfGuest(_digest(asked.email), now + GUESTS_WISH_LASTS, asked.language)
        confirmed = dynamo.update(
            _pk(asked.wish_id),
            _ASKED,
            "SET confirmed_at = :at",
            f"{LIVE} AND attribute_not_exists(confirmed_at)",
            names=NAMES,
            values={":at": rfc3339(now)} | at(now),
        )
        contact = dynamo.put(
            {
                "pk": _pk(asked.wish_id),
                "sk": "CONTACT",
                "email": asked.email,
                "name": "",
                "ttl": epoch(guest.expires_at + inbox.KEPT),
            }
        )
        wish = Wish(asked.product_id, reader, asked.name, now, guest)
        self._wishes.add_of_guest(wish, guest, [confirmed, contact], is_sold_out=is_sold_out, now=now)


def address_key(address: str) -> str:
    return f"ADDRESS#{_digest(address)}"


def count_mail(address: str, now: datetime) -> Write:
    """Counts a mail that a guest has asked for. Fails once the address was asked for too often today."""
    return dynamo.update(
        address_key(address),
        f"ASKED#{now:%Y-%m-%d}",
        "SET #ttl = :ttl ADD asked :one",
        "attribute_not_exists(asked) OR asked < :most",
        names=NAMES,
        values={":one": 1, ":most": MOST_ASKED, ":ttl": epoch(now + timedelta(days=2))},
    )


def _pk(wish_id: str) -> str:
    return f"USER#{reader_of_wish(wish_id)}"


def _digest(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()
