"""Orders of guests: placed without an account, opened by a secret link, and claimed by the address's owner."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import boto3
import pytest

from mercato import aws
from mercato.aws.mail import MailNotSent, MailRefused
from mercato.clock import rfc3339, utc_now
from orders import api, consumers, links
from orders.facts import OrderClaimed
from orders.store import OrderStore
from tests.integration.interrupter import Interrupter
from tests.integration.orders.conftest import ADDRESS, GUEST, GUEST_CART, Shop, guests_sale
from tests.kit import aws_events

PLACED = "order.created"
SENT = {"shipment_id": "s", "customer_id": GUEST, "carrier": "x", "tracking_number": "1"}


class Machine:
    def start_execution(self, **call: Any) -> None:
        self.name = call["name"]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found, client = Machine(), aws.client
    monkeypatch.setattr(aws, "client", lambda service: found if service == "stepfunctions" else client(service))
    return found


def placed(shop: Shop) -> tuple[str, str]:
    """A guest's order: its id, and the token of its link."""
    status, answer, _ = shop.place_for_guest()
    assert status == 202, answer
    return answer["order"]["order_id"], answer["token"]


def created(shop: Shop, order_id: str) -> list[Any]:
    return shop.hear(PLACED, {"order_id": order_id, "customer_id": GUEST})


def confirmed(shop: Shop, order_id: str) -> list[Any]:
    """The order is paid for, and orders hears that it is confirmed."""
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    return shop.hear("order.confirmed", {"order_id": order_id, "customer_id": GUEST})


def verify(shop: Shop, user: str = "cust-1", email: str | None = "ada@example.com") -> list[Any]:
    return shop.hear("user.email_verified", {"user_id": user, "email": email})


def problem(answer: Any) -> tuple[int, str]:
    status, body, _ = answer
    return status, str(body["type"]).rpartition(":")[2]


def opened(shop: Shop, token: str) -> Any:
    return shop.call("GET", f"/api/orders/guests/{token}", user="")


def stored() -> str:
    return json.dumps(boto3.client("dynamodb", "us-east-1").scan(TableName="OrdersTable")["Items"])


def test_a_guest_places_an_order_and_opens_it_by_its_link(shop: Shop) -> None:
    status, answer, headers = shop.place_for_guest()

    order = answer["order"]
    assert (status, order["status"], order["total"]["amount"]) == (202, "pending", 2795)
    assert order["customer_id"] == GUEST
    assert headers["Location"].endswith(f"/api/orders/guests/{answer['token']}")
    assert opened(shop, answer["token"])[:2] == (200, order)
    (event,) = shop.announced(order["order_id"])
    assert event["data"]["contact"] == {"email": "ada@example.com", "name": ADDRESS["name"]}
    assert event["data"]["cart"] == {"id": GUEST, "version": 3}


def test_the_same_quote_again_is_the_same_order_with_the_same_link(shop: Shop) -> None:
    _, first, _ = shop.place_for_guest()

    status, again, headers = shop.place_for_guest()

    assert (status, again, headers["Idempotent-Replayed"]) == (202, first, "true")
    assert problem(shop.place_for_guest(card="tok_declined")) == (409, "quote-already-ordered")


def test_a_quote_is_for_the_guest_with_the_cart_alone(shop: Shop) -> None:
    assert problem(shop.place_for_guest(cart_id=f"guest-{'00' * 24}")) == (422, "invalid-quote")
    assert problem(shop.place_for_guest(quote="quote-1")) == (422, "invalid-quote")
    assert problem(shop.call("POST", "/api/orders/quoted", {"quote": "guest-quote", "payment_token": "x"})) == (
        422,
        "invalid-quote",
    )


def test_a_quote_without_a_contact_places_nothing(shop: Shop) -> None:
    answer = guests_sale()
    shop.checkout.quotes["guest-quote", GUEST] = answer | {"sale": answer["sale"] | {"contact": None}}

    assert problem(shop.place_for_guest()) == (422, "invalid-quote")
    assert "order#" not in stored()


