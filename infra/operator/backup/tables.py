"""Reads and writes whole tables."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import batched
from typing import Any

from botocore.exceptions import ClientError

from infra.operator.backup.files import Item, encode
from infra.operator.parts import TABLE, Part
from infra.trouble import Trouble

_BYTES_OF_SEGMENT = 64 * 1024 * 1024
_MOST_SEGMENTS = 8
_AT_ONCE = 25  # writes of one BatchWriteItem
_LONGEST_PAUSE = 10.0  # seconds
_MOST_TRIES = 12

Json = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A deployed table. `path` has its logical ids, `keys` the names of its key attributes."""

    path: str
    name: str
    keys: tuple[str, ...]
    items: int  # as DynamoDB counts them, some hours ago
    segments: int

    def key_of(self, item: Item) -> Json:
        return {name: item[name] for name in self.keys}


def find_tables(dynamodb: Any, parts: Iterable[Part]) -> list[Table]:
    """The shop's tables, by their logical ids. Raises Trouble if one is not there or not ready."""
    return [_describe(dynamodb, part) for part in sorted(parts, key=lambda part: part.path) if part.kind == TABLE]


def _describe(dynamodb: Any, part: Part) -> Table:
    try:
        found = dynamodb.describe_table(TableName=part.id)["Table"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        found = {"TableStatus": "missing"}
    if found["TableStatus"] not in ("ACTIVE", "UPDATING"):
        raise Trouble(
            f"the table {part.id} ({part.path}) is {found['TableStatus'].lower()}",
            "The shop is only half deployed. Deploy it again (`make deploy`), and then repeat this command.",
        )
    return Table(
        path=part.path,
        name=part.id,
        keys=tuple(one["AttributeName"] for one in found["KeySchema"]),
        items=int(found.get("ItemCount", 0)),
        segments=min(_MOST_SEGMENTS, 1 + int(found.get("TableSizeBytes", 0)) // _BYTES_OF_SEGMENT),
    )


def scan(dynamodb: Any, table: Table, segment: int = 0, segments: int = 1) -> Iterator[Item]:
    """The items of the table, or of one segment of it. Each item is read consistently; the table as a whole is not."""
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=table.name, ConsistentRead=True, Segment=segment, TotalSegments=segments
    )
    for page in pages:
        yield from page["Items"]


@dataclass(frozen=True)
class Writes:
    """Batches of writes to tables. Before each call `check` is called, which raises if the restore must end."""

    dynamodb: Any
    check: Callable[[], None]
    sleep: Callable[[float], None] = time.sleep

    def put(self, table: Table, items: Iterable[Item]) -> int:
        """Writes the items over whatever is there, so that the relay publishes none of their events. Returns how many.

        The relay publishes an item that is inserted with an `event`. So such an item is first inserted with its key
        alone, and then replaced, which the table's stream reports as a modification. The key alone has no time to live
        either, so that it is still there when it is replaced.
        """
        written = 0
        for batch in batched(items, _AT_ONCE, strict=False):
            bare = [table.key_of(item) for item in batch if "event" in item]
            for requests in ([{"PutRequest": {"Item": item}} for item in some] for some in (bare, batch)):
                self._send(table, requests)
            written += len(batch)
        return written

    def delete(self, table: Table, keys: Iterable[Json]) -> None:
        for batch in batched(keys, _AT_ONCE, strict=False):
            self._send(table, [{"DeleteRequest": {"Key": key}} for key in batch])

    def _send(self, table: Table, requests: list[Json]) -> None:
        for attempt in range(_MOST_TRIES):
            if not requests:
                return
            if attempt:
                self.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.1 * 2**attempt)))
            self.check()
            answer = self.dynamodb.batch_write_item(RequestItems={table.name: requests})
            requests = answer.get("UnprocessedItems", {}).get(table.name, [])
        if requests:
            raise Trouble(
                f"{table.name} takes no more writes: DynamoDB throttles them",
                "Run the same command again; it continues where it was.",
            )


def is_expired(item: Item, now: int) -> bool:
    """Whether DynamoDB may delete the item at any moment, by its `ttl`, a time in seconds."""
    return "ttl" in item and int(item["ttl"]["N"]) <= now


def key_digest(table: Table, item: Item) -> bytes:
    return hashlib.sha256(encode(table.key_of(item))).digest()[:16]


class Sum:
    """The number of items, and a checksum of them that does not depend on their order."""

    def __init__(self) -> None:
        self.items = 0
        self._sum = 0

    def add(self, item: Item) -> None:
        self.items += 1
        self._sum = (self._sum + int.from_bytes(hashlib.sha256(encode(item)).digest())) % 2**256

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sum) and (self.items, self._sum) == (other.items, other._sum)

    __hash__ = None  # type: ignore[assignment]


def sum_of(items: Iterable[Item], now: int) -> Sum:
    """Of the items that have not expired at `now`."""
    found = Sum()
    for item in items:
        if not is_expired(item, now):
            found.add(item)
    return found


def by_path(tables: Iterable[Table]) -> Mapping[str, Table]:
    return {table.path: table for table in tables}
