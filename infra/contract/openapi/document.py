"""Builds the document: paths from the operations, components from their models, and the shared parts."""

from __future__ import annotations

import functools
import json
import re
import tomllib
from typing import Any

from infra.contract.openapi import common
from infra.contract.openapi.examples import SAMPLES, example_of
from infra.contract.openapi.operations import Operation, operations
from infra.contract.openapi.problems import problems_of
from infra.contract.openapi.schemas import resolve, schemas_of
from infra.contract.services import SERVICES
from infra.paths import ROOT
from mercato.http import MAX_ID, RawBody
from mercato.http.response import Document

_SUCCESS = {200: "Done.", 201: "Created.", 202: "Accepted. It is done later.", 204: "Done. The response has no body."}


def version() -> str:
    found: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return found


@functools.cache
def build() -> dict[str, Any]:
    """Builds the whole document. Its order is the same at every run."""
    found = operations()
    schemas, components = _models_of(found)
    paths: dict[str, dict[str, Any]] = {}
    for operation in found:
        said = _Writer(operation, schemas, components).write()
        paths.setdefault(operation.route.path, {})[operation.route.method.lower()] = said
    _link(found, paths, components)
    refusals = {
        common.refusal_name(status, kinds): common.refusal(status, kinds)
        for operation in found
        for status, kinds in problems_of(operation).items()
    }
    shared = common.components()
    shared["responses"] |= dict(sorted(refusals.items()))
    used = _used({"paths": paths, "responses": shared["responses"]}, components | common.schemas())
    return {
        "openapi": "3.1.0",
        "info": common.info(version()),
        "servers": [{"url": "/", "description": "Where this document was read; a stage's path comes before it."}],
        "tags": [{"name": service, "description": SERVICES[service]} for service in sorted({o.service for o in found})],
        "paths": dict(sorted(paths.items())),
        "components": shared | {"schemas": dict(sorted(used.items()))},
    }


type Schemas = dict[tuple[str, str], dict[str, Any]]


def _models_of(found: list[Operation]) -> tuple[Schemas, dict[str, Any]]:
    """Returns the models' schemas by operation and use (body, query, result), and the components."""
    keys: list[tuple[str, str]] = []
    models: list[Any] = []
    for operation in found:
        for use, model in (("body", operation.body), ("query", operation.query), ("result", operation.result)):
            if model is not None and not (isinstance(model, type) and issubclass(model, (RawBody, Document))):
                keys.append((operation.name, use))
                models.append((model, "serialization" if use == "result" else "validation"))
    schemas, components = schemas_of(models)
    return dict(zip(keys, schemas, strict=True)), components


