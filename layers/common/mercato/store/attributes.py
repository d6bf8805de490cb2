"""Converts between DynamoDB's typed attributes and plain Python values.

Values: str, int, bool, None, bytes, list, dict. A float is a TypeError: money and counts are integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Item = dict[str, Any]


def to_attribute(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": str(value)}
        case int():
            return {"N": str(value)}
        case bytes():
            return {"B": value}
        case list() | tuple():
            return {"L": [to_attribute(element) for element in value]}
        case dict():
            return {"M": to_item(value)}
    raise TypeError(f"{type(value).__name__} cannot be stored: {value!r}")


def to_item(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: to_attribute(value) for name, value in values.items()}


def _from_attribute(attribute: Mapping[str, Any]) -> Any:
    ((kind, value),) = attribute.items()
    match kind:
        case "S" | "B" | "BOOL":
            return value
        case "N":
            return int(value)
        case "NULL":
            return None
        case "L":
            return [_from_attribute(element) for element in value]
        case "M":
            return from_item(value)
    raise TypeError(f"attributes of type {kind} are not used here")


def from_item(attributes: Mapping[str, Any]) -> Item:
    return {name: _from_attribute(attribute) for name, attribute in attributes.items()}
