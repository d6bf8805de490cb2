"""A dictionary that implements the part of DynamoDB that the event store and the lists use, to measure our own CPU and
read units.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from typing import Any

from mercato.store.dynamo import Table

_UNIT = 4096
_WRITE_UNIT = 1024


def size_of(item: dict[str, dict[str, Any]]) -> int:
    """An approximation of the bytes that DynamoDB counts: names and values."""
    total = 0
    for name, attribute in item.items():
        ((kind, value),) = attribute.items()
        total += len(name)
        if kind == "S":
            total += len(value.encode())
        elif kind == "B":
            total += len(value)
        elif kind == "M":
            total += 3 + size_of(value)
        else:
            total += len(str(value)) // 2 + 1
    return total


class MemoryTable(Table):
    """`calls`, read `units` and `write_units` count since `restart`. Counting costs time and can be switched off."""

    def __init__(self, *, counts: bool = False) -> None:
        super().__init__("memory")
        self._items: dict[tuple[str, str], dict[str, Any]] = {}
        self._keys: defaultdict[str, list[str]] = defaultdict(list)
        self._index: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
        self._counts = counts
        self.restart()

    def restart(self) -> None:
        self.calls, self.units, self.write_units = 0, 0.0, 0

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self, f"_{operation}")(**parameters)
        return answer

    def _transact_write_items(self, TransactItems: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        for action in TransactItems:
            ((kind, write),) = action.items()
            if kind == "Put":
                self._put(write["Item"])
            elif kind == "Update":  # the head's update, whose condition always holds with one writer
                version = write["ExpressionAttributeValues"][":ver"]
                self._put(write["Key"] | {"ver": version})
        self._count_written(*(write for action in TransactItems for write in action.values()), twice=True)
        return {}

    def _put_item(self, Item: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        self._put(Item)
        self._count_written({"Item": Item}, twice=False)
        return {}

    def _get_item(self, Key: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        found = self._items.get((Key["pk"]["S"], Key["sk"]["S"]))
        self._count([found] if found else [], consistent=True)
        return {"Item": found} if found else {}

    def _query(
        self,
        ExpressionAttributeValues: dict[str, Any],  # noqa: N803
        KeyConditionExpression: str,  # noqa: N803
        ScanIndexForward: bool,  # noqa: N803
        Limit: int = 0,  # noqa: N803
        ExclusiveStartKey: dict[str, Any] | None = None,  # noqa: N803
        IndexName: str = "",  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        values = {name: value["S"] for name, value in ExpressionAttributeValues.items()}
        if IndexName:
            places = [
                (pk, sk) for _, pk, sk in self._index[values[":pk"]][-Limit - 1 :]
            ]  # the query reads the newest first
        else:
            keys = self._keys[values[":pk"]]
            first = bisect.bisect_right(keys, values[":sk"]) if " > :sk" in KeyConditionExpression else 0
            last = len(keys)
            if "BETWEEN" in KeyConditionExpression:
                first, last = bisect.bisect_left(keys, values[":sk"]), bisect.bisect_right(keys, values[":to"])
            places = [(values[":pk"], sk) for sk in keys[first:last]]
        if not ScanIndexForward:
            places.reverse()
        if ExclusiveStartKey:
            places = places[places.index((ExclusiveStartKey["pk"]["S"], ExclusiveStartKey["sk"]["S"])) + 1 :]
        more = bool(Limit) and len(places) > Limit
        items = [self._items[place] for place in (places[:Limit] if Limit else places)]
        self._count(items, consistent=not IndexName)
        key = {name: items[-1][name] for name in ("pk", "sk")} if more else {}
        return {"Items": items} | ({"LastEvaluatedKey": key} if more else {})

    def _put(self, item: dict[str, Any]) -> None:
        pk, sk = item["pk"]["S"], item["sk"]["S"]
        if (pk, sk) not in self._items:
            bisect.insort(self._keys[pk], sk)
            if "gsi1pk" in item:
                bisect.insort(self._index[item["gsi1pk"]["S"]], (item["gsi1sk"]["S"], pk, sk))
        self._items[pk, sk] = item

    def _count_written(self, *writes: dict[str, Any], twice: bool) -> None:
        """`twice`: a transaction is charged double."""
        if self._counts:
            self.calls += 1
            for write in writes:
                key = write.get("Item") or write["Key"]
                found = self._items.get((key["pk"]["S"], key["sk"]["S"]))  # None where a check looks for none
                units = -(-size_of(found) // _WRITE_UNIT) if found else 1
                self.write_units += (2 if twice else 1) * units

    def _count(self, items: list[dict[str, Any]], *, consistent: bool) -> None:
        if self._counts:
            self.calls += 1
            units = max(1, -(-sum(map(size_of, items)) // _UNIT))
            self.units += units if consistent else units / 2
