"""What one transaction takes, looked at before it is sent: DynamoDB would say no more than ValidationException."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mercato import dynamo
from mercato.dynamo import Write
from mercato.items import Item

MAX_ITEM = 400 * 1024
MAX_TOTAL = 4 * 1024 * 1024


class AppendTooLarge(ValueError):
    """The append would go past what one transaction takes: 100 writes, 4 MB, 400 KB an item."""


def check_limits(items: Sequence[Item], writes: Sequence[Write]) -> None:
    """`items` are the events, `writes` all of the transaction. Raises AppendTooLarge, and ValueError where two of the
    writes are of one item.
    """
    if len(writes) > dynamo.MAX_TRANSACTION:
        raise AppendTooLarge(f"{len(writes)} writes; a transaction takes {dynamo.MAX_TRANSACTION}")
    largest = max(size_of(item) for item in items)
    if largest > MAX_ITEM:
        raise AppendTooLarge(f"an event of {largest} bytes; {MAX_ITEM} is the most")
    total = sum(size_of(write.parameters) for write in writes)
    if total > MAX_TOTAL:
        raise AppendTooLarge(f"{total} bytes; a transaction takes {MAX_TOTAL}")
    known: set[tuple[str, str]] = set()
    for key in map(_key, writes):
        if key in known:
            raise ValueError(f"two writes of the item {key}; a transaction takes one")
        known.add(key)


def _key(write: Write) -> tuple[str, str]:
    key = write.parameters.get("Key") or write.parameters["Item"]
    return key["pk"]["S"], key["sk"]["S"]


def size_of(value: Any) -> int:
    """Bytes as DynamoDB counts them, names included; never less."""
    match value:
        case str():
            return len(value.encode())
        case bytes():
            return len(value)
        case Mapping():
            return 3 + sum(1 + len(name.encode()) + size_of(part) for name, part in value.items())
        case list() | tuple():
            return 3 + sum(1 + size_of(part) for part in value)
        case _:
            return 21  # a number at its longest