def test_two_tabs_with_the_same_cart_are_one_order(shop: Shop) -> None:
    order_id, _ = placed(shop)
    shop.checkout.quotes["other-tab", GUEST] = guests_sale("co-other")

    status, refusal, _ = shop.place_for_guest("other-tab")

    assert (status, refusal["type"], refusal["order_id"]) == (
        409,
        "urn:mercato:problem:cart-already-ordered",
        order_id,
    )


@pytest.mark.parametrize(
    "changed",
    [
        lambda token: token[:-1],
        lambda token: token + "A",
        lambda token: token.swapcase(),
        lambda token: "A" * 43,
        lambda token: links.digest_of(token),
        lambda token: "%00",
    ],
)
@pytest.mark.parametrize(("method", "action"), [("GET", ""), ("POST", "/cancel"), ("POST", "/returns")])
def test_no_other_link_opens_an_order(shop: Shop, changed: Any, method: str, action: str) -> None:
    order_id, token = placed(shop)
    body = {"lines": [{"product_id": "mug", "quantity": 1}]} if action == "/returns" else {} if action else None

    status, _, _ = shop.call(method, f"/api/orders/guests/{changed(token)}{action}", body, user="", key="k-1234567")

    assert status == 404
    assert shop.order(order_id).version == 1


def test_neither_the_number_nor_the_guest_s_id_opens_an_order(shop: Shop) -> None:
    order_id, token = placed(shop)

    assert problem(opened(shop, order_id)) == (404, "link-not-found")
    assert problem(shop.call("GET", f"/api/orders/{order_id}", user="eve")) == (404, "order-not-found")
    assert shop.call("GET", f"/api/orders/{order_id}", user="")[0] == 401
    assert problem(opened(shop, "ada@example.com")) == (404, "link-not-found")
    assert problem(opened(shop, GUEST_CART)) == (404, "link-not-found")
    assert len(token) == 43


