"""Every change that breaks a client of an older document is found. Other changes are accepted."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.contract import events
from infra.contract.openapi import document
from infra.contract.openapi.clients import breaks, may_break
from infra.trouble import Trouble

Doc = dict[str, Any]

REF = "#/components/schemas/"
TEA: Doc = {
    "paths": {
        "/api/teas": {
            "post": {
                "security": [{"accessToken": []}],
                "x-roles": ["admin", "customer"],
                "parameters": [
                    {"name": "limit", "in": "query", "required": False, "schema": {"type": "integer", "maximum": 100}},
                    {"$ref": "#/components/parameters/Key"},
                ],
                "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": REF + "Brew"}}}},
                "responses": {
                    "201": {
                        "headers": {"Location": {}},
                        "content": {"application/json": {"schema": {"$ref": REF + "Tea"}}},
                    },
                    "422": {},
                },
            }
        }
    },
    "components": {
        "parameters": {"Key": {"name": "Key", "in": "header", "required": False, "schema": {"type": "string"}}},
        "schemas": {
            "Brew": {
                "type": "object",
                "additionalProperties": False,
                "required": ["kind"],
                "properties": {
                    "kind": {"type": "string", "enum": ["green", "black"]},
                    "note": {"anyOf": [{"type": "string", "maxLength": 80}, {"type": "null"}]},
                    "cups": {"type": "integer", "minimum": 1},
                    "leaves": {"type": "array", "items": {"$ref": REF + "Leaf"}},
                },
            },
            "Leaf": {"type": "object", "required": [], "properties": {"name": {"type": "string"}}},
            "Tea": {"type": "object", "required": ["tea_id"], "properties": {"tea_id": {"type": "string"}}},
        },
    },
}


def post(doc: Doc) -> Doc:
    found: Doc = doc["paths"]["/api/teas"]["post"]
    return found


def brew(doc: Doc) -> Doc:
    found: Doc = doc["components"]["schemas"]["Brew"]
    return found


def remove_path(doc: Doc) -> None:
    del doc["paths"]["/api/teas"]


def rename_method(doc: Doc) -> None:
    doc["paths"]["/api/teas"]["put"] = doc["paths"]["/api/teas"].pop("post")


def drop_role(doc: Doc) -> None:
    post(doc)["x-roles"] = ["admin"]


def drop_parameter(doc: Doc) -> None:
    del post(doc)["parameters"][0]


def require_parameter(doc: Doc) -> None:
    doc["components"]["parameters"]["Key"]["required"] = True


def add_required_parameter(doc: Doc) -> None:
    post(doc)["parameters"].append({"name": "pot", "in": "query", "required": True, "schema": {"type": "string"}})


def lower_limit(doc: Doc) -> None:
    post(doc)["parameters"][0]["schema"]["maximum"] = 50


def require_field(doc: Doc) -> None:
    brew(doc)["required"].append("cups")


def add_required_field(doc: Doc) -> None:
    brew(doc)["properties"]["pot"] = {"type": "string"}
    brew(doc)["required"].append("pot")


def remove_field(doc: Doc) -> None:
    del brew(doc)["properties"]["cups"]


def narrow_enum(doc: Doc) -> None:
    brew(doc)["properties"]["kind"]["enum"] = ["green"]


def forbid_null(doc: Doc) -> None:
    brew(doc)["properties"]["note"] = {"type": "string", "maxLength": 80}


def retype_field(doc: Doc) -> None:
    brew(doc)["properties"]["cups"] = {"type": "string"}


def ask_for_a_pattern_deep_inside(doc: Doc) -> None:
    doc["components"]["schemas"]["Leaf"]["properties"]["name"]["pattern"] = "^[a-z]+$"


def change_media_type(doc: Doc) -> None:
    post(doc)["requestBody"]["content"]["text/csv"] = post(doc)["requestBody"]["content"].pop("application/json")


def change_status(doc: Doc) -> None:
    post(doc)["responses"]["202"] = post(doc)["responses"].pop("201")


def drop_header(doc: Doc) -> None:
    post(doc)["responses"]["201"]["headers"] = {}


def drop_answered_field(doc: Doc) -> None:
    doc["components"]["schemas"]["Tea"]["properties"] = {}


def answer_null(doc: Doc) -> None:
    doc["components"]["schemas"]["Tea"]["properties"]["tea_id"] = {"anyOf": [{"type": "string"}, {"type": "null"}]}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (remove_path, "removed"),
        (rename_method, "removed"),
        (drop_role, "no longer for the role customer"),
        (drop_parameter, "query parameter limit: removed"),
        (require_parameter, "header parameter Key: required now"),
        (add_required_parameter, "query parameter pot: required now"),
        (lower_limit, "query parameter limit: maximum is 50 now"),
        (require_field, "body.cups: required now"),
        (add_required_field, "body.pot: required now"),
        (remove_field, "body.cups: removed"),
        (narrow_enum, 'body.kind: may no longer be "black"'),
        (forbid_null, "body.note: may no longer be null"),
        (retype_field, "body.cups: integer became string"),
        (ask_for_a_pattern_deep_inside, "body.leaves[].name: pattern is ^[a-z]+$ now"),
        (change_media_type, "body: application/json is no longer taken"),
        (change_status, "no longer answers 201"),
        (drop_header, "201: header Location removed"),
        (drop_answered_field, "201: tea_id: removed"),
        (answer_null, "201: tea_id: may now be null"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_change_that_breaks_a_client_is_named(change: Callable[[Doc], None], found: str) -> None:
    now = copy.deepcopy(TEA)
    change(now)

    assert breaks(TEA, now) == [f"POST /api/teas: {found}"]


def open_to_all(doc: Doc) -> None:
    post(doc)["security"], post(doc)["x-roles"] = [], []


def add_operation(doc: Doc) -> None:
    doc["paths"]["/api/cups"] = copy.deepcopy(doc["paths"]["/api/teas"])


def add_optional_field(doc: Doc) -> None:
    brew(doc)["properties"]["pot"] = {"type": "string"}


def widen_what_is_taken(doc: Doc) -> None:
    brew(doc)["properties"]["kind"]["enum"].append("white")
    brew(doc)["properties"]["cups"] = {"type": "number"}
    brew(doc)["required"] = []
    post(doc)["parameters"][0]["schema"]["maximum"] = 500


def answer_more(doc: Doc) -> None:
    doc["components"]["schemas"]["Tea"]["properties"]["colour"] = {"type": "string"}
    post(doc)["responses"]["409"] = {}


@pytest.mark.parametrize(
    "change",
    [open_to_all, add_operation, add_optional_field, widen_what_is_taken, answer_more],
    ids=lambda f: f.__name__,
)
def test_a_change_that_breaks_no_client_is_let_be(change: Callable[[Doc], None]) -> None:
    now = copy.deepcopy(TEA)
    change(now)

    assert breaks(TEA, now) == []


def test_each_operation_of_the_real_document_is_missed_when_it_goes() -> None:
    document = json.loads(events.OPENAPI.read_text())
    for path, methods in document["paths"].items():
        now = document | {"paths": {other: found for other, found in document["paths"].items() if other != path}}

        assert breaks(document, now) == [f"{method.upper()} {path}: removed" for method in sorted_as_http(methods)]
    assert breaks(document, document) == []


def sorted_as_http(methods: dict[str, Any]) -> list[str]:
    return [method for method in ("get", "post", "put", "patch", "delete") if method in methods]


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        ("0.1.0", "0.1.1", False),
        ("0.1.0", "0.2.0", True),
        ("0.9.0", "1.0.0", True),
        ("1.1.0", "1.2.0", False),
        ("1.1.0", "2.0.0", True),
    ],
)
def test_a_version_says_whether_it_may_break_clients(old: str, new: str, allowed: bool) -> None:
    assert may_break(old, new) is allowed


def test_the_generator_does_not_write_what_would_break_a_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = json.loads(events.OPENAPI.read_text())
    released["paths"]["/api/teas"] = {"get": {"security": [], "responses": {}}}
    (tmp_path / f"openapi-{document.version()}.json").write_text(json.dumps(released))
    monkeypatch.setattr(events, "RELEASES", tmp_path)

    with pytest.raises(Trouble, match="GET /api/teas: removed"):
        events.write()


def test_a_release_is_kept_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "RELEASES", tmp_path)
    kept = events.release()
    assert kept.read_text() == events.OPENAPI.read_text()
    assert events.release() == kept

    kept.write_text("{}")
    with pytest.raises(Trouble, match="is released"):
        events.release()
    assert kept.read_text() == "{}"
