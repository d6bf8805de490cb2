"""Coupons, their counters and the claims of orders in DynamoDB.

COUPON#<code>        COUPON           a coupon; gsi1pk=COUPONS, gsi1sk=<time it was made>#<code>
COUPON#<code>        USES#<n>         `used`, and the coupon's `limit`; one item, or eight for a coupon without a limit
COUPON#<code>        CUSTOMER#<who>   `used` by one customer, of a coupon with a limit for each
MADE#<request>       COUPON           the code of the coupon that a request made, so that a retry finds it
CLAIM#<order>        CLAIM            the record of claim.py; until it is final gsi1pk=CLAIMS, gsi1sk=<expiry>#<order>
GUESSES#<customer>   <hour>           how many unknown codes the customer has tried in this hour

A claim is conditional on the counters alone, which hold the limit: so claims of one coupon meet on one item, and staff
that changes something else of the coupon meets none of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from mercato.clock import epoch, rfc3339
from mercato.dataclass import dataclass
from mercato.money import Money
from mercato.store import dynamo
from mercato.store.attributes import Item
from mercato.store.cursor import decode_cursor, encode_cursor
from mercato.store.dynamo import ConditionFailed, KeyRange, SeveralConditionsFailed, Table, Write
from mercato.store.round_robin import RoundRobin
from promotions.claim import Claim, CouponExhausted, CouponUsedUp, State, Step, Use
from promotions.domain import Coupon, CouponChanged, CouponExists, Kind, Standing

# Seconds. A coupon's counter is in a transaction of every order with it, and DynamoDB cancels those that overlap.
_PATIENCE = 8.0
_PATIENCE_OF_A_BUYER = 2.0  # the checkout waits for the answer
_COUNTERS = 8  # of a coupon without a limit: no claim depends on their sum
_COUPONS, _CLAIMS = "COUPONS", "CLAIMS"
_MONEY, _TIMES = ("amount", "minimum"), ("created_at", "valid_from", "valid_until", "ended_at")
_HOUR = timedelta(hours=1)


class ClaimMoved(Exception):
    """Another invocation took the next step of this claim."""


@dataclass(frozen=True)
class Due:
    """A claim that has expired. `place` is its position in the index, in the order of time."""

    order_id: str
    place: str


class Coupons:
    def __init__(self, table: Table) -> None:
        self._table = table

    def insert(self, coupon: Coupon, request_id: str) -> None:
        """Raises CouponExists."""
        made = {"pk": f"MADE#{request_id}", "sk": "COUPON", "code": coupon.code}
        counters = [dynamo.put_new(_counter(coupon, number)) for number in _numbers(coupon)]
        try:
            self._table.transact([dynamo.put_new(_item(coupon)), dynamo.put_new(made), *counters])
        except ConditionFailed:
            raise CouponExists(f"There is a coupon with the code {coupon.code} already.") from None

    def made_by(self, request_id: str) -> Coupon | None:
        """The coupon that an earlier try of the request made."""
        made = self._table.get(f"MADE#{request_id}", "COUPON")
        return self.find(made["code"]) if made else None

    def find(self, code: str) -> Coupon | None:
        item = self._table.get(_pk(code), "COUPON")
        return _coupon(item) if item else None

    def find_all(self, codes: Iterable[str]) -> dict[str, Coupon]:
        items = self._table.get_many((_pk(code), "COUPON") for code in codes)
        return {item["code"]: _coupon(item) for item in items}

    def replace_coupon(self, changed: Coupon, before: Coupon) -> None:
        """Writes the coupon if the stored one has the version before. Raises CouponChanged."""
        writes = [dynamo.put(_item(changed), "version = :before", values={":before": before.version})]
        if changed.limit != before.limit:
            counter, names, values = (_pk(changed.code), _uses(0)), {"#limit": "limit"}, {":limit": changed.limit}
            writes.append(dynamo.update(*counter, "SET #limit = :limit", names=names, values=values))
        try:
            self._table.transact(writes, patience=_PATIENCE)
        except ConditionFailed:
            raise CouponChanged("Another request has changed the coupon. Please read it again.") from None

    def standings(self, codes: Iterable[str], customer: str) -> dict[str, Standing]:
        """The coupons that exist, with their uses; of a coupon without a limit these are 0."""
        keys = [(_pk(code), name) for code in codes for name in ("COUPON", _uses(0), _by(customer))]
        by_key = {(item["pk"], item["sk"]): item for item in self._table.get_many(keys)}
        coupons = [_coupon(item) for (_, name), item in by_key.items() if name == "COUPON"]

        def used(coupon: Coupon, name: str) -> int:
            return int(by_key.get((_pk(coupon.code), name), {}).get("used", 0))

        return {
            one.code: Standing(one, used(one, _uses(0)) if one.limit is not None else 0, used(one, _by(customer)))
            for one in coupons
        }

    def uses(self, coupons: Sequence[Coupon]) -> dict[str, int]:
        """How many uses of each coupon are claimed or final."""
        keys = [(_pk(coupon.code), _uses(number)) for coupon in coupons for number in _numbers(coupon)]
        found = dict.fromkeys((coupon.code for coupon in coupons), 0)
        for item in self._table.get_many(keys):
            found[item["pk"].removeprefix(_pk(""))] += item["used"]
        return found

    def find_page(self, limit: int, cursor: str | None) -> tuple[list[Coupon], str | None]:
        """The newest first."""
        start = decode_cursor(cursor, gsi1pk=_COUPONS)
        page = self._table.query(_COUPONS, KeyRange(forward=False), index="gsi1", limit=limit, start=start)
        return [_coupon(item) for item in page.items], encode_cursor(page.next_key)


class Claims:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._turns = RoundRobin(table, _CLAIMS)

    def find(self, order_id: str) -> Claim | None:
        item = self._table.get(f"CLAIM#{order_id}", "CLAIM")
        return _claim(item) if item else None

    def take_step(self, step: Step, limits: Mapping[str, int | None]) -> None:
        """Writes one step of a claim and of its counters, all of it or nothing. `limits` are those of each customer, by
        code. Raises ClaimMoved, and CouponExhausted or CouponUsedUp of a step that takes uses.
        """
        writes, counted = [_claim_write(step)], [""]
        if step.gains:
            for use in step.after.uses:
                writes.append(_count(use, step.gains))
                counted.append(use.code)
                if use.per_customer:
                    writes.append(_count_customer(use, step, limits.get(use.code)))
                    counted.append(use.code)
        try:
            self._table.transact(writes, patience=_PATIENCE)
        except ConditionFailed as failed:
            places = sorted(failed.failures if isinstance(failed, SeveralConditionsFailed) else {failed.index})
            if places[0] == 0:
                raise ClaimMoved from None
            code = counted[places[0]]
            if writes[places[0]].parameters["Key"]["sk"]["S"].startswith("USES#"):
                raise CouponExhausted(f"The code {code} has been used as often as it may be.") from None
            raise CouponUsedUp(f"You have used the code {code} as often as one customer may.") from None

    def due(self, now: datetime) -> Iterator[Due]:
        """The expired claims: first those after the one with which the last run began, then the oldest first. The index
        may be stale, so the caller checks the record.
        """
        return self._turns.in_turn(lambda place: self._due_behind(place, now), lambda due: due.place)

    def begin(self, due: Due) -> None:
        self._turns.begin(due.place)

    def _due_behind(self, place: str, now: datetime) -> Iterator[Due]:
        until = f"{rfc3339(now)}#~"
        if place >= until:
            return
        for item in self._table.query_all(_CLAIMS, KeyRange(between=(place or "0", until)), index="gsi1"):
            if item["gsi1sk"] > place:
                yield Due(item["order_id"], item["gsi1sk"])


class Guesses:
    """Counts the unknown codes that a customer, and a network, try in an hour."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def count(self, limits: Mapping[str, int], codes: int, now: datetime) -> bool:
        """Counts the codes for each key of `limits`, before they are looked up, so that no burst passes. False, and
        nothing is counted, where that is more than the most of one of them.
        """
        free, counting = "attribute_not_exists(tried) OR tried <= :room", "SET #ttl = :ttl ADD tried :codes"
        names, values = {"#ttl": "ttl"}, {":codes": codes, ":ttl": epoch(now + 2 * _HOUR)}
        writes = [
            dynamo.update(*_guesses(who, now), counting, free, names=names, values=values | {":room": most - codes})
            for who, most in limits.items()
        ]
        try:
            self._table.transact(writes, patience=_PATIENCE_OF_A_BUYER)
        except (ConditionFailed, SeveralConditionsFailed):
            return False
        return True

    def give_back(self, who: Iterable[str], codes: int, now: datetime) -> None:
        """The codes that are known were no guesses. As a transaction, which a retry of a lost response does once."""
        values = {":codes": -codes}
        writes = [dynamo.update(*_guesses(one, now), "ADD tried :codes", values=values) for one in who]
        self._table.transact(writes, patience=_PATIENCE_OF_A_BUYER)

    def seconds_left(self, now: datetime) -> int:
        """Until the hour of the counts is over."""
        return 3600 - (now.minute * 60 + now.second)


