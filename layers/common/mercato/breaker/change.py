"""A conditional write to one circuit, as data. The stores in DynamoDB and in memory execute the same changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from mercato.breaker.state import State
from mercato.dataclass import dataclass
from mercato.events.model import EventModel
from mercato.store.attributes import Item

Value = int | str
# "?=": missing, or equal.
Operator = Literal["=", "?=", "<", "<=", ">="]


@dataclass(frozen=True)
class Check:
    attribute: str
    operator: Operator
    value: Value

    def holds(self, item: Mapping[str, Value]) -> bool:
        """Evaluates as DynamoDB does: a comparison with a missing attribute is false."""
        if self.attribute not in item:
            return self.operator == "?="
        found, value = item[self.attribute], self.value
        if self.operator in ("=", "?="):
            return found == value
        if isinstance(found, str) or isinstance(value, str):
            raise TypeError(f"{self.attribute}: texts are not ordered here")
        return found < value if self.operator == "<" else found <= value if self.operator == "<=" else found >= value


@dataclass(frozen=True)
class Change:
    """Executed if one of the alternatives in `when` holds as a whole. `event` and `audit` are in the same transaction.
    A change with one of them sets the whole state, and the event's sequence is the generation that it sets.
    """

    when: tuple[tuple[Check, ...], ...]
    set: Mapping[str, Value] = field(default_factory=dict)
    add: Mapping[str, int] = field(default_factory=dict)
    event: EventModel | None = None
    audit: Item | None = None

    def applies(self, item: Mapping[str, Value]) -> bool:
        return any(all(test.holds(item) for test in alternative) for alternative in self.when)


@dataclass(frozen=True)
class Result:
    """Whether the change was made, and the circuit's current state: after it, or the one that refused it."""

    won: bool
    state: State
