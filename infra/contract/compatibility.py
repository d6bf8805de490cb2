"""Finds the changes of a published event's schema that break its consumers.

A publisher may add fields and restrict values further. Under the same version it must not remove a field, make it
optional or send a value that the old schema did not allow. Such a change needs a new VERSION, published beside the old.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
_NARROWER = {("number", "integer")}


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """Returns each breaking change as `field: change`, and an empty list if consumers of `old` can read `new`."""
    return list(_compare("", old, new, old.get("$defs", {}), new.get("$defs", {})))


def _compare(path: str, old: Schema, new: Schema, old_schemas: Schema, new_schemas: Schema) -> Iterator[str]:
    was, now = _alternatives(old, old_schemas), _alternatives(new, new_schemas)
    if len(was) == len(now) == 1:
        yield from _compare_one(path, was[0], now[0], old_schemas, new_schemas)
        return
    for kind in now:
        if all(any(_compare_one(path, one, kind, old_schemas, new_schemas)) for one in was):
            yield f"{path or 'data'}: may now be {_describe(kind)}"


def _compare_one(path: str, old: Schema, new: Schema, old_schemas: Schema, new_schemas: Schema) -> Iterator[str]:
    where = path or "data"
    if old.get("type") != new.get("type") and (old.get("type"), new.get("type")) not in _NARROWER:
        yield f"{where}: {_describe(old)} became {_describe(new)}"
        return
    if "format" in old and old["format"] != new.get("format"):
        yield f"{where}: format {old['format']} became {new.get('format', 'any')}"
    allowed, sent = _values(old), _values(new)
    if allowed is not None and sent is None:
        yield f"{where}: may now be anything, not only {', '.join(sorted(allowed))}"
    elif allowed is not None and sent is not None and not sent <= allowed:
        yield f"{where}: may now be {', '.join(sorted(sent - allowed))}"
    for inner in ("items", "additionalProperties"):
        if isinstance(old.get(inner), Mapping) and isinstance(new.get(inner), Mapping):
            yield from _compare(f"{path}[]", old[inner], new[inner], old_schemas, new_schemas)
    yield from _compare_properties(path, old, new, old_schemas, new_schemas)


def _compare_properties(path: str, old: Schema, new: Schema, old_schemas: Schema, new_schemas: Schema) -> Iterator[str]:
    found = new.get("properties", {})
    for name, schema in old.get("properties", {}).items():
        inner = f"{path}.{name}" if path else name
        if name not in found:
            yield f"{inner}: removed"
            continue
        if name in old.get("required", ()) and name not in new.get("required", ()):
            yield f"{inner}: may now be missing"
        yield from _compare(inner, schema, found[name], old_schemas, new_schemas)


def _alternatives(schema: Schema, definitions: Schema) -> list[Schema]:
    """Returns the schema itself or each schema of its anyOf, with references resolved."""
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if "anyOf" not in schema:
        return [schema]
    return [found for one in schema["anyOf"] for found in _alternatives(one, definitions)]


def _values(schema: Schema) -> set[str] | None:
    """Returns the values of the schema's const or enum as JSON, or None if it has neither."""
    if "const" in schema:
        return {json.dumps(schema["const"])}
    return {json.dumps(value) for value in schema["enum"]} if "enum" in schema else None


def _describe(schema: Schema) -> str:
    return str(schema.get("title", "object") if schema.get("type") == "object" else schema.get("type", "anything"))
