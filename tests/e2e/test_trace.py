"""`mercato trace` on the running shop shows everything that one request caused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from functools import partial
from pathlib import Path
from typing import Any

from infra.demo.stage import Stage
from infra.operator.client import Session, Shop, poll
from infra.operator.target import State
from tests.e2e.client import HTTP

MERCATO = Path(sys.executable).parent / "mercato"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def trace(request_id: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MERCATO, "trace", request_id, *options], env=dict(os.environ), capture_output=True, text=True, timeout=60
    )


def story_of(request_id: str) -> list[dict[str, Any]]:
    told = trace(request_id, "--json")
    found: list[dict[str, Any]] = json.loads(told.stdout)["story"] if told.returncode == 0 else []
    return found


def recorded(admin: Session, event_type: str, request_id: str) -> list[dict[str, Any]]:
    """The events of this type in the journal that go back to the request."""
    newest = admin.get("/ops/events", type=event_type, limit=200)["items"]
    return [event for event in newest if event["correlation_id"] == request_id]


def walk(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [found for node in nodes for found in [node, *walk(node["children"])]]


def is_told(story: list[dict[str, Any]]) -> bool:
    """Whether the trace has the mail about the last event of an order."""
    return any(node["what"].startswith("order_delivered") for node in walk(story))


def test_the_story_of_an_order_is_one_tree_from_the_request_to_the_last_mail(
    shop_state: State, shop: Shop, admin: Session, customer: Session
) -> None:
    request_id = f"e2e-{uuid.uuid4()}"
    lantern = Stage(shop, admin, shop_state.endpoint, patience=60).new_product("Storm lantern", pence=1250, stock=1)
    answer = HTTP.post(
        f"{shop_state.base_url}/api/orders",
        headers={
            "Authorization": f"Bearer {customer._fresh_token()}",
            "Idempotency-Key": request_id,
            "X-Request-Id": request_id,
            "Traceparent": f"00-{TRACE}-{PARENT}-01",
        },
        json={
            "lines": [{"product_id": lantern.product_id, "quantity": 1, "unit_price": lantern.price}],
            "payment_token": "tok_ok",
            "shipping_address": {"name": "C", "line1": "1 Quay", "city": "Leith", "postcode": "EH6", "country": "GB"},
        },
        timeout=30,
    )
    assert (answer.status_code, answer.headers["X-Request-Id"]) == (202, request_id)

    story = poll(lambda: story_of(request_id), is_told, what="the story is whole", within=90)

    (root,) = story
    nodes = walk(story)
    assert (root["what"], root["result"], root["parent_id"]) == ("POST /api/orders", "202", PARENT)
    assert {node["trace_id"] for node in nodes} == {TRACE}
    assert [node["what"] for node in nodes if node["kind"] == "step"] == [
        "ReserveInventory",
        "AuthorizePayment",
        "KeepReservation",
        "ConfirmOrder",
        "CapturePayment",
    ]
    mails = {node["what"].partition(" ")[0] for node in nodes if node["kind"] == "e-mail"}
    assert mails == {"order_confirmed", "receipt", "order_shipped", "order_delivered"}
    calls = [node for node in nodes if node["kind"] == "call"]
    asked = [(peer["what"].partition("?")[0], peer["parent_id"]) for call in calls for peer in call["children"]]
    assert asked[0] == ("POST /api/checkouts/prices", calls[0]["call_id"])
    assert {what for what, _ in asked} >= {"POST /api/products/lookup", "POST /api/shipments/quotes"}
    assert {parent for _, parent in asked} == {call["call_id"] for call in calls}
    assert f"{request_id}  " in trace(request_id).stdout
    for event_type in ("order.created", "inventory.reserved", "order.confirmed", "shipment.delivered"):
        poll(
            partial(recorded, admin, event_type, request_id),
            bool,
            what=f"the journal has {event_type}",
            within=30,
        )


def test_an_unknown_id_is_said_to_be_unknown(shop_state: State) -> None:
    told = trace("nobody-ever-sent-this")

    assert told.returncode == 1
    assert "no function has logged the request id nobody-ever-sent-this" in told.stderr
