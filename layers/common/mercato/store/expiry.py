"""Items with a time to live, in their attribute `ttl`. DynamoDB may remove an expired item days later, so reads and
conditions treat it as absent.
"""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType

from mercato.clock import epoch
from mercato.store import dynamo
from mercato.store.attributes import Item
from mercato.store.dynamo import Write

# A condition, to be used with NAMES and the values of `at`.
ABSENT = "attribute_not_exists(pk) OR #ttl <= :now"
LIVE = "#ttl > :now"
NAMES = MappingProxyType({"#ttl": "ttl"})


def at(now: datetime) -> dict[str, int]:
    return {":now": epoch(now)}


def is_live(item: Item, now: datetime) -> bool:
    return bool(item["ttl"] > epoch(now))


def live(item: Item | None, now: datetime) -> Item | None:
    """The item, or None if it is absent or expired."""
    return item if item is not None and is_live(item, now) else None


def put_new(item: Item, now: datetime) -> Write:
    """A put that replaces an expired item, and fails for any other."""
    return dynamo.put(item, ABSENT, names=NAMES, values=at(now))
