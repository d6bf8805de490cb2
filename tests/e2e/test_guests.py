"""A guest buys without an account, opens the order by its link, and an account takes the order over."""

from __future__ import annotations

import secrets
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from infra.demo.stage import ADDRESS, Stage
from infra.operator.client import Refused, Session, Shop, poll
from infra.operator.target import State
from mercato.ids import derived_id
from tests.e2e.canaries import Canaries
from tests.e2e.client import HTTP
from tests.e2e.test_accounts import Mailbox

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def stage(shop: Shop, admin: Session, shop_state: State) -> Stage:
    return Stage(shop, admin, shop_state.endpoint, patience=90)


@pytest.fixture
def mailbox(shop_state: State) -> Mailbox:
    return Mailbox(shop_state.endpoint, shop_state.base_url, f"{uuid.uuid4()}@example.com")


def check_out(stage: Stage, email: str, canaries: Canaries) -> tuple[str, dict[str, Any], Any]:
    """A guest's cart with two mugs and its checkout: the cart's id, what the order takes, and the total."""
    shop, mug = stage.shop, stage.new_product("Mug", pence=1250, stock=9)
    cart = shop.call("POST", "/carts/guests")["cart_id"]
    canaries.plant("the id of a guest's cart", cart)
    filled = shop.call("PUT", f"/carts/guests/{cart}/items/{mug.product_id}", {"quantity": 2})
    wanted = {"cart_version": filled["version"], "shipping_address": ADDRESS, "service": "standard"}
    shown = shop.call("POST", f"/checkouts/guests/{cart}", wanted, key=stage.new_key())
    assert (shown["missing"], shown["quote"]) == (["contact"], None)
    path = f"/checkouts/guests/{cart}/{shown['checkout_id']}"
    shop.call("PATCH", path, {"version": 1, "contact": {"email": email}})
    shown = shop.call("GET", path)
    wish = {"quote": shown["quote"]["token"], "payment_token": "tok_ok", "cart_id": cart}
    return cart, wish, shown["totals"]["total"]


def refusal(shop: Shop, method: str, path: str, body: Any = None) -> str:
    with pytest.raises(Refused) as refused:
        shop.call(method, path, body, key=str(uuid.uuid4()))
    return refused.value.slug


def status_is(shop: Shop, token: str, status: str) -> Any:
    def look() -> Any:
        return shop.call("GET", f"/orders/guests/{token}")

    return poll(look, lambda order: order["status"] == status, what=f"the guest's order is {status}", within=90)


def test_a_guest_s_order_is_mailed_opened_and_claimed_by_who_verifies_the_address(
    stage: Stage, mailbox: Mailbox, canaries: Canaries
) -> None:
    shop = stage.shop
    cart, wish, total = check_out(stage, mailbox.address.upper(), canaries)
    with ThreadPoolExecutor(4) as pool:
        # A 503 is sent again, since a quote is one order.
        placed = list(pool.map(lambda _: shop.call("POST", "/orders/guests", wish, safe=True), range(4)))
    token, order_id = placed[0]["token"], placed[0]["order"]["order_id"]
    canaries.plant("the link of a guest's order", token)
    assert {(one["token"], one["order"]["order_id"]) for one in placed} == {(token, order_id)}
    assert status_is(shop, token, "delivered")["total"] == total
    poll(
        lambda: shop.call("GET", f"/carts/guests/{cart}")["lines"],
        lambda lines: lines == [],
        what="the ordered lines have left the guest's cart",
        within=60,
    )
    mailed = canaries.plant("the mailed link", mailbox.token("guest-order"))
    assert shop.call("GET", f"/orders/guests/{mailed}")["order_id"] == order_id
    poll(
        mailbox.mails,
        lambda mails: any("on its way" in mail for mail in mails),
        what="the mail of the parcel",
        within=60,
    )

    [invoice] = poll(
        lambda: shop.call("GET", f"/documents/guests/{mailed}")["items"], bool, what="the invoice", within=60
    )
    assert invoice["total"] == total

    # Neither the number and the address, nor an account with another address, open it.
    number = placed[0]["order"]["number"]
    for guess in (order_id, number, token[:-1], mailbox.address):
        assert refusal(shop, "GET", f"/orders/guests/{guess}") == "link-not-found"
    stranger = shop.join(f"{uuid.uuid4()}@example.com", PASSWORD, "Mallory")
    assert refusal_of(stranger, f"/orders/{order_id}") == "order-not-found"

    owner = shop.join(mailbox.address, PASSWORD, "Gita Guest")
    assert owner.get("/orders")["items"] == []  # registering proves nothing
    shop.call("POST", "/users/verify-email", {"token": mailbox.token("verify-email")})
    poll(
        lambda: [one["order_id"] for one in owner.get("/orders")["items"]],
        lambda ids: ids == [order_id],
        what="the order is the account's",
        within=60,
    )
    for link in (token, mailed):
        assert refusal(shop, "GET", f"/orders/guests/{link}") == "link-not-found"
        assert refusal(shop, "POST", f"/orders/guests/{link}/cancel", {}) == "link-not-found"
        assert refusal(shop, "GET", f"/documents/guests/{link}") == "link-not-found"
    document = f"/documents/{invoice['document_id']}"
    poll(lambda: try_to_read(owner, document), bool, what="the invoice is the account's", within=60)
    assert refusal_of(stranger, document) == "document-not-found"
    payment = f"/payments/{derived_id('payment', order_id)}"
    poll(lambda: try_to_read(owner, payment), bool, what="the payment is the account's", within=60)
    assert refusal_of(stranger, payment) == "unknown-payment"
    shipment = owner.get(f"/orders/{order_id}")["shipment"]["shipment_id"]
    poll(lambda: try_to_read(owner, f"/shipments/{shipment}"), bool, what="the parcel is the account's", within=60)


