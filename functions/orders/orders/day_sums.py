"""Sums of all orders by day and currency: a read model folded from the orders' facts.

Each fact counts on the day, in UTC, on which it happened, so that the sums of a day that is over change no more.

Keys, in the orders' table. A generation is one whole fold; a rebuild makes the next one beside the live one.
- what is summed of an order: pk=order#<id>, sk=SUMMED#<generation>, with the version up to which its facts are summed
- the sums: pk=DAYS#<generation>#<shard>, sk=<day>#<currency>; the shard follows from the order's id
- which generations there are: pk=DAYS, sk=GENERATIONS

The position and the sums change in one transaction, on the condition that the position has not moved. So an event only
says that an order has moved: duplicates, and events in any order, sum each fact once.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, date

from mercato.dataclass import dataclass
from mercato.errors import Invalid, TransientError
from mercato.money import Money
from mercato.store import dynamo
from mercato.store.attributes import Item
from mercato.store.dynamo import ConditionFailed, KeyRange, Table, Write
from mercato.store.event_store import EventStore
from mercato.store.stored_event import StoredEvent
from orders.facts import Fact, OrderCancelled, OrderPlaced, OrderRefunded, Recorded, read_fact

SHARDS = 8
_ATTEMPTS = 5
_MOST_DAYS = 90  # days of one order in one transaction, which takes 100 writes
_GENERATIONS = ("DAYS", "GENERATIONS")


MOST_DAYS = 366


class DaysOutOfRange(Invalid):
    """The first day is after the last, or the days are more than a year."""


@dataclass(frozen=True)
class Sums:
    """Of one day and currency. Amounts are minor units.

    `gross` is the total of the `orders` placed that day, `cancelled_amount` that of the `cancelled` ones, whenever they
    were placed, and `refunded` the money that went back that day.
    """

    orders: int = 0
    gross: int = 0
    cancelled: int = 0
    cancelled_amount: int = 0
    refunded: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


Days = dict[tuple[str, str], Sums]  # by day, as 2026-11-28, and currency


def fold(facts: Iterable[Recorded], total: Money | None = None) -> tuple[Days, Money | None]:
    """The sums of consecutive facts of one order, and its total, which is given unless the first fact is among them."""
    days: Days = {}
    for recorded in facts:
        total = recorded.fact.total if isinstance(recorded.fact, OrderPlaced) else total
        if total is not None and (counted := _counted(recorded.fact, total)):
            key = recorded.at.astimezone(UTC).date().isoformat(), total.currency
            days[key] = days.get(key, Sums()) + counted
    return days, total


def _counted(fact: Fact, total: Money) -> Sums | None:
    match fact:
        case OrderPlaced():
            return Sums(orders=1, gross=total.amount)
        case OrderCancelled():
            return Sums(cancelled=1, cancelled_amount=total.amount)
        case OrderRefunded(amount=amount):
            return Sums(refunded=amount.amount)
    return None


@dataclass(frozen=True)
class Generations:
    """`building` is None unless a rebuild goes on. A number is not used twice: a late write may be to an old one."""

    live: int = 1
    building: int | None = None
    last: int = 1

    @property
    def all(self) -> list[int]:
        return [self.live] if self.building is None else [self.live, self.building]


class DaySums:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._streams = EventStore(table, "order")

    def sum_order(self, order_id: str) -> None:
        """Sums the order's facts that are not summed yet, in each generation.

        A rebuild that begins after the generations were read walks over this order later, and finds these facts.
        """
        for generation in self.generations().all:
            self.catch_up(order_id, generation)

    def catch_up(self, order_id: str, generation: int) -> int:
        """Returns the version up to which the order is summed then. Raises TransientError where others are faster."""
        for _ in range(_ATTEMPTS):
            position = self._table.get(*_position(order_id, generation))
            try:
                while True:
                    following = self._next_position(order_id, generation, position)
                    if following is None:
                        return int(position["version"]) if position else 0
                    position = following
            except ConditionFailed:  # another invocation has moved the position
                continue
        raise TransientError(f"order {order_id} moves too fast")

    def _next_position(self, order_id: str, generation: int, position: Item | None) -> Item | None:
        """Sums facts of as many days as one transaction takes; None where there are no more facts."""
        before = position["version"] if position else 0
        facts = list(_of_few_days(self._streams.read(order_id, after=before)))
        if not facts:
            return None
        days, total = fold(facts, Money(**position["total"]) if position else None)
        assert total  # the first fact has it
        pk, sk = _position(order_id, generation)
        moved: Item = {"pk": pk, "sk": sk, "version": facts[-1].version, "total": total.model_dump()}
        unmoved = "version = :before" if position else "attribute_not_exists(pk)"
        moving = dynamo.put(moved, unmoved, values={":before": before} if position else {})
        shard = zlib.crc32(order_id.encode()) % SHARDS
        self._table.transact([moving, *(_adding(generation, shard, key, sums) for key, sums in days.items())])
        return moved

    def between(self, first: date, last: date) -> Days:
        """The live sums of the days from the first to the last."""
        return self.of_generation(self.generations().live, first, last)

    def of_generation(self, generation: int, first: date = date.min, last: date = date.max) -> Days:
        days: Days = {}
        of_days = KeyRange(between=(first.isoformat(), f"{last.isoformat()}~"))
        for shard in range(SHARDS):
            for item in self._table.query_all(_sums(generation, shard), of_days):
                day, _, currency = item["sk"].partition("#")
                found = Sums(**{one.name: item.get(one.name, 0) for one in fields(Sums)})
                days[day, currency] = days.get((day, currency), Sums()) + found
        return days

    def generations(self) -> Generations:
        item = self._table.get(*_GENERATIONS)
        return Generations(item["live"], item.get("building"), item["last"]) if item else Generations()

    def begin_rebuild(self) -> Generations:
        """A new generation beside the live one, or that of a rebuild which has not ended. From here on, events are
        summed in both.
        """
        for _ in range(_ATTEMPTS):
            now = self.generations()
            if now.building is not None:
                return now
            begun = Generations(now.live, now.last + 1, now.last + 1)
            item = dict(zip(("pk", "sk"), _GENERATIONS, strict=True)) | vars(begun)
            unchanged = "attribute_not_exists(pk) OR (#last = :last AND attribute_not_exists(building))"
            with suppress(ConditionFailed):
                self._table.write(dynamo.put(item, unchanged, names={"#last": "last"}, values={":last": now.last}))
                return begun
        raise TransientError("other rebuilds of the sums begin and end too fast")

    def end_rebuild(self, building: int) -> None:
        """The generation that was built is live. Nothing changes where another run of this rebuild has ended it."""
        switch = "SET live = building REMOVE building"
        with suppress(ConditionFailed):
            self._table.write(
                dynamo.update(*_GENERATIONS, switch, "building = :building", values={":building": building})
            )

    def forget(self, generation: int, order_ids: Iterable[str]) -> None:
        """Deletes what is left of a generation that is not live any more."""
        for shard in range(SHARDS):
            for item in self._table.query_all(_sums(generation, shard)):
                self._table.write(dynamo.delete(item["pk"], item["sk"]))
        for order_id in order_ids:
            self._table.write(dynamo.delete(*_position(order_id, generation)))


def _of_few_days(stored: Iterable[StoredEvent]) -> Iterator[Recorded]:
    days: set[date] = set()
    for event in stored:
        days.add(event.at.astimezone(UTC).date())
        if len(days) > _MOST_DAYS:
            return
        yield Recorded(event.version, event.at, read_fact(event.type, event.data), event.correlation_id)


def _adding(generation: int, shard: int, key: tuple[str, str], sums: Sums) -> Write:
    day, currency = key
    return dynamo.update(
        _sums(generation, shard),
        f"{day}#{currency}",
        "ADD " + ", ".join(f"#{name} :{name}" for name in vars(sums)),
        names={f"#{name}": name for name in vars(sums)},
        values={f":{name}": value for name, value in vars(sums).items()},
    )


def _position(order_id: str, generation: int) -> tuple[str, str]:
    return f"order#{order_id}", f"SUMMED#{generation}"


def _sums(generation: int, shard: int) -> str:
    return f"DAYS#{generation}#{shard}"
