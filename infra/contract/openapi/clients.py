"""Finds the changes of the OpenAPI document that break a client of an older version.

A client's requests must stay valid and its responses readable: the document must keep every operation, require no new
input and remove nothing from a response. New operations, optional fields and parameters, and additional response fields
break no client.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from infra.contract.compatibility import breaking_changes

Doc = Mapping[str, Any]
_METHODS = ("get", "post", "put", "patch", "delete")
# Limits on a client's input. An upper limit must not decrease, and a lower limit must not increase.
_UPPER = ("maximum", "maxLength", "maxItems", "exclusiveMaximum")
_LOWER = ("minimum", "minLength", "minItems", "exclusiveMinimum")


def breaks(old: Doc, new: Doc) -> list[str]:
    """Returns each breaking change as `METHOD /path: change`, and an empty list if clients of `old` can use `new`."""
    return list(_breaks(old, new))


def may_break(old: str, new: str) -> bool:
    """Tells whether version `new` may break clients: a new major version may, and before 1.0.0 a new minor version."""
    was, now = ([int(part) for part in version.split(".")[:2]] for version in (old, new))
    return now[0] > was[0] or (was[0] == now[0] == 0 and now[1] > was[1])


def _breaks(old: Doc, new: Doc) -> Iterator[str]:
    for path, methods in old["paths"].items():
        for method in _METHODS:
            if method not in methods:
                continue
            where = f"{method.upper()} {path}"
            found = new["paths"].get(path, {}).get(method)
            if found is None:
                yield f"{where}: removed"
                continue
            for change in _Compared(old, new, methods[method], found).changes():
                yield f"{where}: {change}"


class _Compared:
    """One operation in the old and in the new document."""

    def __init__(self, old: Doc, new: Doc, was: Doc, now: Doc) -> None:
        self._old, self._new, self._was, self._now = old, new, was, now

    def changes(self) -> Iterator[str]:
        yield from self._callers()
        yield from self._parameters()
        yield from self._body()
        yield from self._answers()

    def _callers(self) -> Iterator[str]:
        if not self._was["security"] and self._now["security"]:
            yield "needs an access token now"
        elif self._now["security"]:
            for role in sorted(set(self._was.get("x-roles", ())) - set(self._now.get("x-roles", ()))):
                yield f"no longer for the role {role}"

    def _parameters(self) -> Iterator[str]:
        was = {(part["in"], part["name"]): part for part in self._each("parameters", self._old, self._was)}
        now = {(part["in"], part["name"]): part for part in self._each("parameters", self._new, self._now)}
        for key, parameter in now.items():
            name = f"{key[0]} parameter {key[1]}"
            if key not in was:
                if parameter["required"]:
                    yield f"{name}: required now"
                continue
            if parameter["required"] and not was[key]["required"]:
                yield f"{name}: required now"
            yield from self._narrowed(name, was[key]["schema"], parameter["schema"])
        for place, name in was.keys() - now.keys():
            if place != "path":  # clients do not see a path parameter's name
                yield f"{place} parameter {name}: removed"

    def _body(self) -> Iterator[str]:
        was, now = (
            self._was.get("requestBody", {}).get("content", {}),
            self._now.get("requestBody", {}).get("content", {}),
        )
        if now and not was:
            yield "body: required now"
        for kind, content in was.items():
            if kind not in now:
                yield f"body: {kind} is no longer taken"
            else:
                yield from self._narrowed("body", content["schema"], now[kind]["schema"])

    def _answers(self) -> Iterator[str]:
        for status, was in self._was["responses"].items():
            if not status.startswith("2"):
                continue
            now = self._now["responses"].get(status)
            if now is None:
                yield f"no longer answers {status}"
                continue
            for name in was.get("headers", {}).keys() - now.get("headers", {}).keys():
                yield f"{status}: header {name} removed"
            for kind, content in was.get("content", {}).items():
                found = now.get("content", {}).get(kind)
                if found is None:
                    yield f"{status}: no longer {kind}"
                    continue
                before = content["schema"] | {"$defs": self._old["components"]["schemas"]}
                after = found["schema"] | {"$defs": self._new["components"]["schemas"]}
                yield from (f"{status}: {change}" for change in breaking_changes(before, after))

    def _narrowed(self, where: str, was: Doc, now: Doc) -> Iterator[str]:
        """Yields the values that the client could send and that the new schema refuses."""
        before, after = self._kinds(was, self._old), self._kinds(now, self._new)
        for kind in before:
            if any(not list(self._narrowed_one(where, kind, other)) for other in after):
                continue
            same = [other for other in after if len(before) == len(after) == 1 or other.get("type") == kind.get("type")]
            if len(same) == 1:
                yield from self._narrowed_one(where, kind, same[0])
            else:
                yield f"{where}: may no longer be {_describe(kind)}"

    def _narrowed_one(self, where: str, was: Doc, now: Doc) -> Iterator[str]:
        types = was.get("type"), now.get("type")
        if types[1] is not None and types[0] != types[1] and types != ("integer", "number"):
            yield f"{where}: {_describe(was)} became {_describe(now)}"
            return
        allowed, before = _values(now), _values(was)
        if allowed is not None and before is None:
            yield f"{where}: may only be {_named(allowed)}"
        elif allowed is not None and before is not None and not before <= allowed:
            yield f"{where}: may no longer be {_named(before - allowed)}"
        for rule in (*_UPPER, *_LOWER):
            if rule in now and (
                rule not in was or ((now[rule] < was[rule]) == (rule in _UPPER) and now[rule] != was[rule])
            ):
                yield f"{where}: {rule} is {now[rule]} now"
        for rule in ("pattern", "format"):
            if rule in now and now[rule] != was.get(rule):
                yield f"{where}: {rule} is {now[rule]} now"
        if "items" in was and "items" in now:
            yield from self._narrowed(f"{where}[]", was["items"], now["items"])
        yield from self._narrowed_fields(where, was, now)

    def _narrowed_fields(self, where: str, was: Doc, now: Doc) -> Iterator[str]:
        fields, known = now.get("properties", {}), was.get("properties", {})
        for name in known:
            if name not in fields and now.get("additionalProperties") is False:
                yield f"{where}.{name}: removed"
            elif name in fields:
                yield from self._narrowed(f"{where}.{name}", known[name], fields[name])
        for name in now.get("required", ()):
            if name not in was.get("required", ()):
                yield f"{where}.{name}: required now"

    @staticmethod
    def _each(what: str, document: Doc, operation: Doc) -> Iterator[Doc]:
        for part in operation.get(what, ()):
            yield document["components"][what][part["$ref"].rpartition("/")[2]] if "$ref" in part else part

    def _kinds(self, schema: Doc, document: Doc) -> list[Doc]:
        """Returns the schema itself or each schema of its anyOf, with references resolved."""
        while "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        if "anyOf" not in schema:
            return [schema]
        return [found for one in schema["anyOf"] for found in self._kinds(one, document)]


def _values(schema: Doc) -> set[str] | None:
    if "const" in schema:
        return {json.dumps(schema["const"])}
    return {json.dumps(value) for value in schema["enum"]} if "enum" in schema else None


def _named(values: set[str]) -> str:
    few = sorted(values)[:5]
    return ", ".join(few) + (f" … ({len(values)} in all)" if len(values) > len(few) else "")


def _describe(schema: Doc) -> str:
    return str(schema.get("type", "anything"))
