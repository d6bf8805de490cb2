"""Every invalid request gets a problem document with the right status and the request id, and never a 5xx."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import httpx
import pytest

from infra.operator.client import Session, poll
from infra.operator.target import State, client
from tests.kit.given import published

ADDRESS = {"name": "T", "line1": "1 Quay", "city": "Leith", "postcode": "EH6 6QQ", "country": "GB"}


@pytest.fixture(scope="module")
def api(shop_state: State) -> httpx.Client:
    return httpx.Client(base_url=f"{shop_state.base_url}/api", timeout=30)


@pytest.fixture
def bearer(customer: Session) -> dict[str, str]:
    return {"Authorization": f"Bearer {customer._fresh_token()}"}


@pytest.fixture(scope="module")
def product(api: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = api.get("/products", params={"q": "lamp"}).json()["items"][0]
    return found


def order(product: dict[str, Any], **line: Any) -> dict[str, Any]:
    wanted = {"product_id": product["product_id"], "quantity": 1, "unit_price": product["price"]} | line
    return {"lines": [wanted], "payment_token": "tok_ok", "shipping_address": ADDRESS}


def assert_problem(answer: httpx.Response, status: int, slug: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["status"] == status
    assert problem["request_id"]
    assert problem["detail"]
    assert "Traceback" not in answer.text
    if slug:
        assert problem["type"] == f"urn:mercato:problem:{slug}"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ("", 400),
        ("[" * 5000, 400),
        ("null", 422),
        ("[]", 422),
        ('{"lines": []}', 422),
    ],
)
def test_a_body_that_is_no_order_is_refused(api: httpx.Client, bearer: dict[str, str], body: str, status: int) -> None:
    assert_problem(api.post("/orders", content=body, headers=bearer | {"Idempotency-Key": "k"}), status)


@pytest.mark.parametrize(
    "line",
    [
        {"quantity": 0},
        {"quantity": -1},
        {"quantity": 10**9},
        {"quantity": 1.5},
        {"quantity": "1"},
        {"quantity": True},
        {"unit_price": {"amount": 34.5, "currency": "GBP"}},
        {"unit_price": {"amount": "3450", "currency": "GBP"}},
        {"unit_price": 3450},
        {"unit_price": {"amount": 3450, "currency": "pounds"}},
        {"price": 1},
        {"product_id": 7},
    ],
    ids=str,
)
def test_a_line_that_makes_no_sense_is_refused(
    api: httpx.Client, bearer: dict[str, str], product: dict[str, Any], line: dict[str, Any]
) -> None:
    answer = api.post("/orders", json=order(product, **line), headers=bearer | {"Idempotency-Key": "k"})

    assert_problem(answer, 422, "invalid-request")


def test_an_unknown_field_is_refused(api: httpx.Client, bearer: dict[str, str], product: dict[str, Any]) -> None:
    answer = api.post("/orders", json=order(product) | {"total": 1}, headers=bearer | {"Idempotency-Key": "k"})

    assert_problem(answer, 422, "invalid-request")
    assert answer.json()["errors"][0]["field"] == "total"


def test_a_body_of_two_megabytes_is_too_large(api: httpx.Client, bearer: dict[str, str]) -> None:
    body = json.dumps({"payment_token": "x" * 2_000_000})

    assert_problem(api.post("/orders", content=body, headers=bearer | {"Idempotency-Key": "k"}), 413, "too-large")


def test_an_order_needs_an_idempotency_key(api: httpx.Client, bearer: dict[str, str], product: dict[str, Any]) -> None:
    assert_problem(api.post("/orders", json=order(product), headers=bearer), 400, "invalid-idempotency-key")


@pytest.mark.parametrize("key", ["with space", "x" * 129, '""'])
def test_a_key_of_another_form_is_refused(
    api: httpx.Client, bearer: dict[str, str], product: dict[str, Any], key: str
) -> None:
    answer = api.post("/orders", json=order(product), headers=bearer | {"Idempotency-Key": key})

    assert_problem(answer, 400, "invalid-idempotency-key")


def test_another_customers_key_is_no_business_of_mine(
    api: httpx.Client, bearer: dict[str, str], product: dict[str, Any], admin: Session
) -> None:
    """Two customers with the same idempotency key make two orders."""
    key = {"Idempotency-Key": str(uuid.uuid4())}
    mine = api.post("/orders", json=order(product), headers=bearer | key).json()
    theirs = admin.post("/orders", order(product), key=key["Idempotency-Key"])

    assert mine["order_id"] != theirs["order_id"]
    assert_problem(api.get(f"/orders/{theirs['order_id']}", headers=bearer), 404)


def test_a_path_out_of_the_api_is_a_page_that_is_not_there(api: httpx.Client, bearer: dict[str, str]) -> None:
    answer = api.get("/../../etc/passwd", headers=bearer)  # the client sends /etc/passwd
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "There is no page at this address." in answer.text


@pytest.mark.parametrize("path", ["/nonsense", "/orders/x/y/z", "/%2e%2e/%2e%2e/etc/passwd"])
def test_an_unknown_path_is_404(api: httpx.Client, bearer: dict[str, str], path: str) -> None:
    assert_problem(api.get(path, headers=bearer), 404)


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/orders"), ("PUT", "/orders"), ("PATCH", "/notifications")])
def test_an_unknown_method_is_405_and_says_what_is_allowed(
    api: httpx.Client, bearer: dict[str, str], method: str, path: str
) -> None:
    answer = api.request(method, path, headers=bearer)

    assert_problem(answer, 405)
    assert "GET" in answer.headers["Allow"]


def forged(claims: dict[str, Any], header: dict[str, Any]) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part(header)}.{part(claims)}.{base64.urlsafe_b64encode(b'x' * 64).decode().rstrip('=')}"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": f"Bearer {forged({'sub': 'x', 'role': 'admin'}, {'alg': 'none', 'kid': 'x'})}"},
        {"Authorization": f"Bearer {forged({'sub': 'x', 'role': 'admin'}, {'alg': 'EdDSA', 'kid': 'x'})}"},
        {"X-User-Id": "somebody"},
    ],
    ids=["none", "empty", "nonsense", "basic", "alg none", "foreign key", "a header of my own"],
)
def test_without_a_token_of_ours_nobody_gets_in(api: httpx.Client, headers: dict[str, str]) -> None:
    assert_problem(api.get("/orders", headers=headers), 401, "unauthenticated")


@pytest.mark.parametrize(("method", "path"), [("POST", "/products"), ("GET", "/ops/sagas"), ("GET", "/ops/dlq")])
def test_a_customer_may_not_do_what_an_admin_may(
    api: httpx.Client, bearer: dict[str, str], method: str, path: str
) -> None:
    assert_problem(api.request(method, path, headers=bearer, json={} if method == "POST" else None), 403, "forbidden")


def test_my_request_id_comes_back(api: httpx.Client) -> None:
    assert api.get("/health", headers={"X-Request-Id": "mine-0123456789"}).headers["X-Request-Id"] == "mine-0123456789"


def test_a_malformed_event_goes_to_the_dlq_with_its_reason_and_its_neighbours_are_done(shop_state: State) -> None:
    user_id = str(uuid.uuid4())
    data = {"user_id": user_id, "email": "neighbour@example.com", "name": "Neighbour"}
    good = published("user.registered", user_id, data, id=str(uuid.uuid4()), source="mercato.users")
    bad = good | {"id": str(uuid.uuid4()), "data": {"user_id": user_id}}
    sqs = client(shop_state, "sqs")
    entries = [
        {"Source": "mercato.users", "DetailType": "user.registered", "EventBusName": shop_state.outputs["BusName"]}
        | {"Detail": json.dumps(detail)}
        for detail in (bad, good)
    ]

    client(shop_state, "events").put_events(Entries=entries)

    dlq = sqs.get_queue_url(QueueName=f"{shop_state.queues_prefix}notifications-dlq")["QueueUrl"]
    dead = poll(
        lambda: sqs.receive_message(QueueUrl=dlq, MessageAttributeNames=["All"], WaitTimeSeconds=1).get("Messages", []),
        bool,
        what="the malformed event in the DLQ",
        within=60,
    )[0]
    assert json.loads(dead["Body"])["detail"]["id"] == bad["id"]
    assert dead["MessageAttributes"]["reason"]["StringValue"] == "malformed"
    assert "email" in dead["MessageAttributes"]["detail"]["StringValue"]
    sqs.delete_message(QueueUrl=dlq, ReceiptHandle=dead["ReceiptHandle"])
    mail = f"{shop_state.endpoint}/_ministack/ses/messages"
    poll(
        lambda: "neighbour@example.com" in httpx.get(mail).text, bool, what="the neighbour's welcome e-mail", within=60
    )
