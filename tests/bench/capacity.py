"""DynamoDB's charge for a call: item sizes and request units, by its developer guide.

The units of writes come from the local cloud's own ConsumedCapacity, which knows the item before and after and each
index. Its reads are one unit whatever their size, so those are computed here from the items of the response. That is
exact as long as no read filters or projects; `units_of_read` refuses one that does.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

READ_BLOCK, WRITE_BLOCK = 4096, 1024
READS = frozenset({"GetItem", "BatchGetItem", "Query"})
WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"})

Json = dict[str, Any]


def size_of_item(item: Mapping[str, Json]) -> int:
    return sum(len(name.encode()) + size_of_value(value) for name, value in item.items())


def size_of_value(value: Json) -> int:
    """Bytes of one attribute value, in DynamoDB's JSON."""
    kind: str
    held: Any
    ((kind, held),) = value.items()
    match kind:
        case "S":
            return len(str(held).encode())
        case "N":
            digits = str(held).lstrip("-").replace(".", "").strip("0")
            return (len(digits) + 1) // 2 + 1 + str(held).startswith("-")
        case "B":
            return len(held) * 3 // 4 - str(held).count("=")
        case "SS" | "NS" | "BS":
            return sum(size_of_value({kind[0]: one}) for one in held)
        case "L":
            return 3 + sum(1 + size_of_value(one) for one in held)
        case "M":
            return 3 + sum(1 + len(name.encode()) + size_of_value(one) for name, one in held.items())
    return 1  # BOOL and NULL


def blocks(size: int, block: int) -> int:
    """The number of started blocks. Nothing counts as one."""
    return max(-(-size // block), 1)


def units_of_read(action: str, request: Json, answer: Json) -> Decimal:
    """Read request units of an answered GetItem, BatchGetItem or Query."""
    if action == "BatchGetItem":
        return sum((_units_of_batch(answer, table, asked) for table, asked in request["RequestItems"].items()), _NONE)
    _require_whole_items(request)
    if action == "GetItem":
        found = blocks(size_of_item(answer.get("Item", {})), READ_BLOCK)
    else:
        found = blocks(sum(map(size_of_item, answer["Items"])), READ_BLOCK)
    return found * _rate(request)


_NONE = Decimal(0)


def _units_of_batch(answer: Json, table: str, asked: Json) -> Decimal:
    """Each item is rounded up separately, and each missing key is one block."""
    _require_whole_items(asked)
    items = answer["Responses"].get(table, [])
    left = len(answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", []))
    missing = len(asked["Keys"]) - left - len(items)
    return (sum(blocks(size_of_item(item), READ_BLOCK) for item in items) + missing) * _rate(asked)


def _rate(request: Json) -> Decimal:
    return Decimal(1) if request.get("ConsistentRead") else Decimal("0.5")


def _require_whole_items(request: Json) -> None:
    for name in ("FilterExpression", "ProjectionExpression", "Select"):
        if name in request:
            raise ValueError(f"a read with {name}: its answer does not tell what was read")


def units_of_write(answer: Json) -> tuple[Decimal, Decimal]:
    """Write request units of the tables and their indexes, as the response states them."""
    consumed = answer["ConsumedCapacity"]
    each: list[Json] = consumed if isinstance(consumed, list) else [consumed]
    whole = sum((Decimal(str(one["CapacityUnits"])) for one in each), _NONE)
    indexes = [index for one in each for index in one.get("GlobalSecondaryIndexes", {}).values()]
    copies = sum((Decimal(str(index["CapacityUnits"])) for index in indexes), _NONE)
    return whole - copies, copies


def units_of_refused_write(action: str, request: Json, answer: Json) -> Decimal:
    """A write whose condition failed is charged, too: by the size of the existing item, at least one unit.

    Every action of a refused transaction is charged twice. The size of what it would have written is in the request,
    except for updates, which count as one block.
    """
    if action != "TransactWriteItems":
        return Decimal(blocks(size_of_item(answer.get("Item", {})), WRITE_BLOCK))
    reasons = answer.get("CancellationReasons", [])
    found = 0
    for index, one in enumerate(request["TransactItems"]):
        ((_, parameters),) = one.items()
        there = reasons[index].get("Item", {}) if index < len(reasons) else {}
        size = max(size_of_item(parameters.get("Item", {})), size_of_item(there))
        found += 2 * blocks(size, WRITE_BLOCK)
    return Decimal(found)