def try_to_read(session: Session, path: str) -> Any:
    try:
        return session.get(path)
    except Refused:
        return None


def refusal_of(session: Session, path: str) -> str:
    with pytest.raises(Refused) as refused:
        session.get(path)
    return refused.value.slug


def test_a_guest_cancels_by_the_link(stage: Stage, mailbox: Mailbox, canaries: Canaries) -> None:
    shop = stage.shop
    _, wish, _ = check_out(stage, mailbox.address, canaries)
    token = shop.call("POST", "/orders/guests", wish | {"payment_token": "tok_timeout_once"})["token"]
    canaries.plant("the link of a guest's order", token)
    wanted = shop.call("POST", f"/orders/guests/{token}/cancel", {"reason": "too_slow"}, key=stage.new_key())
    assert wanted["status"] == "cancelling"
    order = poll(
        lambda: shop.call("GET", f"/orders/guests/{token}"),
        lambda seen: seen["status"] in ("cancelled", "shipped", "delivered"),
        what="the order is cancelled, or had left",
        within=90,
    )
    assert order["customer_id"].startswith("guest:")


def test_the_mail_that_asks_a_guest_to_pay_has_a_link_that_pays_the_order(
    stage: Stage, mailbox: Mailbox, canaries: Canaries
) -> None:
    shop = stage.shop
    _, wish, total = check_out(stage, mailbox.address, canaries)
    declined = wish | {"payment_token": "tok_declined", "waits_for_buyer": True}
    placed = shop.call("POST", "/orders/guests", declined, safe=True)
    link = f"{mailbox.shop_url}/guest-order#token="
    [mail] = poll(
        lambda: [one for one in mailbox.mails() if one.startswith("Please pay with another card") and link in one],
        bool,
        what="the mail that asks to pay",
        within=90,
    )
    token = mail.partition(link)[2].split()[0]
    canaries.plant("the token of the link in the mail that asks a guest to pay", token)
    assert token != placed["token"]
    assert shop.call("GET", f"/orders/guests/{token}")["payment"]["state"] == "declined"

    card = {"payment_token": "tok_ok"}
    shop.call("POST", f"/orders/guests/{token}/payments", card, key=stage.new_key())

    assert status_is(shop, token, "delivered")["total"] == total


def test_a_guest_s_number_gets_the_text_messages_of_the_order_and_is_in_no_log(
    stage: Stage, mailbox: Mailbox, canaries: Canaries
) -> None:
    shop, number = stage.shop, f"+4420794{secrets.randbelow(900_000) + 100_000}"
    canaries.plant("the number of a guest's text messages", number)
    _, wish, _ = check_out(stage, mailbox.address, canaries)
    token = shop.call("POST", "/orders/guests", wish, safe=True)["token"]
    kinds = [{"kind": kind, "sms": True} for kind in ("order_shipped", "order_delivered")]
    path = f"/notifications/guests/{token}/preferences"
    kept = shop.call("PUT", path, {"phone": number, "kinds": kinds}, safe=True)
    assert kept == shop.call("GET", path)
    assert kept["sms"] == {"phone": number, "stopped": None}
    assert refusal(shop, "GET", "/notifications/guests/nothing/preferences") == "link-not-found"

    status_is(shop, token, "delivered")

    def texts() -> list[str]:
        found = HTTP.get(f"{mailbox.endpoint}/_ministack/sms/messages", timeout=10).json()["messages"]
        return [one["Body"] for one in found if one["To"] == number]

    bodies = poll(texts, lambda found: len(found) >= 2, what="both text messages", within=60)
    assert sorted("is on its way" in body for body in bodies) == [False, True]
