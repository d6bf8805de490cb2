"""The idle carts: read by the day of their last change, and removed from the index when they are published.

SWEEP#CARTS   TURN   the cart with which the last run began (mercato.store.round_robin)
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from carts.events import CartAbandoned
from carts.store import SHARDS, Carts, cart_key, idle_partition, line_key
from mercato.clock import rfc3339
from mercato.dataclass import dataclass
from mercato.events import outbox
from mercato.guests import guest_of, is_guest
from mercato.store import dynamo
from mercato.store.dynamo import ConditionFailed, KeyRange, Table
from mercato.store.round_robin import RoundRobin

# A sweeper that did not run for a week still finds all idle carts.
_DAYS = 8


@dataclass(frozen=True)
class IdleCart:
    """`customer_id` is that of a guest, too, whose `cart_id` is a secret. `sort_key` is the sort key in the index; the
    next change replaces it. `place` is its position among all carts.
    """

    cart_id: str
    customer_id: str
    version: int
    sort_key: str
    place: str

    @property
    def public_id(self) -> str:
        """The cart's id for events and logs: of a guest's, the guest's."""
        return self.customer_id if is_guest(self.customer_id) else self.cart_id


class IdleCarts:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._turns = RoundRobin(table, "CARTS")

    def untouched_since(self, moment: datetime) -> Iterator[IdleCart]:
        """The carts that are not published yet, starting after the cart with which the last run began."""
        return self._turns.in_turn(lambda place: self._behind(place, moment), lambda cart: cart.place)

    def begin(self, cart: IdleCart) -> None:
        self._turns.begin(cart.place)

    def _behind(self, place: str, moment: datetime) -> Iterator[IdleCart]:
        to = f"{rfc3339(moment)}#~"
        for day in (moment.date() - timedelta(days=back) for back in reversed(range(_DAYS))):
            for partition in (idle_partition(day, shard) for shard in range(SHARDS)):
                begun, _, after = place.partition(" ")
                if partition < begun:
                    continue
                start = after if partition == begun else "0"
                if start >= to:
                    continue
                for item in self._table.query_all(partition, KeyRange(between=(start, to)), index="gsi1"):
                    if (found := f"{partition} {item['gsi1sk']}") > place:
                        cart_id = item["pk"].removeprefix(cart_key(""))
                        customer_id = item.get("customer_id") or guest_of(cart_id)
                        yield IdleCart(cart_id, customer_id, item["version"], item["gsi1sk"], found)

    def announce(self, cart: IdleCart, now: datetime) -> bool:
        """Publishes the cart once: the transaction writes the event and removes the cart from the index. Returns False
        if the cart was changed, published or ordered in between, and if it is empty.
        """
        leave = dynamo.update(
            cart_key(cart.cart_id),
            "CART",
            "REMOVE gsi1pk, gsi1sk",
            "gsi1sk = :sort_key",
            values={":sort_key": cart.sort_key},
        )
        lines = Carts(self._table).lines_of(cart.cart_id, now)
        abandoned = CartAbandoned(cart_id=cart.public_id, customer_id=cart.customer_id)
        event = outbox.record(abandoned, service="carts", subject=cart.public_id, sequence=cart.version, now=now)
        writes = [leave]
        if lines:  # an order removes lines without changing the head, so check that the first line still exists
            held = dynamo.check(cart_key(cart.cart_id), line_key(lines[0].product_id), "attribute_exists(pk)")
            writes += [held, event]
        try:
            self._table.transact(writes)
        except ConditionFailed:
            return False
        return bool(lines)