def counter_of(coupon: Coupon, order_id: str) -> int:
    """The counter on which this order's use is counted."""
    return zlib.crc32(order_id.encode()) % len(_numbers(coupon))


def _numbers(coupon: Coupon) -> range:
    return range(1 if coupon.limit is not None else _COUNTERS)


def _pk(code: str) -> str:
    return f"COUPON#{code}"


def _uses(number: int) -> str:
    return f"USES#{number}"


def _by(customer: str) -> str:
    return f"CUSTOMER#{customer}"


def _guesses(customer: str, now: datetime) -> tuple[str, str]:
    return f"GUESSES#{customer}", rfc3339(now)[:13]


def _counter(coupon: Coupon, number: int) -> Item:
    limit = {} if coupon.limit is None else {"limit": coupon.limit}
    return {"pk": _pk(coupon.code), "sk": _uses(number), "used": 0} | limit


def _count(use: Use, gains: int) -> Write:
    names, values = {"#limit": "limit"}, {":gains": gains}
    if gains < 0:
        return dynamo.update(_pk(use.code), _uses(use.counter), "ADD used :gains", values=values)
    free = "attribute_exists(pk) AND (attribute_not_exists(#limit) OR used < #limit)"
    return dynamo.update(_pk(use.code), _uses(use.counter), "ADD used :gains", free, names=names, values=values)