class _Writer:
    """Writes one operation's part of the document."""

    def __init__(self, operation: Operation, schemas: Schemas, components: dict[str, Any]) -> None:
        self._operation = operation
        self._schemas = schemas
        self._components = components

    def write(self) -> dict[str, Any]:
        operation = self._operation
        found: dict[str, Any] = {
            "operationId": operation.name,
            "tags": [operation.service],
            "summary": operation.summary,
        }
        if operation.description:
            found["description"] = operation.description
        if parameters := [*self._path_parameters(), *self._query_parameters(), *self._header_parameters()]:
            found["parameters"] = parameters
        if operation.body is not None:
            found["requestBody"] = self._request_body(operation.body)
        found["responses"] = self._success() | self._refusals() | common.failures()
        found["security"] = [] if operation.is_public else [{"accessToken": []}]
        if operation.roles:
            found["x-roles"] = operation.roles
        return found

    def _path_parameters(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1, "maxLength": MAX_ID},
                "example": SAMPLES.get(name) or example_of({"type": "string"}, {}, name),
            }
            for name in self._operation.path_parameters
        ]

    def _query_parameters(self) -> list[dict[str, Any]]:
        if self._operation.query is None:
            return []
        model = resolve(self._schemas[(self._operation.name, "query")], self._components)
        found = []
        for name, schema in model["properties"].items():
            asked = _without_null(schema)
            parameter = {"name": name, "in": "query", "required": name in model.get("required", ())}
            if "description" in asked:
                parameter["description"] = asked.pop("description")
            if name == "cursor":
                parameter["description"] = "`next_cursor` of the page before; it belongs to its list."
            found.append(parameter | {"schema": asked})
        return found

    def _header_parameters(self) -> list[dict[str, Any]]:
        found = []
        if self._operation.takes_key:
            found.append({"$ref": "#/components/parameters/IdempotencyKey"})
        if self._operation.is_signed:
            found += [{"$ref": f"#/components/parameters/{name}"} for name in ("WebhookTimestamp", "WebhookSignature")]
        return found

    def _request_body(self, body: Any) -> dict[str, Any]:
        if issubclass(body, RawBody):
            said = {"schema": {"type": "string"}, "example": body.example}
            return {"required": True, "description": (body.__doc__ or "").strip(), "content": {body.media_type: said}}
        schema = self._schemas[(self._operation.name, "body")]
        if self._operation.route.method == "PATCH":  # a field that is left out stays as it is, and has no default
            for field in resolve(schema, self._components)["properties"].values():
                field.pop("default", None)
        return {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": example_of(schema, self._components)}},
        }

    def _success(self) -> dict[str, Any]:
        operation = self._operation
        said: dict[str, Any] = {
            "description": _SUCCESS[operation.status],
            "headers": common.headers(operation.route.limit),
        }
        if operation.has_location:
            said["headers"]["Location"] = {"$ref": "#/components/headers/Location"}
        if operation.result is not None:
            said["content"] = self._content(operation.result)
        return {str(operation.status): said}

    def _content(self, result: Any) -> dict[str, Any]:
        if isinstance(result, type) and issubclass(result, Document):
            kind, _, _ = result.media_type.partition(";")
            return {kind: {"schema": {"type": "object" if kind == "application/json" else "string"}}}
        schema = self._schemas[(self._operation.name, "result")]
        return {"application/json": {"schema": schema, "example": example_of(schema, self._components)}}

    def _refusals(self) -> dict[str, Any]:
        return {
            str(status): {"$ref": f"#/components/responses/{common.refusal_name(status, kinds)}"}
            for status, kinds in problems_of(self._operation).items()
        }


def _used(part: Any, components: dict[str, Any]) -> dict[str, Any]:
    """Returns the components that `part` references, directly or through other components.

    A query's model is not referenced, because its fields become parameters.
    """
    found: dict[str, Any] = {}
    left = [part]
    while left:
        text = json.dumps(left.pop())
        for name in set(re.findall(r'"#/components/schemas/([^"]+)"', text)) - found.keys():
            found[name] = components[name]
            left.append(components[name])
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Removes null from the schema of an optional parameter, because a query string has no null."""
    found = {name: part for name, part in schema.items() if not (name == "default" and part is None)}
    choices = [one for one in found.pop("anyOf", []) if one != {"type": "null"}]
    return found | choices[0] if len(choices) == 1 else found | ({"anyOf": choices} if choices else {})


def _link(found: list[Operation], paths: dict[str, dict[str, Any]], components: dict[str, Any]) -> None:
    """Adds links from operations that create an object to operations that take its id.

    The response field and the path parameter have the same name.
    """
    for maker in found:
        responses = paths[maker.route.path][maker.route.method.lower()]["responses"]
        for status in {"201", "202"} & responses.keys():
            content = responses[status].get("content", {}).get("application/json")
            if content is None:
                continue
            fields = resolve(content["schema"], components).get("properties", {})
            links = {
                taker.name: {"operationId": taker.name, "parameters": {name: f"$response.body#/{name}"}}
                for taker in found
                if len(taker.path_parameters) == 1
                for name in taker.path_parameters
                if name in fields and name.endswith("_id")
            }
            if links:
                responses[status]["links"] = dict(sorted(links.items()))