def test_the_link_is_in_no_log_and_stored_as_a_digest_alone(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    order_id, token = placed(shop)
    created(shop, order_id)
    opened(shop, token)
    shop.call("POST", f"/api/orders/guests/{token}/cancel", {}, user="", key="k-1234567")
    shop.call("GET", f"/api/orders/guests/{token}/nothing", user="")

    logs = str([vars(record) for record in caplog.records])
    for secret in (token, *shop.mailbox.tokens(), GUEST_CART):
        assert secret not in logs
        assert secret not in stored()


@pytest.mark.parametrize("failure", [None, MailNotSent("ada@example.com"), MailRefused("ada@example.com")])
def test_a_guest_s_address_is_in_no_log(
    shop: Shop, caplog: pytest.LogCaptureFixture, failure: Exception | None
) -> None:
    caplog.set_level("INFO")
    shop.mailbox.failures = [failure] if failure else []
    order_id, token = placed(shop)
    created(shop, order_id)
    created(shop, order_id)
    opened(shop, token)
    confirmed(shop, order_id)
    verify(shop)

    logged = [vars(record) for record in caplog.records]
    assert [line["message"] for line in logged].count("request") == 2
    personal = ("ada@example.com", str(ADDRESS["name"]))
    assert not [line for line in logged for one in personal if one in str(line)]


def test_the_link_is_mailed_once_with_another_token_behind_the_sign_that_no_server_sees(shop: Shop) -> None:
    order_id, token = placed(shop)

    assert created(shop, order_id) == []
    assert created(shop, order_id) == []

    ((to, subject, text),) = shop.mailbox.sent
    assert (to, subject) == ("ada@example.com", "Your order with Mercato")
    (mailed,) = shop.mailbox.tokens()
    assert f"https://shop.example/guest-order#token={mailed}" in text
    assert mailed != token
    assert opened(shop, mailed)[1]["order_id"] == opened(shop, token)[1]["order_id"] == order_id


@pytest.mark.parametrize(
    ("language", "subject"),
    [("de", "Ihre Bestellung bei Mercato"), ("en", "Your order with Mercato"), (None, "Your order with Mercato")],
)
def test_the_link_is_mailed_in_the_order_s_language(shop: Shop, language: str | None, subject: str) -> None:
    more = {"language": language} if language else {}
    order_id = shop.place_for_guest(**more)[1]["order"]["order_id"]
    assert created(shop, order_id) == []
    ((_, mailed, text),) = shop.mailbox.sent
    (token,) = shop.mailbox.tokens()
    assert (mailed, text.count(f"https://shop.example/guest-order#token={token}")) == (subject, 1)
    assert "{" not in text


def test_a_mail_that_could_not_be_sent_is_sent_later_and_one_that_is_refused_is_not(shop: Shop) -> None:
    order_id, _ = placed(shop)
    shop.mailbox.failures = [MailNotSent("busy")]
    assert len(created(shop, order_id)) == 1
    assert created(shop, order_id) == []
    assert len(shop.mailbox.sent) == 1

    second = shop.place_for_guest("second")[1]["order"]["order_id"]
    shop.mailbox.failures = [MailRefused("no such mailbox")]
    assert created(shop, second) == created(shop, second) == []
    assert len(shop.mailbox.sent) == 1


def test_a_mail_waits_that_would_be_cut_off_by_the_end_of_its_invocation(shop: Shop, machine: Machine) -> None:
    order_id, _ = placed(shop)
    failures = shop.hear(PLACED, {"order_id": order_id, "customer_id": GUEST}, context=aws_events.Context(8900))
    assert (len(failures), shop.mailbox.sent) == (1, [])
    assert order_id in machine.name

    assert created(shop, order_id) == []
    assert len(shop.mailbox.sent) == 1


def test_by_the_link_the_order_is_cancelled_once(shop: Shop) -> None:
    order_id, token = placed(shop)
    path = f"/api/orders/guests/{token}/cancel"

    first = shop.call("POST", path, {"reason": "too_slow"}, user="", key="k-1234567")
    again = shop.call("POST", path, {"reason": "too_slow"}, user="", key="k-1234567")

    assert (first[0], first[1]["status"], again[1]) == (202, "cancelling", first[1])
    assert again[2]["Idempotent-Replayed"] == "true"
    assert problem(shop.call("POST", path, {"reason": "other"}, user="", key="k-1234567")) == (
        422,
        "idempotency-key-reused",
    )
    assert [event["type"] for event in shop.announced(order_id)] == [PLACED, "order.cancellation_requested"]


def test_by_the_link_a_delivered_order_is_returned(shop: Shop) -> None:
    order_id, token = placed(shop)
    deliver(shop, order_id)
    path, lines = f"/api/orders/guests/{token}/returns", {"lines": [{"product_id": "mug", "quantity": 1}]}

    status, made, _ = shop.call("POST", path, lines, user="", key="k-1234567")

    assert status == 201, made
    assert shop.call("POST", path, lines | {"reason": "lost"}, user="", key="k-7654321")[0] == 403


def test_by_the_link_a_return_is_cancelled_until_the_goods_are_received(shop: Shop) -> None:
    order_id, token = placed(shop)
    deliver(shop, order_id)
    path, lines = f"/api/orders/guests/{token}/returns", {"lines": [{"product_id": "mug", "quantity": 1}]}
    _, made, _ = shop.call("POST", path, lines, user="", key="k-1234567")
    cancel = f"{path}/{made['return_id']}/cancel"

    status, cancelled, _ = shop.call("POST", cancel, user="", key="k-cancels")
    _, again, headers = shop.call("POST", cancel, user="", key="k-cancels")

    assert (status, cancelled["status"]) == (200, "cancelled")
    assert (again, headers["Idempotent-Replayed"]) == (cancelled, "true")
    _, second, _ = shop.call("POST", path, lines, user="", key="k-again-it")
    shop.receive_return(order_id, second)
    refused = shop.call("POST", f"{path}/{second['return_id']}/cancel", user="", key="k-too-late")
    assert problem(refused) == (409, "return-not-changeable")
    assert problem(shop.call("POST", f"{path}/none/cancel", user="", key="k-not-it-1")) == (404, "return-not-found")


def deliver(shop: Shop, order_id: str) -> None:
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    for news in ("shipment.dispatched", "shipment.delivered"):
        assert shop.hear(news, SENT | {"order_id": order_id}) == []


def test_by_the_link_a_declined_order_is_paid_with_another_card_once(shop: Shop) -> None:
    order_id, token = shop.place_waiting_for_guest()
    assert opened(shop, token)[1]["payment"]["state"] == "declined"
    path = f"/api/orders/guests/{token}/payments"

    first = shop.call("POST", path, {"payment_token": "tok_ok"}, user="", key="k-1234567")
    again = shop.call("POST", path, {"payment_token": "tok_ok"}, user="", key="k-1234567")

    assert (first[0], first[1]["payment"]["state"], again[1]) == (202, "processing", first[1])
    assert [event["type"] for event in shop.announced(order_id)][-1] == "order.payment_attempted"


def test_what_the_guest_does_at_the_bank_is_shown_by_the_link(shop: Shop) -> None:
    order_id, token = shop.place_waiting_for_guest("action_required")
    action = {"url": "", "client_secret": "pi_1_secret_1"}
    payment = {"status": "action_required", "attempt": 1, "version": 0, "action": action}
    waits = {"task_token": "token-1", "entered_at": "2026-11-22T12:00:00.000Z", "retries": 0}
    before = opened(shop, token)[1]["payment"]  # the saga has not begun to wait: the page looks again
    assert (before["state"], before["action"]) == ("processing", None)
    shop.task("AwaitBuyer", order_id=order_id, payment=payment, **waits)

    asked = opened(shop, token)[1]["payment"]
    assert (asked["state"], asked["action"]) == ("action_required", action)
    staff = shop.call("GET", f"/api/orders/{order_id}", user="boss", role="admin")[1]["payment"]
    assert (staff["state"], staff["action"]) == ("action_required", None)
    assert shop.call("POST", f"/api/orders/guests/{token}/payments", {}, user="", key="k-1234567")[0] == 202


def test_a_link_that_a_peer_gives_opens_the_order_beside_the_others(shop: Shop) -> None:
    order_id, token = shop.place_waiting_for_guest()

    assert [shop.give_link(order_id, "another") for _ in range(2)] == [(204, "")] * 2

    assert [opened(shop, one)[1]["order_id"] for one in (token, "another")] == [order_id, order_id]
    paid = shop.call(
        "POST", "/api/orders/guests/another/payments", {"payment_token": "tok_ok"}, user="", key="k-123456"
    )
    assert paid[0] == 202
    assert "another" not in stored(), "the token is stored"


def answer_by_link(shop: Shop, order_id: str, token: str) -> None:
    path = f"/api/orders/guests/{token}/payments"
    assert shop.call("POST", path, {"payment_token": "tok_ok"}, user="", key="k-1234567")[0] == 202


LINK_ENDS: dict[str, tuple[Callable[[Shop, str, str], object], tuple[int, str]]] = {
    "claimed": (lambda shop, *_: verify(shop), (404, "link-not-found")),
    "answered": (answer_by_link, (409, "nothing-awaited")),
    "paid": (lambda shop, one, _: shop.task("ConfirmOrder", order_id=one, payment_id="p"), (409, "nothing-awaited")),
    "cancelled": (
        lambda shop, one, _: shop.task("CancelOrder", order_id=one, error={"Error": "PaymentNotCompleted"}),
        (409, "nothing-awaited"),
    ),
}


@pytest.mark.parametrize("end", LINK_ENDS)
def test_an_order_that_is_an_account_s_or_waits_no_more_gets_no_link(shop: Shop, end: str) -> None:
    order_id, token = shop.place_waiting_for_guest()
    deed, refused = LINK_ENDS[end]
    deed(shop, order_id, token)

    assert shop.give_link(order_id, "another") == refused

    assert shop.store.find_linked(links.digest_of("another")) is None


def test_an_order_of_an_account_and_one_whose_time_is_over_get_no_link(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_account = shop.place_waiting()["order_id"]
    assert shop.give_link(of_account, "another") == (404, "link-not-found")
    assert shop.give_link("none", "another") == (404, "link-not-found")
    order_id, _ = shop.place_waiting_for_guest()
    awaited = shop.order(order_id).awaited
    assert awaited is not None
    monkeypatch.setattr(api, "utc_now", lambda: awaited.until)
    assert shop.give_link(order_id, "another") == (409, "nothing-awaited")


def test_a_link_of_one_order_is_not_given_to_another(shop: Shop) -> None:
    first = placed(shop)[1]
    order_id, _ = shop.place_waiting_for_guest()

    assert shop.give_link(order_id, first) == (404, "link-not-found")

    assert opened(shop, first)[1]["order_id"] != order_id


def test_an_order_has_so_many_links(shop: Shop) -> None:
    order_id, _ = shop.place_waiting_for_guest()
    tokens = [f"token-{number}" for number in range(links.MOST_GIVEN)]
    assert {shop.give_link(order_id, token) for token in tokens} == {(204, "")}

    assert shop.give_link(order_id, "one more") == (409, "too-many-links")

    assert shop.give_link(order_id, tokens[0]) == (204, "")
    assert opened(shop, "one more")[0] == 404


@pytest.mark.parametrize("digest", ["0" * 63, "0" * 65, "A" * 64, "x" * 64])
def test_a_link_is_given_by_a_digest(shop: Shop, digest: str) -> None:
    order_id, _ = shop.place_waiting_for_guest()
    event = aws_events.url_request("PUT", f"/api/orders/{order_id}/links/{digest}", peer="notifications")
    answer = api.handler(event, None)
    assert (answer["statusCode"], json.loads(answer["body"])["type"]) == (422, "urn:mercato:problem:invalid-digest")


@pytest.mark.parametrize("call", range(5))
def test_a_claim_in_the_middle_of_giving_a_link_leaves_none_that_opens_the_order(shop: Shop, call: int) -> None:
    order_id, _ = shop.place_waiting_for_guest()
    interrupter = Interrupter()
    interrupter.at(call, lambda: verify(shop))

    shop.give_link(order_id, "another")

    if interrupter.act:
        interrupter.act = None
        verify(shop)
    assert problem(opened(shop, "another")) == (404, "link-not-found")
    assert shop.order(order_id).customer_id == "cust-1"


def test_customers_staff_and_guests_give_no_links(shop: Shop) -> None:
    order_id, _ = shop.place_waiting_for_guest()
    path = f"/api/orders/{order_id}/links/{links.digest_of('another')}"
    answers = [shop.call("PUT", path, user=user, role=role)[0] for user, role in [("c", "customer"), ("b", "admin")]]
    assert [*answers, shop.call("PUT", path, user="", role="")[0]] == [403, 403, 401]


def test_an_account_that_claims_an_order_that_waits_pays_it(shop: Shop) -> None:
    order_id, token = shop.place_waiting_for_guest()
    assert verify(shop) == []
    card = {"payment_token": "tok_ok"}

    by_link = shop.call("POST", f"/api/orders/guests/{token}/payments", card, user="", key="k-1234567")
    paid = shop.call("POST", f"/api/orders/{order_id}/payments", card, key="k-1234567")

    assert problem(by_link) == (404, "link-not-found")
    assert (paid[0], paid[1]["payment"]["state"]) == (202, "processing")


def test_who_verifies_the_address_has_the_order_from_then_on(shop: Shop) -> None:
    order_id, token = placed(shop)

    assert verify(shop) == []
    assert verify(shop) == []

    (mine,) = shop.call("GET", "/api/orders")[1]["items"]
    assert mine["order_id"] == order_id
    assert shop.call("GET", f"/api/orders/{order_id}")[1]["customer_id"] == "cust-1"
    assert problem(opened(shop, token)) == (404, "link-not-found")
    assert [event["type"] for event in shop.announced(order_id)] == [PLACED, "order.claimed"]
    assert shop.announced(order_id)[-1]["data"] == {"order_id": order_id, "customer_id": "cust-1"}
    status, found, _ = shop.call("GET", f"/api/orders/{order_id}/history")
    assert (status, [fact["type"] for fact in found["facts"]]) == (200, ["OrderPlaced", "OrderClaimed"])
    staff = shop.call("GET", "/api/ops/orders", user="boss", role="admin")[1]["items"]
    assert [one["customer_id"] for one in staff] == ["cust-1"]


def test_another_address_and_an_event_without_one_claim_nothing(shop: Shop) -> None:
    order_id, token = placed(shop)

    assert verify(shop, email="eve@example.com") == verify(shop, email=None) == []

    assert shop.order(order_id).customer_id == GUEST
    assert opened(shop, token)[0] == 200


def test_an_order_that_is_placed_after_the_address_was_verified_is_the_account_s_once_it_is_confirmed(
    shop: Shop,
) -> None:
    verify(shop)
    order_id, token = placed(shop)
    assert created(shop, order_id) == []
    assert opened(shop, token)[0] == 200

    assert confirmed(shop, order_id) == confirmed(shop, order_id) == []

    assert shop.order(order_id).customer_id == "cust-1"
    assert [event["type"] for event in shop.announced(order_id)] == [PLACED, "order.confirmed", "order.claimed"]
    assert opened(shop, token)[0] == 404


@pytest.mark.parametrize("has_account", [True, False])
def test_an_order_that_is_not_paid_for_tells_nobody_whether_its_address_has_an_account(
    shop: Shop, has_account: bool
) -> None:
    """A stranger orders with the address, and a card that is never good."""
    if has_account:
        verify(shop)
    order_id, token = placed(shop)
    created(shop, order_id)
    error = {"Error": "PaymentDeclined", "Cause": "{}"}
    shop.task("CancelOrder", order_id=order_id, step="AuthorizePayment", error=error)
    assert shop.hear("order.cancelled", {"order_id": order_id, "customer_id": GUEST}) == []

    status, order, _ = opened(shop, token)

    assert (status, order["status"], order["customer_id"]) == (200, "cancelled", GUEST)
    assert shop.call("GET", "/api/orders")[1]["items"] == []


def test_an_order_is_the_account_s_also_while_its_mail_cannot_be_sent(shop: Shop) -> None:
    verify(shop)
    order_id, _ = placed(shop)
    shop.mailbox.failures = [MailNotSent("busy")]

    assert len(created(shop, order_id)) == 1
    assert confirmed(shop, order_id) == []
    assert shop.order(order_id).customer_id == "cust-1"

    assert created(shop, order_id) == []
    assert (len(shop.mailbox.sent), claims_of(shop, order_id)) == (1, ["cust-1"])


def test_two_accounts_cannot_both_claim(shop: Shop) -> None:
    order_id, _ = placed(shop)
    verify(shop)

    assert len(verify(shop, "cust-2")) == 1  # comes again until the first account's closing is known here

    assert shop.order(order_id).customer_id == "cust-1"
    assert shop.hear("user.closed", {"user_id": "cust-1"}) == []
    assert verify(shop, "cust-2") == []
    assert shop.order(order_id).customer_id == "cust-1"
    second = shop.place_for_guest("second")[1]["order"]["order_id"]
    assert created(shop, second) == confirmed(shop, second) == []
    assert shop.order(second).customer_id == "cust-2"
    assert verify(shop, "cust-1") == []  # an event that comes again after the closing
    assert shop.order(second).customer_id == "cust-2"


def test_a_closed_account_claims_nothing(shop: Shop) -> None:
    order_id, token = placed(shop)
    assert shop.hear("user.closed", {"user_id": "cust-1"}) == []

    assert verify(shop) == []

    assert opened(shop, token)[1]["order_id"] == order_id


def test_the_closing_of_the_account_erases_the_contact_and_the_address_of_what_it_claimed(shop: Shop) -> None:
    order_id, _ = placed(shop)
    created(shop, order_id)
    verify(shop)
    deliver(shop, order_id)

    assert shop.hear("user.closed", {"user_id": "cust-1"}) == []

    kept = stored()
    assert "ada@example.com" not in kept
    assert links.address_digest("ada@example.com") not in kept, "by it the order could be told to be the address's"
    assert not any(str(value) in kept for name, value in ADDRESS.items() if value and name != "country")
    assert shop.announced(order_id)[-1]["data"] == {"order_id": order_id, "customer_id": "cust-1", "guest_id": GUEST}
    assert created(shop, order_id) == []  # nobody is left to write to
    assert len(shop.mailbox.sent) == 1


@pytest.mark.parametrize("call", range(4))
def test_the_closing_of_the_account_leaves_no_digest_of_its_address(shop: Shop, call: int) -> None:
    """By it, whoever knows the address could tell which of the anonymised orders were the account's."""
    interrupter = Interrupter()
    interrupter.at(call, lambda: shop.hear("user.closed", {"user_id": "cust-1"}))

    assert verify(shop) == []

    assert shop.hear("user.closed", {"user_id": "cust-1"}) == []
    assert links.address_digest("ada@example.com") not in stored()


def test_the_closing_of_an_account_leaves_the_digest_of_the_one_that_has_the_address_since(shop: Shop) -> None:
    verify(shop)
    OrderStore(shop.table).note_departure("cust-1", utc_now())  # the closing is heard, and not over yet
    assert verify(shop, "cust-2") == []

    assert shop.hear("user.closed", {"user_id": "cust-1"}) == []

    order_id, _ = placed(shop)
    assert created(shop, order_id) == confirmed(shop, order_id) == []
    assert shop.order(order_id).customer_id == "cust-2"


def test_an_order_that_the_closing_did_not_see_yet_is_forgotten_when_its_claim_is_heard(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id, _ = placed(shop)
    verify(shop)
    monkeypatch.setattr(OrderStore, "ids_of", lambda *_, **__: iter(()))  # the index lags behind
    assert shop.hear("user.closed", {"user_id": "cust-1"}) == []

    assert shop.hear("order.claimed", {"order_id": order_id, "customer_id": "cust-1"}) == []

    assert shop.order(order_id).customer_left


def test_a_claim_of_many_orders_continues_where_its_time_ended(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [placed(shop)[0]]
    for number in range(3):
        shop.checkout.quotes[f"q-{number}", GUEST] = guests_sale(f"co-{number}", 10 + number)
        ids.append(shop.place_for_guest(f"q-{number}")[1]["order"]["order_id"])
    answers = iter([True, True, False])
    monkeypatch.setattr(consumers, "_has_time", lambda: next(answers, True))

    assert len(verify(shop)) == 1
    assert sorted(shop.order(one).customer_id for one in ids) == ["cust-1", "cust-1", GUEST, GUEST]
    assert verify(shop) == []

    assert {shop.order(one).customer_id for one in ids} == {"cust-1"}


def was_ordered(shop: Shop, email: str = "ada@example.com", since: str = "2026-11-22T11:59:00Z") -> bool:
    """As notifications asks before it reminds a guest of a cart."""
    event = aws_events.url_request("POST", "/api/orders/lookup", {"email": email, "since": since}, peer="notifications")
    answer = api.handler(event, None)
    assert answer["statusCode"] == 200, answer
    found: bool = json.loads(answer["body"])["ordered"]
    return found


def test_a_peer_is_told_whether_an_address_has_ordered_since(shop: Shop) -> None:
    assert not was_ordered(shop)
    order_id, _ = placed(shop)
    at = shop.order(order_id).placed_at
    before, after = (rfc3339(at + timedelta(seconds=by)) for by in (-1, 1))

    assert was_ordered(shop, since=before)
    assert not was_ordered(shop, since=after)
    assert not was_ordered(shop, "eve@example.com", before)


def test_an_order_that_was_claimed_and_one_of_the_account_count_for_the_address(shop: Shop) -> None:
    order_id, _ = placed(shop)
    at = shop.order(order_id).placed_at
    assert verify(shop) == []
    assert was_ordered(shop, since=rfc3339(at - timedelta(seconds=1)))
    later = rfc3339(at + timedelta(seconds=1))
    assert not was_ordered(shop, since=later)

    own = shop.place(key="of-the-account")["order_id"]

    assert was_ordered(shop, since=rfc3339(shop.order(own).placed_at))


def test_only_a_peer_asks_about_an_address(shop: Shop) -> None:
    asked = {"email": "ada@example.com", "since": "2026-11-22T11:59:00Z"}
    answers = [
        shop.call("POST", "/api/orders/lookup", asked, user=user, role=role)[0]
        for user, role in [("c", "customer"), ("b", "admin"), ("", "")]
    ]
    assert answers == [403, 403, 401]


def claims_of(shop: Shop, order_id: str) -> list[str]:
    found = [one.fact for one in shop.store.history(order_id)]
    return [fact.customer_id for fact in found if isinstance(fact, OrderClaimed)]


@pytest.mark.parametrize("call", range(12))
@pytest.mark.parametrize("act", ["cancel", "ship", "close", "same claim", "other claim", "place"])
def test_whatever_happens_in_the_middle_of_a_claim_each_order_is_claimed_once_and_nothing_is_lost(
    shop: Shop, act: str, call: int
) -> None:
    order_id, token = placed(shop)
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    acts: dict[str, Callable[[], Any]] = {
        "cancel": lambda: shop.call("POST", f"/api/orders/guests/{token}/cancel", {}, user="", key="k-1234567")[0],
        "ship": lambda: shop.hear("shipment.dispatched", SENT | {"order_id": order_id}),
        "close": lambda: shop.hear("user.closed", {"user_id": "cust-1"}),
        "same claim": lambda: verify(shop),
        "other claim": lambda: verify(shop, "cust-2"),
        "place": lambda: shop.place_for_guest("second"),
    }
    interrupter, seen = Interrupter(), list[Any]()
    interrupter.at(call, lambda: seen.append(acts[act]()))

    failed = verify(shop)

    if interrupter.act:  # the claim makes fewer calls: act after the last
        interrupter.act = None
        seen.append(acts[act]())
    if act == "other claim":
        assert len(failed) + len(seen[0]) == 1  # one of the two accounts waits
    elif failed:
        assert verify(shop) == []
    order = shop.order(order_id)
    assert len(claims_of(shop, order_id)) <= 1
    match act:
        case "cancel":
            # By the link while the order is the guest's; afterwards the account cancels it.
            assert seen[0] == (202 if "cancellation_requested" in str(shop.announced(order_id)) else 404)
            assert order.customer_id == "cust-1"
        case "ship":
            assert (order.status, order.customer_id) == ("shipped", "cust-1")
        case "close":
            # Either the account had the order, and lets it go as its others, or the order stays the guest's.
            assert order.customer_id in ("cust-1", GUEST)
            assert shop.hear("order.claimed", {"order_id": order_id, "customer_id": "cust-1"}) == []
            assert shop.order(order_id).customer_left or order.customer_id == GUEST
        case "same claim":
            assert claims_of(shop, order_id) == ["cust-1"]
        case "other claim":
            assert order.customer_id in ("cust-1", "cust-2")
        case "place":
            late = seen[0][1]["order"]["order_id"]
            assert created(shop, late) == confirmed(shop, late) == []
            assert {order.customer_id, shop.order(late).customer_id} == {"cust-1"}
    assert re.search("GUEST#[0-9a-f]{64}", stored()) or act == "close"


@pytest.mark.parametrize("call", range(8))
def test_a_guest_who_pays_in_the_middle_of_the_claim_is_heard_or_pays_in_the_account(shop: Shop, call: int) -> None:
    order_id, token = shop.place_waiting_for_guest()
    card, seen = {"payment_token": "tok_ok"}, list[int]()

    def pay() -> None:
        seen.append(shop.call("POST", f"/api/orders/guests/{token}/payments", card, user="", key="k-1234567")[0])

    interrupter = Interrupter()
    interrupter.at(call, pay)
    failed = verify(shop)
    if interrupter.act:  # the claim makes fewer calls: pay after the last
        interrupter.act = None
        pay()
    if failed:
        assert verify(shop) == []

    assert shop.order(order_id).customer_id == "cust-1"
    told = [event["type"] for event in shop.announced(order_id)].count("order.payment_attempted")
    assert (seen[0], told) in ((202, 1), (404, 0))
    mine = shop.call("POST", f"/api/orders/{order_id}/payments", card, key="k-7654321")
    assert mine[0] == (409 if told else 202), mine
