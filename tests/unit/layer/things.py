"""An API of things with one route of each kind, for test_http.py and test_http_input.py."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from mercato.errors import Conflict, DomainError, NotFound, TransientError
from mercato.http import (
    ADMIN,
    CUSTOMER,
    PEER,
    PUBLIC,
    Accepted,
    App,
    Body,
    Created,
    IdempotencyKey,
    NoContent,
    Query,
    Request,
    Response,
    View,
    read_body,
)
from mercato.http.auth import Caller
from mercato.invocation import deadline
from mercato.money import Money
from mercato.telemetry import correlation
from tests.kit import aws_events


class Thing(Body):
    name: Annotated[str, Field(min_length=1, max_length=20)]
    count: int = 1
    tags: list[str] = []


class Anything(Body):
    value: Any = None


class ThingView(View):
    name: str
    count: int


class Paging(Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    q: str | None = None


class OutOfTea(Conflict):
    pass


class Odd(DomainError):
    """An error of an unknown kind."""


app = App("things")


@app.post("/api/things", role=CUSTOMER)
def make_thing(thing: Thing, caller: Caller, key: IdempotencyKey) -> Response[ThingView]:
    return Created(ThingView(name=f"{caller.user_id}/{key}/{thing.name}", count=thing.count), "/api/things/1")


@app.post("/api/accepted", role=CUSTOMER)
def accept_thing(thing: Thing) -> Response[ThingView]:
    return Accepted(ThingView(name=thing.name, count=thing.count), "/api/things/1")


@app.get("/api/things", role=PUBLIC)
def list_things(query: Paging) -> dict[str, Any]:
    return {"limit": query.limit, "q": query.q}


@app.get("/api/things/{thing_id}", role=PUBLIC)
def show_thing(thing_id: str) -> ThingView:
    return ThingView(name=thing_id, count=len(thing_id))


@app.get("/api/things/{thing_id}/parts/{part_id}", role=PUBLIC)
def show_part(part_id: str, thing_id: str) -> dict[str, str]:
    return {"thing": thing_id, "part": part_id}


@app.delete("/api/things/{thing_id}", role=ADMIN)
def drop_thing(thing_id: str) -> Response[None]:
    return NoContent()


@app.post("/api/accepted/peers", role=PEER)
def ask_as_a_peer(body: Thing) -> dict[str, str]:
    return {"name": body.name}


@app.get("/api/accepted/peers", role=CUSTOMER)
def ask_as_a_customer() -> dict[str, str]:
    return {}


@app.get("/api/peers", role=PEER)
def for_peers(caller: Caller) -> dict[str, str]:
    return {"user_id": caller.user_id, "arn": caller.peer_arn}


@app.post("/api/raw", role=PUBLIC)
def take_raw(request: Request) -> dict[str, Any]:
    return {"thing": read_body(Thing, request.body).name, "query": request.query}


@app.post("/api/anything", role=PUBLIC)
def take_anything(body: Anything) -> dict[str, Any]:
    return {"value": body.value}


@app.get("/api/errors/{kind}", role=PUBLIC)
def fail(kind: str) -> None:
    raise {
        "conflict": OutOfTea("There is no tea.", status="green", left=[Money(amount=1, currency="GBP")]),
        "not-found": NotFound("Gone."),
        "odd": Odd("Odd."),
        "transient": TransientError("secret host name"),
        "bug": KeyError("secret"),
        "recursion": RecursionError(),
    }[kind]


@app.get("/api/values/{kind}", role=PUBLIC)
def answer(kind: str) -> Any:
    return {
        "views": [ThingView(name="a", count=1)],
        "time": {"at": datetime(2026, 11, 22, tzinfo=UTC)},
        "correlation": {"id": correlation.current().correlation_id, "within": deadline.within(60)},
        "text": Response("a,b\n", headers={"Content-Type": "text/csv"}),
    }[kind]


def call(
    method: str,
    path: str,
    *,
    body: Any = None,
    role: str | None = "customer",
    context: Any = None,
    **event: Any,
) -> tuple[int, Any, dict[str, str]]:
    headers = event.pop("headers", {"Idempotency-Key": "key-1"})
    user = "user-1" if role else None
    given = aws_events.rest_request(method, path, body, user=user, role=role, headers=headers)
    found = app.handler(given | event, context)
    return found["statusCode"], json.loads(found["body"]) if found["body"] else None, found["headers"]
