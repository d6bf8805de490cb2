"""IAM is enforced in the local cloud as on AWS: every route answers and every schedule runs with its function's
permissions.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from infra.demo.stage import ADDRESS, TOKEN, Stage, is_delivered
from infra.local.stack import STACK
from infra.operator.client import Json, Session, Shop, poll
from infra.operator.target import State, client
from infra.replay.catalogue import adjust_when_known
from mercato.http import ADMIN, CUSTOMER, PUBLIC
from tests.e2e.client import HTTP
from tests.kit.routes import Served, all_routes
from tests.kit.template import resources_of_type

READS = [served for served in all_routes() if served.route.method == "GET" and served.route.path.startswith("/api/")]
FOR_ADMINS = [served for served in READS if served.route.roles & {ADMIN, CUSTOMER, PUBLIC}]
# The query parameters without which a route answers 4xx.
NEEDED = {
    "/api/documents": {"order_id": "an-order"},
    "/api/ops/orders/days": {"from": "2026-11-01", "to": "2026-11-30"},
    "/api/products/lookup": {"product_ids": "no-product"},
    "/api/users": {"email": "nobody@example.com"},
    "/api/payments": {"order_id": "019ab1de-8a00-7c3f-9c1e-0c6e4a2f7b11"},
}
# Of a shop with the mesh, and of one with EasyPost; tests/integration/issuer and tests/integration/shipping run them.
OF_OTHER_SHOPS = {"MeshIssuer", "ShippingReconciler"}
SCHEDULED = sorted(
    name
    for name, function in resources_of_type("AWS::Serverless::Function").items()
    if any(event["Type"] == "ScheduleV2" for event in function["Properties"].get("Events", {}).values())
    and name not in OF_OTHER_SHOPS
)


def by_name(served: Served) -> str:
    return served.name


@pytest.fixture(scope="module")
def stage(shop: Shop, admin: Session, shop_state: State) -> Stage:
    return Stage(shop, admin, shop_state.endpoint, patience=90)


@pytest.fixture(scope="module")
def regular(stage: Stage) -> Session:
    return stage.new_customer("Regular")


@pytest.fixture(scope="module")
def delivered(stage: Stage, regular: Session) -> Json:
    product = stage.new_product("Kettle", pence=1900, stock=5)
    line = {"product_id": product.product_id, "quantity": 1, "unit_price": product.price}
    placed = regular.place_order([line], token=TOKEN, address=ADDRESS, key=stage.new_key())
    return regular.wait_for_order(placed["order_id"], is_delivered, what="is delivered", within=90)


@pytest.fixture(scope="module")
def ids(regular: Session, admin: Session, delivered: Json) -> dict[str, str]:
    history = regular.get(f"/orders/{delivered['order_id']}/history")["facts"]
    return {
        "order_id": delivered["order_id"],
        "shipment_id": delivered["shipment"]["shipment_id"],
        "payment_id": next(fact["data"]["payment_id"] for fact in history if fact["data"].get("payment_id")),
        "charge_id": str(uuid.uuid4()),
        "notification_id": regular.get("/notifications")["items"][0]["notification_id"],
        "product_id": delivered["lines"][0]["product_id"],
        "user_id": regular.get("/users/me")["user_id"],
        "cart_id": "guest-of-nobody",
        "checkout_id": str(uuid.uuid4()),
        "document_id": str(uuid.uuid4()),
        "stop_id": str(uuid.uuid4()),
        "code": "NOBODY",
        "token": "nobodys-link",
        "image_id": str(uuid.uuid4()),
        "import_id": str(uuid.uuid4()),
        "return_id": str(uuid.uuid4()),
        "queue": "orders",
        "request_id": history[0]["correlation_id"],
        "name": "products",
        "language": "de",
    }


@pytest.mark.parametrize("served", FOR_ADMINS, ids=by_name)
def test_whatever_an_admin_reads_is_there_or_is_not(
    shop_state: State, admin: Session, ids: dict[str, str], served: Served
) -> None:
    headers = {"Authorization": f"Bearer {admin._fresh_token()}"}

    query = NEEDED.get(served.route.path)
    answer = HTTP.get(shop_state.base_url + served.path(ids), params=query, headers=headers, timeout=60)

    assert answer.status_code in (200, 404), answer.text


@pytest.mark.parametrize("query", ["", "?sort=price", "?sort=-price", "?sort=newest", "?q=kettle", "?category=Demo"])
def test_the_catalogue_is_read_in_every_way(shop_state: State, delivered: Json, query: str) -> None:
    assert HTTP.get(f"{shop_state.base_url}/api/products{query}", timeout=60).status_code == 200


def test_a_customer_s_ordinary_day(stage: Stage, regular: Session) -> None:
    kettle, mug = (stage.new_product(name, pence=100, stock=9) for name in ("Kettle", "Mug"))
    guest = stage.shop.call("POST", "/carts/guests")["cart_id"]
    for product in (kettle, mug):
        stage.shop.call("PUT", f"/carts/guests/{guest}/items/{product.product_id}", {"quantity": 2})
    stage.shop.call("DELETE", f"/carts/guests/{guest}/items/{mug.product_id}")

    regular.put(f"/carts/mine/items/{mug.product_id}", {"quantity": 1})
    merged = regular.post("/carts/merge", {"guest_cart_id": guest})
    assert {line["product_id"] for line in merged["lines"]} == {kettle.product_id, mug.product_id}
    stage.shop.call("DELETE", f"/carts/mine/items/{mug.product_id}", token=regular._fresh_token())
    regular.put("/notifications/preferences", {"email": False})
    assert regular.get("/notifications/preferences")["email"] is False
    regular.patch("/users/me", {"name": "Regular Customer"})
    note = regular.get("/notifications", unread="true")["items"][0]["notification_id"]
    regular.post(f"/notifications/{note}/read")
    assert regular.get("/carts/mine")["lines"][0]["product_id"] == kettle.product_id


def test_a_customer_is_told_when_a_lamp_is_back(stage: Stage, regular: Session, admin: Session) -> None:
    lamp = {"sku": f"LAMP-{stage.tag}", "name": "Lamp", "price": {"amount": 1900, "currency": "GBP"}}
    product_id = admin.post("/products", lamp, key=stage.new_key())["product_id"]
    wish = f"/notifications/wishes/{product_id}"
    regular.put(wish, {})
    stage.shop.call("DELETE", wish, token=regular._fresh_token())
    regular.put(wish, {})
    assert [one["name"] for one in regular.get("/notifications/wishes")["items"]] == ["Lamp"]

    path = f"/inventory/{product_id}/adjustments"
    adjust_when_known(admin, path, {"delta": 3, "reason": "delivery"}, stage.new_key(), stage.shop.clock)

    poll(
        lambda: [one["kind"] for one in regular.get("/notifications")["items"]],
        lambda kinds: "back_in_stock" in kinds,
        what="the notification",
        within=60,
    )
    assert regular.get("/notifications/wishes")["items"] == []


def test_an_admin_s_ordinary_day(stage: Stage, admin: Session) -> None:
    made = stage.new_product("Toaster", pence=4900, stock=3)
    path = f"/products/{made.product_id}"
    renamed = admin.patch(path, {"name": f"Toast rack {stage.tag}", "version": admin.get(path)["version"]})
    assert renamed["name"].startswith("Toast rack")
    stage.shop.call("DELETE", path, token=admin._fresh_token())
    sheet = f"sku,name,price,currency\nCSV-{stage.tag},Sieve,12.00,GBP\n"
    report = admin.post("/products/imports", csv=sheet, key=stage.new_key())
    assert report["created"] == 1, report


@pytest.mark.parametrize("name", SCHEDULED)
def test_every_schedule_runs(shop_state: State, name: str) -> None:
    function = resources_of_type("AWS::Serverless::Function")[name]["Properties"]["FunctionName"]["Fn::Sub"]
    function = function.replace("${AWS::StackName}", STACK)

    answer: dict[str, Any] = client(shop_state, "lambda").invoke(FunctionName=function, Payload=json.dumps({}).encode())

    assert "FunctionError" not in answer, answer["Payload"].read().decode()
