"""Checks a transaction's limits before it is sent, since DynamoDB's error would only be ValidationException."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mercato.store import dynamo
from mercato.store.dynamo import Write

MAX_ITEM = 400 * 1024
MAX_TOTAL = 4 * 1024 * 1024


class AppendTooLarge(ValueError):
    """The append exceeds the limits of a transaction: 100 writes, 4 MB, 400 KB per item."""


def check_limits(writes: Sequence[Write]) -> None:
    """`writes` are all writes of the transaction. Raises AppendTooLarge, and ValueError if two of them write
    one item.
    """
    if len(writes) > dynamo.MAX_TRANSACTION:
        raise AppendTooLarge(f"{len(writes)} writes; a transaction takes {dynamo.MAX_TRANSACTION}")
    known: set[tuple[str, str]] = set()
    total = 0
    for write in writes:
        key = _key(write)
        if key in known:
            raise ValueError(f"two writes of the item {key}; a transaction takes one")
        known.add(key)
        size = _size_of_write(write)
        if size > MAX_ITEM:
            what = "an event" if key[1].startswith("E#") else "the item {} {}".format(*key)
            raise AppendTooLarge(f"{what} of {size} bytes; {MAX_ITEM} is the most")
        total += size
    if total > MAX_TOTAL:
        raise AppendTooLarge(f"{total} bytes; a transaction takes {MAX_TOTAL}")


def _key(write: Write) -> tuple[str, str]:
    key = write.parameters.get("Key") or write.parameters["Item"]
    return key["pk"]["S"], key["sk"]["S"]


def _size_of_write(write: Write) -> int:
    """The size of the item after the write. For an update the size of its values, since only DynamoDB knows the
    rest.
    """
    if write.kind == "Put":
        return size_of(write.parameters["Item"])
    return size_of(write.parameters["Key"]) + size_of(write.parameters.get("ExpressionAttributeValues", {}))


def size_of(attributes: Mapping[str, Mapping[str, Any]]) -> int:
    """The bytes of typed attributes as DynamoDB counts them, names included. Never too low."""
    return 3 + sum(1 + len(name.encode()) + _size_of_attribute(value) for name, value in attributes.items())


def _size_of_attribute(attribute: Mapping[str, Any]) -> int:
    ((kind, value),) = attribute.items()
    match kind:
        case "S":
            return len(value.encode())
        case "B":
            return len(value)
        case "M":
            return size_of(value)
        case "L":
            return 3 + sum(1 + _size_of_attribute(one) for one in value)
        case _:
            return 21  # the longest number
