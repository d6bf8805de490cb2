"""Passes plain values of DynamoDB through botocore and moto whole. Requests, responses and errors do not change.

A call of DynamoDB walks each value five times, and looks at each of its ten possible members by its shape: botocore
validates and serializes it, moto parses it and serializes it again, and botocore parses it. A plain value is the same
before and after each of them, so here it is examined by one function. Others, such as binary and wrong ones, take the
way of botocore and moto.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import botocore.parsers
import moto.core.parse
from botocore.serialize import JSONSerializer
from botocore.validate import ParamValidator
from moto.core.serialize import BaseJSONSerializer

Is = Callable[[Any, Any], bool]  # whether a value of this shape is passed whole


def is_plain(value: Any) -> bool:
    """Whether the value is a text, a number, a boolean, null, or a map, list or set of those, in JSON's own types."""
    if type(value) is not dict or len(value) != 1:
        return False
    ((kind, held),) = value.items()
    if kind == "S" or kind == "N":
        return type(held) is str
    if kind == "M":
        return type(held) is dict and _are_named(held)
    if kind == "L":
        return type(held) is list and all(map(is_plain, held))
    if kind == "BOOL" or kind == "NULL":
        return type(held) is bool
    if kind == "SS" or kind == "NS":
        return type(held) is list and all(type(one) is str for one in held)
    return False


def _are_named(values: dict[Any, Any]) -> bool:
    for name, value in values.items():  # noqa: SIM110  # a generator takes twice as long, and this is called most of all
        if type(name) is not str or not is_plain(value):
            return False
    return True


def _is_whole_value(shape: Any, value: Any) -> bool:
    return shape.name == "AttributeValue" and "NULL" in shape.members and is_plain(value)


def _is_whole_map(shape: Any, value: Any) -> bool:
    """Whether the value is a map of names to plain values, such as an item or a key."""
    return (
        shape.value.name == "AttributeValue"
        and "NULL" in shape.value.members
        and type(value) is dict
        and _are_named(value)
    )


def _validate(own: Any, is_whole: Is) -> Any:
    def validate(validator: Any, params: Any, shape: Any, errors: Any, name: str) -> None:
        if not is_whole(shape, params):
            own(validator, params, shape, errors, name)

    return validate


def _write(own: Any, is_whole: Is) -> Any:
    def serialize(serializer: Any, serialized: Any, value: Any, shape: Any, key: Any) -> None:
        if is_whole(shape, value):
            serialized[key] = value
        else:
            own(serializer, serialized, value, shape, key)

    return serialize


def _answer(own: Any, is_whole: Is) -> Any:
    def serialize(serializer: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if is_whole(shape, value):
            serializer._default_serialize(serialized, value, shape, key)
        else:
            own(serializer, serialized, value, shape, key)

    return serialize


def _read(own: Any, is_whole: Is) -> Any:
    def parse(parser: Any, shape: Any, value: Any) -> Any:
        return value if is_whole(shape, value) else own(parser, shape, value)

    return parse


_PLACES: list[tuple[Any, str, Callable[[Any, Is], Any], Is]] = [
    (ParamValidator, "_validate_structure", _validate, _is_whole_value),
    (ParamValidator, "_validate_map", _validate, _is_whole_map),
    (JSONSerializer, "_serialize_type_structure", _write, _is_whole_value),
    (JSONSerializer, "_serialize_type_map", _write, _is_whole_map),
    (moto.core.parse.BaseJSONParser, "_parse_structure", _read, _is_whole_value),
    (moto.core.parse.BaseJSONParser, "_parse_map", _read, _is_whole_map),
    (BaseJSONSerializer, "_serialize_type_structure", _answer, _is_whole_value),
    (BaseJSONSerializer, "_serialize_type_map", _answer, _is_whole_map),
    (botocore.parsers.BaseJSONParser, "_handle_structure", _read, _is_whole_value),
    (botocore.parsers.BaseJSONParser, "_handle_map", _read, _is_whole_map),
]
OWN = [(owner, name, getattr(owner, name)) for owner, name, *_ in _PLACES]
REPLACEMENTS = [(owner, name, make(getattr(owner, name), is_whole)) for owner, name, make, is_whole in _PLACES]
