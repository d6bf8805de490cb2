"""An account from its registration to its closing, over HTTP and with its mails, and the rate limits."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from infra.demo.stage import ADDRESS, Stage, is_delivered
from infra.operator.client import Refused, Session, Shop, poll
from infra.operator.target import State
from tests.e2e.client import HTTP

OLD, NEW = "correct horse battery", "an umbrella for ducks"


@dataclass(frozen=True)
class Mailbox:
    endpoint: str
    shop_url: str
    address: str

    def mails(self) -> list[str]:
        found = HTTP.get(f"{self.endpoint}/_ministack/ses/messages", timeout=10).json()["messages"]
        taken = [mail for mails in found.values() for mail in mails if mail["To"] == [self.address]]
        return [f"{mail['Subject']}\n{mail['BodyText']}" for mail in taken]

    def token(self, page: str) -> str:
        """The token of the newest mailed link to that page."""
        link = f"{self.shop_url}/{page}#token="
        mails = poll(
            lambda: [mail for mail in self.mails() if link in mail],
            bool,
            what=f"the mail that leads to {page}",
            within=60,
        )
        return mails[-1].partition(link)[2].split()[0]

    def link(self, page: str) -> str:
        """The path of the newest mailed link to that page, whose token is in the path."""
        start = f"{self.shop_url}/{page}/"
        mails = poll(
            lambda: [mail for mail in self.mails() if start in mail],
            bool,
            what=f"the mail that leads to {page}",
            within=60,
        )
        return f"/{page}/{mails[-1].partition(start)[2].split()[0]}"


@pytest.fixture
def mailbox(shop_state: State) -> Mailbox:
    return Mailbox(shop_state.endpoint, shop_state.base_url, f"{uuid.uuid4()}@example.com")


@pytest.fixture
def ada(shop: Shop, mailbox: Mailbox) -> Session:
    return shop.join(mailbox.address, OLD, "Ada Lovelace")


def status_of(shop: Shop, path: str, body: Any) -> int:
    try:
        shop.call("POST", path, body)
    except Refused as refused:
        return refused.status
    return 200


def test_an_address_is_verified_once_by_the_link_in_its_mail(shop: Shop, ada: Session, mailbox: Mailbox) -> None:
    assert ada.get("/users/me")["email_verified"] is False
    token = mailbox.token("verify-email")

    assert status_of(shop, "/users/verify-email", {"token": token}) == 200
    assert status_of(shop, "/users/verify-email", {"token": token}) == 422

    assert ada.get("/users/me")["email_verified"] is True


def test_a_forgotten_password_is_reset_by_mail_and_every_device_is_logged_out(
    shop: Shop, ada: Session, mailbox: Mailbox
) -> None:
    said = shop.call("POST", "/users/password-reset", {"email": mailbox.address})
    assert said == shop.call("POST", "/users/password-reset", {"email": f"{uuid.uuid4()}@example.com"})
    confirmation = {"token": mailbox.token("password-reset"), "new_password": NEW}

    assert status_of(shop, "/users/password-reset/confirm", confirmation) == 200
    assert status_of(shop, "/users/password-reset/confirm", confirmation) == 422

    assert status_of(shop, "/users/token/refresh", {"refresh_token": ada._refresh}) == 401
    assert status_of(shop, "/users/login", {"email": mailbox.address, "password": OLD}) == 401
    assert shop.login(mailbox.address, NEW).get("/users/me")["email"] == mailbox.address
    poll(lambda: "Your password was changed" in str(mailbox.mails()), bool, what="the warning", within=60)


def test_a_password_is_changed_by_who_knows_it(shop: Shop, ada: Session, mailbox: Mailbox) -> None:
    with pytest.raises(Refused) as refused:
        ada.put("/users/me/password", {"current_password": "not this one", "new_password": NEW})
    assert (refused.value.status, refused.value.slug) == (403, "wrong-password")

    ada.put("/users/me/password", {"current_password": OLD, "new_password": NEW})

    assert status_of(shop, "/users/token/refresh", {"refresh_token": ada._refresh}) == 401
    assert shop.login(mailbox.address, NEW).get("/users/me")["name"] == "Ada Lovelace"


def test_logging_out_everywhere_ends_the_other_device_too(shop: Shop, ada: Session, mailbox: Mailbox) -> None:
    other = shop.login(mailbox.address, OLD)

    ada.shop.call("DELETE", "/users/me/sessions", token=ada._fresh_token())

    assert status_of(shop, "/users/token/refresh", {"refresh_token": other._refresh}) == 401
    assert status_of(shop, "/users/token/refresh", {"refresh_token": ada._refresh}) == 401


def test_a_closed_account_is_forgotten_and_its_address_free(shop: Shop, ada: Session, mailbox: Mailbox) -> None:
    poll(lambda: ada.get("/notifications")["items"], bool, what="the welcome", within=60)

    ada.put("/users/me/closure", {"password": OLD})

    assert status_of(shop, "/users/login", {"email": mailbox.address, "password": OLD}) == 401
    poll(lambda: ada.get("/notifications")["items"] == [], bool, what="the notifications gone", within=60)
    assert shop.join(mailbox.address, NEW, "Another Ada").get("/users/me")["name"] == "Another Ada"


def test_what_a_closed_account_has_ordered_is_kept_without_its_address(
    shop: Shop, shop_state: State, admin: Session, ada: Session
) -> None:
    """Neither order nor shipment keeps the address. One order is finished, the other's parcel is still to come."""
    kettle = Stage(shop, admin, shop_state.endpoint, patience=90).new_product("Kettle", pence=1900, stock=2)
    line = {"product_id": kettle.product_id, "quantity": 1, "unit_price": kettle.price}

    def buy() -> str:
        return str(ada.place_order([line], token="tok_ok", address=ADDRESS, key=str(uuid.uuid4()))["order_id"])

    finished = buy()
    ada.wait_for_order(finished, is_delivered, what="is delivered", within=90)
    under_way = buy()
    assert admin.get(f"/orders/{finished}")["shipping_address"]["name"] == "Ada Lovelace"

    ada.put("/users/me/closure", {"password": OLD})

    for order_id in (finished, under_way):
        kept = poll(
            lambda order_id=order_id: admin.get(f"/orders/{order_id}"),  # type: ignore[misc]
            lambda order: order["shipping_address"] is None,
            what="the address is erased",
            within=90,
        )
        goods = [one["amount"] for one in kept["charges"] if one["kind"] == "goods"]
        assert (kept["status"], goods) == ("delivered", [{"amount": 1900, "currency": "GBP"}])
        shipment_id = kept["shipment"]["shipment_id"]
        poll(
            lambda shipment_id=shipment_id: admin.get(f"/shipments/{shipment_id}"),  # type: ignore[misc]
            lambda shipment: shipment["shipping_address"] is None,
            what="the parcel's address is erased",
            within=90,
        )


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("path", ["me/password", "me/sessions", "me/closure", "me/email-verification"])
def test_the_gateway_lets_nobody_without_a_token_to_an_account(shop: Shop, method: str, path: str) -> None:
    answer = HTTP.request(method, f"{shop.base_url}/api/users/{path}", json={}, timeout=30)

    assert answer.status_code == 401
    assert answer.json()["type"] == "urn:mercato:problem:unauthenticated"


