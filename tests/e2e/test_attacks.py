"""Attempts of an attacker with an account and a proxy against the running shop. The routes come from the contract."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from infra.demo.stage import ADDRESS, Stage
from infra.operator.client import Refused, Session, Shop, poll
from infra.operator.target import State
from mercato.http import CUSTOMER, PEER, PUBLIC
from payments.providers.sandbox import charge_id_of
from tests.e2e.client import HTTP
from tests.kit.routes import Served, all_routes

PASSWORD = "correct horse battery"
ROUTES = [served for served in all_routes() if served.route.path.startswith("/api/")]
# The ids in paths that belong to a customer. Stock belongs to no customer.
# The id in their path is a product's, which is no customer's.
OF_PRODUCTS = ("/api/inventory", "/api/notifications/wishes")
OWNED = [
    served
    for served in ROUTES
    if CUSTOMER in served.route.roles and served.parameters and not served.route.path.startswith(OF_PRODUCTS)
]
GUARDED = [served for served in ROUTES if PUBLIC not in served.route.roles]
NOT_FOR_CUSTOMERS = [served for served in GUARDED if CUSTOMER not in served.route.roles]
WITH_BODY = [served for served in ROUTES if served.route.method in ("POST", "PUT", "PATCH")]
# Valid bodies, so that a request is refused because of the resource's owner and not because of its body.
BODIES: dict[str, dict[str, Any]] = {
    "PATCH /api/checkouts/{checkout_id}": {"version": 1},
    "PUT /api/carts/{cart_id}/items/{product_id}": {"quantity": 1},
    "POST /api/carts/{cart_id}/items/{product_id}": {"quantity": 1},
    "POST /api/payments/sandbox/challenges/{charge_id}": {"outcome": "confirmed"},
    "POST /api/orders/{order_id}/returns": {"lines": [{"product_id": "any", "quantity": 1}]},
}
# API Gateway requires no token for a POST under /api/users, where customers log in, nor under /api/carts/guests, so
# these routes know no caller.
NO_CALLER = {"POST /api/users/lookup", "PUT /api/carts/guests/{cart_id}/watch"}
SPOOFED = ("X-User-Id", "X-Mercato-User-Id", "X-Principal-Id", "X-Amzn-RequestContext-Authorizer-user_id", "X-Role")


def by_name(served: Served) -> str:
    return served.name


def refusal(served: Served) -> int:
    """The expected status for a token whose holder may not call the route."""
    return 401 if served.name in NO_CALLER else 403


def send(
    shop_state: State, served: Served, ids: dict[str, str], token: str = "", headers: dict[str, str] | None = None
) -> httpx.Response:
    sent = {"Idempotency-Key": str(uuid.uuid4())} | (headers or {})
    if token:
        sent["Authorization"] = f"Bearer {token}"
    body = BODIES.get(served.name, {}) if served in WITH_BODY else None
    url = shop_state.base_url + served.path(ids)
    return HTTP.request(served.route.method, url, json=body, headers=sent, timeout=60)


def assert_problem(answer: httpx.Response, *statuses: int) -> None:
    assert answer.status_code in statuses, f"{answer.status_code} {answer.text}"
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json()["request_id"]
    assert "Traceback" not in answer.text


@pytest.fixture(scope="module")
def victim(shop: Shop) -> Session:
    return shop.join(f"{uuid.uuid4()}@example.com", PASSWORD, "Vera Victim")


@pytest.fixture(scope="module")
def attacker(shop: Shop) -> Session:
    return shop.join(f"{uuid.uuid4()}@example.com", PASSWORD, "Mallory")


@pytest.fixture(scope="module")
def ids(victim: Session, admin: Session, shop_state: State) -> dict[str, str]:
    """The id of one resource of each kind that belongs to the victim."""
    product = Stage(victim.shop, admin, shop_state.endpoint, patience=90).new_product("Safe", pence=100, stock=1)
    line = {"product_id": product.product_id, "quantity": 1, "unit_price": product.price}
    placed = victim.place_order([line], token="tok_ok", address=ADDRESS, key=str(uuid.uuid4()))
    delivered = victim.wait_for_order(
        placed["order_id"], lambda order: order["status"] == "delivered", what="is delivered", within=90
    )
    notification = poll(
        lambda: victim.get("/notifications")["items"], lambda found: len(found) > 1, what="notifications", within=60
    )[0]
    payment_id = payment_of(victim, delivered)
    invoice = poll(
        lambda: victim.get("/documents", order_id=placed["order_id"])["items"], bool, what="the invoice", within=60
    )[0]
    poll(lambda: has_pdf(victim, invoice["document_id"]), bool, what="the PDF of the invoice", within=60)
    kept = Stage(victim.shop, admin, shop_state.endpoint, patience=90).new_product("Kept", pence=100, stock=50)
    wanted = {"lines": [{"product_id": kept.product_id, "quantity": 1}]}
    return {
        "stop_id": str(uuid.uuid4()),
        "code": "NOBODY",
        "language": "de",
        "checkout_id": victim.post("/checkouts", wanted, key=str(uuid.uuid4()))["checkout_id"],
        "document_id": invoice["document_id"],
        "order_id": placed["order_id"],
        "shipment_id": delivered["shipment"]["shipment_id"],
        "payment_id": payment_id,
        "charge_id": charge_id_of(payment_id),
        "notification_id": notification["notification_id"],
        "cart_id": victim.get("/carts/mine")["cart_id"],
        "user_id": victim.get("/users/me")["user_id"],
        "product_id": product.product_id,
        "image_id": str(uuid.uuid4()),
        "import_id": "some-import",
        "return_id": "some-return",
        "queue": "orders",
        "name": "some-circuit",
        "token": "some-link",
        "digest": "0" * 64,
        "request_id": "some-request",
    }


def has_pdf(victim: Session, document_id: str) -> bool:
    try:
        return bool(victim.get(f"/documents/{document_id}/pdf"))
    except Refused:
        return False


def payment_of(victim: Session, order: dict[str, Any]) -> str:
    history = victim.get(f"/orders/{order['order_id']}/history")["facts"]
    return next(str(fact["data"]["payment_id"]) for fact in history if fact["data"].get("payment_id"))


@pytest.mark.parametrize("served", OWNED, ids=by_name)
def test_another_customer_s_thing_is_not_there(
    shop_state: State, attacker: Session, ids: dict[str, str], served: Served
) -> None:
    assert_problem(send(shop_state, served, ids, attacker._fresh_token()), 404)


def test_the_victim_sees_them_all(shop_state: State, victim: Session, ids: dict[str, str]) -> None:
    """Proves that the 404s above are due to the owner, and not to a wrong id."""
    seen = [served for served in OWNED if served.route.method == "GET"]
    assert len(seen) >= 4
    for served in seen:
        assert send(shop_state, served, ids, victim._fresh_token()).status_code == 200, served.name


@pytest.mark.parametrize("served", GUARDED, ids=by_name)
def test_without_a_token_no_header_opens_it(
    shop_state: State, victim: Session, ids: dict[str, str], served: Served
) -> None:
    spoofed = {name: "admin" if name == "X-Role" else ids["user_id"] for name in SPOOFED}

    assert_problem(send(shop_state, served, ids, headers=spoofed), 401)


@pytest.mark.parametrize("served", NOT_FOR_CUSTOMERS, ids=by_name)
def test_a_customer_s_token_does_not_open_what_is_for_admins_and_peers(
    shop_state: State, attacker: Session, ids: dict[str, str], served: Served
) -> None:
    answer = send(shop_state, served, ids, attacker._fresh_token(), {"X-Role": "admin", "X-User-Id": ids["user_id"]})

    assert_problem(answer, refusal(served))


def test_an_admin_s_token_does_not_open_what_is_for_peers(
    shop_state: State, admin: Session, ids: dict[str, str]
) -> None:
    """A peer calls the function URL with a signature, which the gateway never adds."""
    for served in ROUTES:
        if served.route.roles == {PEER}:
            assert_problem(send(shop_state, served, ids, admin._fresh_token()), refusal(served))


@pytest.mark.parametrize("path", ["/orders", "/notifications", "/carts/mine", "/users/me", "/dashboard"])
def test_no_header_makes_me_somebody_else(shop_state: State, attacker: Session, ids: dict[str, str], path: str) -> None:
    token = {"Authorization": f"Bearer {attacker._fresh_token()}"}
    spoofed = dict.fromkeys(SPOOFED, ids["user_id"])

    mine = HTTP.get(f"{shop_state.base_url}/api{path}", headers=token, timeout=60)
    spoof = HTTP.get(f"{shop_state.base_url}/api{path}", headers=token | spoofed, timeout=60)

    assert mine.status_code == spoof.status_code == 200
    assert ids["user_id"] not in spoof.text
    assert ids["order_id"] not in spoof.text
    assert mine.json() == spoof.json()


@pytest.mark.parametrize("field", ["role", "user_id", "email_verified", "version"])
def test_nobody_makes_himself_more_than_he_is(shop_state: State, attacker: Session, field: str) -> None:
    headers = {"Authorization": f"Bearer {attacker._fresh_token()}"}
    value: Any = True if field == "email_verified" else "admin"

    answer = HTTP.patch(
        f"{shop_state.base_url}/api/users/me", json={"name": "M", field: value}, headers=headers, timeout=60
    )

    assert_problem(answer, 422)
    assert attacker.get("/users/me")["role"] == "customer"


class Elsewhere:
    """Sends requests from other source addresses directly to the local cloud, as API Gateway would report them."""

    def __init__(self, shop_state: State) -> None:
        api = f"{shop_state.endpoint}/_aws/execute-api/{shop_state.outputs['ApiId']}/local/api"
        self._http = httpx.Client(base_url=api, timeout=60)

    def post(self, path: str, body: Any, address: str) -> httpx.Response:
        content = {"content": body} if isinstance(body, str) else {"json": body}
        answer = self._http.post(path, headers={"X-Forwarded-For": address}, **content)
        for _ in range(50):
            # The local cloud has no free sandbox. The shop did not answer this.
            if answer.status_code != 429 or "urn:mercato" in answer.text:
                break
            answer = self._http.post(path, headers={"X-Forwarded-For": address}, **content)
        return answer


@pytest.fixture(scope="module")
def elsewhere(shop_state: State) -> Elsewhere:
    return Elsewhere(shop_state)


def told(answer: httpx.Response) -> tuple[int, dict[str, Any]]:
    return answer.status_code, answer.json() | {"request_id": ""}


def test_no_answer_tells_whether_there_is_an_account(victim: Session, elsewhere: Elsewhere) -> None:
    known, unknown = victim.email, f"{uuid.uuid4()}@example.com"
    questions: list[tuple[str, dict[str, str]]] = [
        ("/users/login", {"password": "not this one at all"}),
        ("/users/password-reset", {}),
        ("/users", {"password": "an umbrella for ducks", "name": "Mallory"}),
    ]
    for number, (path, body) in enumerate(questions):
        about_known = elsewhere.post(path, body | {"email": known}, f"192.0.2.{number}")
        about_unknown = elsewhere.post(path, body | {"email": unknown}, f"192.0.2.{100 + number}")
        assert told(about_known) == told(about_unknown), path
        assert set(about_known.headers) == set(about_unknown.headers), path


def test_a_thousand_attempts_open_nothing_and_do_not_keep_the_owner_out(
    shop: Shop, victim: Session, elsewhere: Elsewhere
) -> None:
    """The attempts come from a thousand networks, so the limit per address does not apply. The owner's network is
    another.
    """

    def guess(number: int) -> int:
        body = {"email": victim.email, "password": f"a guess, number {number}"}
        return elsewhere.post("/users/login", body, f"203.0.{number // 250}.{number % 250}").status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(guess, range(1000)))

    assert set(statuses) == {401, 429}
    assert statuses.count(401) <= 20, "so many passwords were looked at"
    assert shop.login(victim.email, PASSWORD).get("/users/me")["email"] == victim.email


@pytest.mark.parametrize("served", WITH_BODY, ids=by_name)
def test_a_body_that_is_too_large_or_too_deep_is_refused_whoever_sends_it(
    shop_state: State, admin: Session, elsewhere: Elsewhere, ids: dict[str, str], served: Served
) -> None:
    headers = {
        "Idempotency-Key": "k",
        "Authorization": f"Bearer {admin._fresh_token()}",
        "X-Forwarded-For": "192.0.2.9",
    }
    api = f"{shop_state.endpoint}/_aws/execute-api/{shop_state.outputs['ApiId']}/local"

    def post(body: str) -> httpx.Response:
        return HTTP.request(served.route.method, api + served.path(ids), content=body, headers=headers, timeout=60)

    assert_problem(post(json.dumps({"x": "x" * 300_000})), 413)
    deep = post('{"x":' + "[" * 100_000 + "]" * 100_000 + "}")
    if PEER in served.route.roles:
        assert_problem(deep, refusal(served))
    elif served.body is not None:
        assert_problem(deep, 400)
    else:
        # These routes read no JSON: they have no body, check a signature first, or take CSV.
        assert deep.status_code < 500, deep.text
