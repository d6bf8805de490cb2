"""No JSON that a client can write makes a route fail: each scalar of each route's body and query gets each hostile
value.

The requests pass the services' own routers up to the route's function, which is replaced, since the test is about the
code in front of it. Webhooks are read by the same `read_body` after their signature is checked.
"""

from __future__ import annotations

import contextlib
import copy
import json
import typing
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ConfigDict

from infra.contract import events
from mercato.errors import Malformed
from mercato.http import App, Query, RawBody, SignedBody
from mercato.http.auth import Role
from mercato.http.request import Body, InvalidRequest, read_body
from tests.kit import aws_events
from tests.kit.routes import Served, all_routes

DOCUMENT = json.loads(events.OPENAPI.read_text())
# As JSON text, since Python's encoder does not write most of these.
HOSTILE = [
    "1e1000000000000000000",
    "-1E+1000000000000000000",
    "0e1000000000000000000",
    "1e-1000000000000000000",
    "1e400",
    "9" * 5000,
    "-0",
    "-0.0",
    "2.0",
    "0.1",
    "NaN",
    "Infinity",
    "true",
    "null",
    "{}",
    "[]",
    "[" * 40 + "]" * 40,
    '""',
    '" "',
    r'"\ud800"',
    r'"\udc00\ud800"',
    r'"\u0000"',
    r'"\u202e"',
    r'"\ufeff"',
    r'"\uffff"',
    '"' + "x" * 10_000 + '"',
    '"' + "\U0001f469\u200d\U0001f680" * 100 + '"',
    '"' + "e\u0301" * 100 + '"',
]
# A peer's route is not in the document.
EXAMPLES = {
    "POST /api/checkouts/prices": {
        "lines": [{"product_id": "019ab1de-5c3a-7e21-9f04-0d6b8a2f4c11", "quantity": 2}],
        "shipping_address": {
            "name": "Ada Lovelace",
            "line1": "1 Quay",
            "city": "Leith",
            "postcode": "EH6 6QQ",
            "country": "GB",
        },
        "service": "standard",
    },
    "POST /api/checkouts/verifications": {"quote": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"},
    "POST /api/orders/lookup": {"email": "ada@example.com", "since": "2026-11-22T12:00:00Z"},
    "POST /api/products/lookup": {"product_ids": ["019ab1de-5c3a-7e21-9f04-0d6b8a2f4c11"]},
    "POST /api/promotions/evaluations": {
        "codes": ["AUTUMN-10"],
        "entered": ["AUTUMN-10"],
        "goods": [{"product_id": "019ab1de-5c3a-7e21-9f04-0d6b8a2f4c11", "price": 2500, "category": "Lighting"}],
        "currency": "GBP",
        "email": "ada@example.com",
    },
    "POST /api/users/lookup": {"email": "ada@example.com"},
}
BODIES = [served for served in all_routes() if served.body is not None]


def example_of(served: Served) -> Any:
    if served.name in EXAMPLES:
        return EXAMPLES[served.name]
    operation = DOCUMENT["paths"][served.route.path][served.route.method.lower()]
    return operation["requestBody"]["content"]["application/json"]["example"]


def spots_in(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every scalar, object and list."""
    yield path
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from spots_in(part, (*path, key))


def with_hostile(example: Any, path: tuple[str | int, ...], hostile: str) -> str:
    """The example as JSON text, with the hostile text in one place."""
    mark = "the place of the hostile text"
    if not path:
        return hostile
    changed = copy.deepcopy(example)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = mark
    return json.dumps(changed).replace(f'"{mark}"', hostile)


def caller_for(served: Served) -> dict[str, str]:
    role = "admin" if "admin" in {role.value for role in served.route.roles} else "customer"
    return {"user": "019ab1de-5c3a-7e21-9f04-0d6b8a2f4c11", "role": role}


def app_that_only_reads(served: Served) -> App:
    app = App(served.service)
    app.routes = [replace(served.route, function=lambda **_: None, roles=frozenset(Role), limit=None)]
    return app


def event_of(served: Served, body: str | None, query: dict[str, str] | None = None) -> dict[str, Any]:
    path = served.path(dict.fromkeys(served.parameters, "019ab1de-5c3a-7e21-9f04-0d6b8a2f4c11"))
    headers = {"idempotency-key": "a-key", "content-type": "application/json"}
    return aws_events.rest_request(served.route.method, path, body, **caller_for(served), headers=headers, query=query)


@pytest.mark.parametrize("served", BODIES, ids=lambda served: served.name)
def test_no_json_makes_a_route_fail(served: Served) -> None:
    app, example = app_that_only_reads(served), example_of(served)
    assert app.handler(event_of(served, json.dumps(example)), None)["statusCode"] == 200
    for path in spots_in(example):
        for hostile in HOSTILE:
            body = with_hostile(example, path, hostile)
            answer = app.handler(event_of(served, body), None)
            assert answer["statusCode"] in (200, 400, 422), (path, hostile[:40], answer["body"][:300])
            # A refusal is a problem document of ours, in JSON that any client can read.
            if answer["statusCode"] != 200:
                json.loads(answer["body"].encode())


QUERIES = [
    served
    for served in all_routes()
    if any(isinstance(kind, type) and issubclass(kind, Query) for kind in served.route.parameters.values())
]


@pytest.mark.parametrize("served", QUERIES, ids=lambda served: served.name)
def test_no_query_makes_a_route_fail(served: Served) -> None:
    (model,) = [kind for kind in served.route.parameters.values() if isinstance(kind, type) and issubclass(kind, Query)]
    app = app_that_only_reads(served)
    for name, field in model.model_fields.items():
        for hostile in ("", " ", "-1", "1e999999999999", "9" * 5000, "NaN", "\x00", "\u202e", "x" * 5000, "é", "[]"):
            answer = app.handler(event_of(served, None, {field.alias or name: hostile}), None)
            assert answer["statusCode"] in (200, 400, 422), (name, hostile[:40], answer["body"][:300])


def test_every_route_that_takes_a_body_is_among_them() -> None:
    """The other routes read theirs after the signature is checked, or as a file."""
    raw = {
        served.name
        for served in all_routes()
        if any(
            issubclass(typing.get_origin(kind) or kind, SignedBody | RawBody)
            for kind in served.route.parameters.values()
        )
    }
    with_body = {
        f"{method.upper()} {path}"
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        if "requestBody" in operation
    }
    assert {served.name for served in BODIES} | raw >= with_body
    assert {served.name for served in BODIES} <= with_body | set(EXAMPLES)


class Anything(Body):
    """A webhook whose whole body is read."""

    model_config = ConfigDict(extra="allow")


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda text: text[:24])
def test_no_json_makes_the_reading_of_a_webhook_fail(hostile: str) -> None:
    """`read_body` reads a webhook after its signature is checked, into a model that ignores unknown fields."""
    for body in (hostile, f'{{"id": {hostile}}}', f'{{"id": "1", "data": {{"object": [{hostile}]}}}}'):
        with contextlib.suppress(Malformed, InvalidRequest):
            read_body(Anything, body.encode("utf-8", "surrogatepass"))