def test_an_admins_action_is_in_the_audit_log_by_its_request_id(shop: Shop, admin: Session, customer: Session) -> None:
    request_id = f"audit-{uuid.uuid4()}"
    product = {"sku": request_id, "name": "Audited lamp", "price": {"amount": 100, "currency": "GBP"}, "category": "x"}
    made = HTTP.post(
        f"{shop.base_url}/api/products",
        json=product,
        headers={
            "Authorization": f"Bearer {admin._fresh_token()}",
            "X-Request-Id": request_id,
            "Idempotency-Key": request_id,
        },
        timeout=30,
    )
    assert made.status_code == 201, made.text

    entries = [entry for entry in admin.get("/ops/audit", limit=20)["items"] if entry["request_id"] == request_id]

    assert [entry["status"] for entry in entries] == [201, None]
    assert {entry["action"] for entry in entries} == {"POST /api/products"}
    assert {entry["actor"] for entry in entries} == {admin.get("/users/me")["user_id"]}
    with pytest.raises(Refused) as refused:
        customer.get("/ops/audit")
    assert refused.value.status == 403


def test_who_asks_for_too_many_resets_is_told_when_to_come_back(shop: Shop) -> None:
    """The last test of this file, since all tests share the source address that it blocks."""

    def ask(number: int) -> httpx.Response:
        headers = {"X-Forwarded-For": f"198.51.100.{number}"}
        body = {"email": f"{uuid.uuid4()}@example.com"}
        return HTTP.post(f"{shop.base_url}/api/users/password-reset", json=body, headers=headers, timeout=30)

    # Five in each window of the clock are accepted, and one window may end between two of these.
    for number in range(11):
        refused = ask(number)
        if refused.status_code == 429:
            break
        assert refused.status_code == 202
    assert refused.status_code == 429
    assert refused.headers["RateLimit-Policy"] == '"password-reset";q=5;w=900'
    assert refused.headers["RateLimit"].startswith('"password-reset";r=0;t=')
    assert 1 <= int(refused.headers["Retry-After"]) <= 900
    assert refused.json()["type"] == "urn:mercato:problem:rate-limited"
    assert HTTP.get(f"{shop.base_url}/api/products", timeout=30).status_code == 200