def _count_customer(use: Use, step: Step, most: int | None) -> Write:
    key, values = (_pk(use.code), _by(step.after.customer)), {":gains": step.gains}
    if step.gains < 0 or most is None:
        return dynamo.update(*key, "ADD used :gains", values=values)
    free = "attribute_not_exists(used) OR used < :most"
    return dynamo.update(*key, "ADD used :gains", free, values=values | {":most": most})


def _item(coupon: Coupon) -> Item:
    found = {part.name: getattr(coupon, part.name) for part in fields(coupon)}
    found |= {name: found[name].model_dump() if found[name] else None for name in _MONEY}
    found |= {name: rfc3339(found[name]) if found[name] else None for name in _TIMES}
    keys = {"pk": _pk(coupon.code), "sk": "COUPON"}
    index = {"gsi1pk": _COUPONS, "gsi1sk": f"{found['created_at']}#{coupon.code}"}
    return keys | index | found | {"product_ids": list(coupon.product_ids)}


def _coupon(item: Item) -> Coupon:
    found: dict[str, Any] = {part.name: item.get(part.name) for part in fields(Coupon)}
    found |= {name: Money.model_validate(found[name]) if found[name] else None for name in _MONEY}
    found |= {name: datetime.fromisoformat(found[name]) if found[name] else None for name in _TIMES}
    return Coupon(**found | {"kind": Kind(found["kind"]), "product_ids": tuple(found["product_ids"])})


def _claim_write(step: Step) -> Write:
    """A first step puts the record; any other needs it at the revision that was read."""
    after = step.after
    item = {
        "pk": f"CLAIM#{after.order_id}",
        "sk": "CLAIM",
        "order_id": after.order_id,
        "customer": after.customer,
        "uses": [vars(use) for use in after.uses],
        "state": after.state,
        "revision": after.revision,
        "reason": after.reason,
        "expires_at": rfc3339(after.expires_at) if after.expires_at else None,
    }
    if after.expires_at:
        item |= {"gsi1pk": _CLAIMS, "gsi1sk": f"{item['expires_at']}#{after.order_id}"}
    if step.before.revision == 0:
        return dynamo.put_new(item)
    return dynamo.put(item, "revision = :seen", values={":seen": step.before.revision})


def _claim(item: Item) -> Claim:
    return Claim(
        order_id=item["order_id"],
        customer=item["customer"],
        uses=tuple(Use(**use) for use in item["uses"]),
        state=State(item["state"]),
        expires_at=datetime.fromisoformat(item["expires_at"]) if item["expires_at"] else None,
        revision=item["revision"],
        reason=item["reason"],
    )
