"""A guest's checkout, and the page of the guest's order."""

from __future__ import annotations

import dataclasses
import html
import re
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest

from mercato.clock import rfc3339, utc_now
from mercato.ids import derived_id
from mercato.peers.client import PeerUnavailable
from storefront import wiring
from tests.unit.pages.conftest import Answered, Ask
from tests.unit.pages.shop_api import ShopApi, answer_of_the_contract
from tests.unit.pages.test_checkout import ADDRESS, fields_of, open_checkout, placing, session  # noqa: F401

CART, TOKEN = "guest-1", "A" * 43
COOKIES = [f"__Host-cart={CART}"]
CHECKOUT = f"/api/checkouts/guests/{CART}"
PAGE = "/checkout/s1"
ORDER = f"/api/orders/guests/{TOKEN}"
WITH_LINK = [f"__Host-order={TOKEN}"]
START = ADDRESS | {"cart_id": CART, "cart_version": 4, "key": "key-of-the-page", "email": "gita@example.com"}


@pytest.fixture
def guests(open_checkout: ShopApi) -> ShopApi:  # noqa: F811
    api = open_checkout
    contact = {"email": "gita@example.com", "phone": None}
    api.answers[f"GET /api/carts/guests/{CART}"] = api.answers["GET /api/carts/mine"]
    api.answers[f"POST {CHECKOUT}"] = (201, session(version=1, service=None, quote=None, contact=contact))
    api.answers[f"GET {CHECKOUT}/s1"] = api.answers[f"PATCH {CHECKOUT}/s1"] = (200, session(contact=contact))
    api.answers["POST /api/orders/guests"] = (202, {"order": {"order_id": "o1"}, "token": TOKEN})
    return api


def order(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = answer_of_the_contract("GET", "/api/orders/o1")[1]
    return found | {"order_id": "o1", "status": "confirmed"} | changes


def test_a_guest_checks_out_with_an_e_mail_address(guests: ShopApi, shop: Ask) -> None:
    page = shop("GET", "/checkout", cookies=COOKIES)
    assert (page.status, 'name="email"' in page.text, "Have an account?" in page.text) == (200, True, True)

    answer = shop("POST", "/checkout", START, cookies=COOKIES)

    assert (answer.status, answer.location) == (303, PAGE)
    [(peer, _, _, body, headers)] = guests.of(f"POST {CHECKOUT}")
    assert (peer, headers["x-source-address"]) == ("checkout", "198.51.100.7")
    assert "Authorization" not in headers
    assert body["contact"] == {"email": "gita@example.com"}
    assert body["cart_version"] == 4


def test_without_an_address_to_write_to_nothing_is_opened(guests: ShopApi, shop: Ask) -> None:
    answer = shop("POST", "/checkout", START | {"email": ""}, cookies=COOKIES)
    assert answer.status == 422
    assert 'aria-describedby="email-error"' in answer.text
    assert guests.of(f"POST {CHECKOUT}") == []

    guests.refuse(f"POST {CHECKOUT}", 422, "invalid-email", "This is not an e-mail address.")
    answer = shop("POST", "/checkout", START | {"email": "gita"}, cookies=COOKIES)
    assert 'id="email-error">This is not an e-mail address.' in answer.text


def test_a_customer_is_asked_for_no_address(guests: ShopApi, shop: Ask) -> None:
    assert 'name="email"' not in shop("GET", "/checkout", as_user=True).text


@pytest.mark.parametrize(("method", "below"), [("GET", ""), ("POST", "/codes")])
def test_the_way_to_the_log_in_leads_back_to_the_checkout_and_holds_no_address_of_the_guest(
    guests: ShopApi, shop: Ask, method: str, below: str
) -> None:
    page = shop(method, PAGE + below, {"use": "code"} if below else None, cookies=COOKIES)
    assert page.status == (200 if method == "GET" else 422)
    (back,) = re.findall(r'href="/login\?back=([^"]*)"', page.text)
    assert unquote(back) == PAGE


def test_a_guest_orders_by_the_quote_and_keeps_the_link_in_a_cookie(guests: ShopApi, shop: Ask) -> None:
    answer = shop("POST", PAGE, placing(), cookies=COOKIES)

    assert (answer.status, answer.location) == (303, "/guest-order?said=placed")
    [(peer, _, _, body, _)] = guests.of("POST /api/orders/guests")
    assert peer == "orders"
    assert body == {"quote": "the.quote.seen", "payment_token": "tok_ok", "cart_id": CART, "waits_for_buyer": True}
    (cookie,) = answer.cookies
    assert cookie == f"__Host-order={TOKEN}; Path=/; Max-Age=7776000; Secure; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize(("held", "said"), [("o1", "once"), ("another", "mailed"), ("", "mailed")])
def test_what_was_ordered_before_is_shown_to_who_has_its_link(guests: ShopApi, shop: Ask, held: str, said: str) -> None:
    guests.refuse("POST /api/orders/guests", 409, "cart-already-ordered", order_id="o1")
    guests.answers[f"GET {ORDER}"] = (200, order(order_id=held))

    answer = shop("POST", PAGE, placing(), cookies=COOKIES + (WITH_LINK if held else []))

    assert answer.location == f"/guest-order?said={said}"


def test_a_lost_answer_keeps_the_guest_s_form(guests: ShopApi, shop: Ask) -> None:
    def lost() -> Any:
        raise PeerUnavailable("no answer", retry_after=7)

    guests.answers["POST /api/orders/guests"] = guests.answers[f"GET {CHECKOUT}/s1"] = lost

    answer = shop("POST", PAGE, placing(), cookies=COOKIES)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
    assert fields_of(answer)["quote"] == "the.quote.seen"


def test_a_guest_s_checkout_that_is_over_begins_again_with_address_and_e_mail(guests: ShopApi, shop: Ask) -> None:
    guests.refuse(f"PATCH {CHECKOUT}/s1", 404, "checkout-not-found")
    guests.refuse(f"GET {CHECKOUT}/s1", 404, "checkout-not-found")
    guests.answers[f"POST {CHECKOUT}"] = (201, session(checkout_id="s2"))
    typed = '{"shipping_address": {"name": "Ada"}, "contact": {"email": "gita@example.com"}}'

    answer = shop("POST", PAGE, placing(service="express", typed=typed), cookies=COOKIES)

    assert answer.status == 409
    contact = {"email": "gita@example.com"}
    assert guests.of(f"POST {CHECKOUT}")[-1][3] == {
        "shipping_address": {"name": "Ada"},
        "contact": contact,
        "codes": [],
        "cart_version": 4,
    }


def test_who_has_neither_an_account_nor_a_cart_is_asked_to_log_in(guests: ShopApi, shop: Ask) -> None:
    answer = shop("POST", PAGE, placing())

    assert answer.status == 401
    assert "what you typed is still there" in answer.text
    assert "Your cart is empty." in shop("GET", "/checkout").text


def test_a_guest_s_order_is_opened_by_the_token_in_the_cookie(guests: ShopApi, shop: Ask) -> None:
    guests.answers[f"GET {ORDER}"] = (200, order())

    answer = shop("GET", "/guest-order", cookies=WITH_LINK)

    assert answer.status == 200
    text = html.unescape(answer.text)
    assert 'action="/guest-order/cancel"' in text
    assert 'hx-get="/guest-order/status?seen=' in text
    assert 'data-open hidden><input type="hidden" name="token" data-from-fragment>' in text
    assert TOKEN not in text
    assert TOKEN not in str(answer.headers)
    assert "/orders/o1" not in text
    [(peer, _, _, _, headers)] = guests.of(f"GET {ORDER}")
    assert (peer, headers["x-source-address"]) == ("orders", "198.51.100.7")


def test_a_link_opens_the_order_and_its_token_is_in_no_address(guests: ShopApi, shop: Ask) -> None:
    guests.answers[f"GET {ORDER}"] = (200, order())

    for typed in (TOKEN, f"https://shop.example/guest-order#token={TOKEN}"):
        answer = shop("POST", "/guest-order", {"token": typed})
        assert (answer.status, answer.location) == (303, "/guest-order")
        assert answer.cookies[0].startswith(f"__Host-order={TOKEN};")


def test_a_wrong_link_is_told_at_its_field_and_the_one_before_stays(guests: ShopApi, shop: Ask) -> None:
    guests.refuse("GET /api/orders/guests/wrong", 404, "link-not-found", "This link opens no order.")

    answer = shop("POST", "/guest-order", {"token": "wrong"}, cookies=WITH_LINK)

    assert answer.status == 422
    assert 'id="token-error">This link opens no order.' in answer.text
    assert answer.cookies == []


@pytest.mark.parametrize("dots", [".", ".."])
def test_dots_in_a_form_a_cookie_or_an_address_ask_the_api_for_nothing(guests: ShopApi, shop: Ask, dots: str) -> None:
    """The call is signed by the page function, whose rights the guest has not: /api/orders/guests/.. is /api/orders."""
    answers = [
        shop("POST", "/guest-order", {"token": dots}),
        shop("GET", "/guest-order", cookies=[f"__Host-order={dots}"]),
        shop("POST", "/cart/lines", {"product_id": dots, "quantity": "1"}, cookies=COOKIES),
        shop("POST", "/guest-order/returns/%2E%2E/cancel", {"key": "key-00001"}, cookies=WITH_LINK),
    ]

    assert [answer.status for answer in answers] == [404, 404, 404, 405]
    assert {path for _, _, path, *_ in guests.asked} <= {f"/api/carts/guests/{CART}"}


def test_a_link_that_has_ended_is_forgotten_and_told(guests: ShopApi, shop: Ask) -> None:
    guests.refuse(f"GET {ORDER}", 404, "link-not-found", "This link opens no order.")

    answer = shop("GET", "/guest-order", cookies=WITH_LINK)

    assert answer.status == 404
    assert "This link opens no order." in answer.text
    assert answer.cookies[0].startswith("__Host-order=; Path=/; Max-Age=0;")
    assert shop("GET", "/guest-order/status").status == 404


def waiting(state: str, action: dict[str, str] | None = None) -> dict[str, Any]:
    payment = {"state": state, "action": action, "attempts": 1, "reason": "card_declined", "detail": "Declined."}
    until = rfc3339(utc_now() + timedelta(minutes=12))
    return order(status="pending", payment=payment | {"until": until})


def test_a_guest_pays_again_by_the_link(guests: ShopApi, shop: Ask) -> None:
    guests.answers[f"GET {ORDER}"] = (200, waiting("declined"))
    assert 'action="/guest-order/payments"' in html.unescape(shop("GET", "/guest-order", cookies=WITH_LINK).text)
    assert shop("GET", "/guest-order/status", cookies=WITH_LINK).headers["HX-Refresh"] == "true"
    assert "HX-Refresh" not in shop("GET", "/guest-order/status?seen=declined", cookies=WITH_LINK).headers
    guests.answers[f"POST {ORDER}/payments"] = (202, order())
    form = {"payment_token": "tok_ok", "key": "key-of-the-form"}

    answer = shop("POST", "/guest-order/payments", form, cookies=WITH_LINK)

    assert (answer.status, answer.location) == (303, "/guest-order?said=paying")
    [(peer, _, _, body, headers)] = guests.of(f"POST {ORDER}/payments")
    assert (peer, body, headers["Idempotency-Key"]) == ("orders", {"payment_token": "tok_ok"}, "key-of-the-form")
    assert shop("POST", "/guest-order/payments", {"key": "key-of-the-form"}, cookies=WITH_LINK).status == 422


def test_a_guest_answers_the_banks_question(guests: ShopApi, shop: Ask) -> None:
    guests.answers[f"GET {ORDER}"] = (200, waiting("action_required", {"url": "/bank/ch_1", "client_secret": ""}))
    page, bank = shop("GET", "/guest-order", cookies=WITH_LINK), "/guest-order/bank/ch_1"
    assert f'href="{bank}"' in html.unescape(page.text)
    assert f'action="{bank}"' in html.unescape(shop("GET", bank, cookies=WITH_LINK).text)
    guests.answers["POST /api/payments/guests/sandbox/challenges/ch_1"] = (204, None)

    answer = shop("POST", bank, {"outcome": "confirmed"}, cookies=WITH_LINK)

    assert (answer.status, answer.location) == (303, "/guest-order?said=confirmed")
    [(peer, _, _, body, _)] = guests.of("POST /api/payments/guests/sandbox/challenges/ch_1")
    assert (peer, body) == ("api", {"outcome": "confirmed"})


def test_a_guest_confirms_in_stripes_window(guests: ShopApi, shop: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENT_PROVIDER", "stripe")
    monkeypatch.setenv("STRIPE_PUBLISHABLE_KEY", "pk_test_1")
    wiring.ports.cache_clear()
    guests.answers[f"GET {ORDER}"] = (200, waiting("action_required", {"url": "", "client_secret": "pi_1_secret_2"}))
    page = shop("GET", "/guest-order", cookies=WITH_LINK)
    assert 'action="/guest-order/confirmation"' in html.unescape(page.text)
    assert "https://js.stripe.com" in page.headers["Content-Security-Policy"]
    guests.answers[f"POST {ORDER}/payments"] = (202, order())

    answer = shop("POST", "/guest-order/confirmation", {"key": "key-of-the-form"}, cookies=WITH_LINK)

    assert answer.location == "/guest-order?said=confirmed"
    assert [body for _, _, _, body, _ in guests.of(f"POST {ORDER}/payments")] == [{}]


def test_a_guest_cancels_and_returns_by_the_link(guests: ShopApi, shop: Ask) -> None:
    key = {"key": "key-of-the-page", "reason": "too_slow"}
    assert shop("POST", "/guest-order/cancel", key, cookies=WITH_LINK).location == "/guest-order?said=cancelling"
    ((_, _, _, body, headers),) = guests.of(f"POST {ORDER}/cancel")
    assert (body, headers["Idempotency-Key"]) == ({"reason": "too_slow"}, "key-of-the-page")

    form = key | {"product": ["p1"], "quantity": ["1"], "reason": "damaged"}
    assert shop("POST", "/guest-order/returns", form, cookies=WITH_LINK).location == "/guest-order?said=returned"
    ((_, _, _, body, _),) = guests.of(f"POST {ORDER}/returns")
    assert body == {"lines": [{"product_id": "p1", "quantity": 1}], "reason": "damaged"}

    closed = shop("POST", "/guest-order/close", cookies=WITH_LINK)
    assert closed.location == "/guest-order?said=closed"
    assert closed.cookies[0].startswith("__Host-order=;")


def test_a_guest_keeps_goods_that_were_to_be_returned(guests: ShopApi, shop: Ask) -> None:
    made = order()["returns"][0] | {"return_id": "r1", "status": "requested"}
    guests.answers[f"GET {ORDER}"] = (200, order(returns=[made]))
    assert 'action="/guest-order/returns/r1/cancel"' in html.unescape(
        shop("GET", "/guest-order", cookies=WITH_LINK).text
    )

    answer = shop("POST", "/guest-order/returns/r1/cancel", {"key": "key-of-the-page"}, cookies=WITH_LINK)

    assert (answer.status, answer.location) == (303, "/guest-order?said=kept")
    ((peer, _, _, _, headers),) = guests.of(f"POST {ORDER}/returns/r1/cancel")
    assert (peer, headers["Idempotency-Key"]) == ("orders", "key-of-the-page")


def test_a_guest_opens_the_invoice_by_the_link(guests: ShopApi, shop: Ask) -> None:
    guests.answers[f"GET {ORDER}"] = (200, order())
    invoice = answer_of_the_contract("GET", "/api/documents/guests/a-token")[1]["items"][0] | {"document_id": "d1"}
    documents = f"/api/documents/guests/{TOKEN}"
    guests.answers[f"GET {documents}"] = (200, {"items": [invoice]})
    file = {"url": "https://bucket.example/d1.pdf?X-Amz-Signature=1", "expires_at": "2026-11-22T12:05:00.000Z"}
    guests.answers[f"GET {documents}/d1/pdf"] = (200, file)

    assert 'href="/guest-order/documents/d1"' in html.unescape(shop("GET", "/guest-order", cookies=WITH_LINK).text)
    answer = shop("GET", "/guest-order/documents/d1", cookies=WITH_LINK)

    assert (answer.status, answer.location) == (303, file["url"])
    assert [peer for peer, *_ in guests.of(f"GET {documents}/d1/pdf")] == ["documents"]
    assert shop("GET", "/guest-order/documents/d1").status == 404


def test_without_the_documents_the_rest_of_a_guest_s_order_is_shown(guests: ShopApi, shop: Ask) -> None:
    def away() -> Any:
        raise PeerUnavailable("documents does not answer")

    guests.answers[f"GET {ORDER}"] = (200, order())
    guests.answers[f"GET /api/documents/guests/{TOKEN}"] = away
    page = shop("GET", "/guest-order", cookies=WITH_LINK)
    assert (page.status, "Its documents cannot be shown just now." in page.text) == (200, True)


def test_without_the_switches_the_rest_of_a_guest_s_order_is_shown(guests: ShopApi, shop: Ask) -> None:
    def away() -> Any:
        raise PeerUnavailable("notifications does not answer")

    guests.answers[f"GET {ORDER}"] = (200, order())
    guests.answers[f"GET {PREFERENCES}"] = away
    page = shop("GET", "/guest-order", cookies=WITH_LINK)
    assert (page.status, "The switches of its messages cannot be shown just now." in page.text) == (200, True)


@pytest.mark.parametrize("path", ["/orders", "/orders/o1"])
def test_a_guest_s_page_asks_nothing_that_is_for_customers_or_peers(guests: ShopApi, shop: Ask, path: str) -> None:
    """The page function may call as a peer, which may ask for any customer: a guest's request never does."""
    assert shop("GET", path, cookies=COOKIES + WITH_LINK).location.startswith("/login?back=")
    assert guests.asked == []


PREFERENCES = f"/api/notifications/guests/{TOKEN}/preferences"
WANTS_SMS = {"sms": "on", "sms_phone": " +44 20 7946 0958 "}


@pytest.fixture
def texting(guests: ShopApi, monkeypatch: pytest.MonkeyPatch) -> ShopApi:
    """A shop that sends text messages, and a guest's order of which none are sent."""
    monkeypatch.setattr(wiring.ports().settings.__class__, "offers_sms", True)
    kinds = [
        {"kind": "receipt", "needed": True, "email": True, "sms": None},
        {"kind": "order_shipped", "needed": False, "email": True, "sms": False},
        {"kind": "order_delivered", "needed": False, "email": True, "sms": False},
        {"kind": "abandoned_cart", "needed": False, "email": True, "sms": None},
    ]
    sms = {"phone": None, "stopped": None}
    guests.answers[f"GET {ORDER}"] = (200, order())
    guests.answers[f"GET {PREFERENCES}"] = (200, {"email": True, "kinds": kinds, "stopped": None, "sms": sms})
    guests.answers[f"PUT {PREFERENCES}"] = (200, {})
    return guests


def test_the_box_for_text_messages_is_not_ticked_and_for_guests_alone(texting: ShopApi, shop: Ask) -> None:
    (box,) = [line for line in shop("GET", PAGE, cookies=COOKIES).text.splitlines() if 'name="sms"' in line]
    assert 'type="checkbox"' in box
    assert "checked" not in box
    assert 'name="sms"' not in shop("GET", PAGE, as_user=True).text


def test_a_shop_without_text_messages_asks_for_no_number(guests: ShopApi, shop: Ask) -> None:
    assert "sms_phone" not in shop("GET", PAGE, cookies=COOKIES).text
    assert shop("POST", PAGE, placing() | WANTS_SMS, cookies=COOKIES).location == "/guest-order?said=placed"
    assert guests.of(f"PUT {PREFERENCES}") == []


def test_a_guest_s_number_is_noted_once_the_order_is_placed(texting: ShopApi, shop: Ask) -> None:
    answer = shop("POST", PAGE, placing() | WANTS_SMS, cookies=COOKIES)

    assert answer.location == "/guest-order?said=placed"
    [(peer, _, _, body, headers)] = texting.of(f"PUT {PREFERENCES}")
    assert (peer, headers["x-source-address"]) == ("notifications", "198.51.100.7")
    kinds = [{"kind": "order_shipped", "sms": True}, {"kind": "order_delivered", "sms": True}]
    assert body == {"kinds": kinds, "phone": "+442079460958"}
    [(_, _, _, placed, _)] = texting.of("POST /api/orders/guests")
    assert "0958" not in str(placed), "orders are told no number"


def test_without_the_tick_no_number_is_noted(texting: ShopApi, shop: Ask) -> None:
    wish = {"sms_phone": "+44 20 7946 0958"}
    assert shop("POST", PAGE, placing() | wish, cookies=COOKIES).location == "/guest-order?said=placed"
    assert texting.of(f"PUT {PREFERENCES}") == []


@pytest.mark.parametrize("number", ["", "020 7946 0958", "none"])
def test_a_number_that_is_none_is_said_before_anything_is_ordered(texting: ShopApi, shop: Ask, number: str) -> None:
    answer = shop("POST", PAGE, placing() | {"sms": "on", "sms_phone": number}, cookies=COOKIES)

    assert answer.status == 422
    assert 'id="sms_phone-error">Write the phone number with its country code' in answer.text
    (box,) = [line for line in answer.text.splitlines() if 'name="sms"' in line]
    assert "checked" in box
    assert texting.of("POST /api/orders/guests") == []


@pytest.mark.parametrize("answer", ["lost", "refused"])
def test_an_order_whose_number_could_not_be_noted_is_placed_and_asks_again(
    texting: ShopApi, shop: Ask, answer: str
) -> None:
    def lost() -> Any:
        raise PeerUnavailable("no answer")

    texting.answers[f"PUT {PREFERENCES}"] = lost
    if answer == "refused":
        texting.refuse(f"PUT {PREFERENCES}", 404, "link-not-found")

    location = shop("POST", PAGE, placing() | WANTS_SMS, cookies=COOKIES).location

    assert location == "/guest-order?said=untexted"
    page = shop("GET", location, cookies=WITH_LINK)
    assert "please give it again below" in page.text
    assert '<details class="card field" open>' in page.text


def test_the_tick_and_the_number_stay_where_the_total_has_changed(texting: ShopApi, shop: Ask) -> None:
    texting.refuse("POST /api/orders/guests", 409, "quote-changed", differences=[])
    answer = shop("POST", PAGE, placing() | WANTS_SMS, cookies=COOKIES)
    (box,) = [line for line in answer.text.splitlines() if 'name="sms"' in line]
    assert "checked" in box
    assert 'value="+44 20 7946 0958"' in answer.text
    assert texting.of(f"PUT {PREFERENCES}") == []


def test_the_order_s_page_has_the_switches_of_its_messages(texting: ShopApi, shop: Ask) -> None:
    page = shop("GET", "/guest-order", cookies=WITH_LINK).text
    assert "Mails and text messages about this order" in page
    shown = [line for line in page.splitlines() if 'name="kinds"' in line]
    assert ["order_shipped" in shown[0], "order_delivered" in shown[1], len(shown)] == [True, True, 2]

    form = {
        "email": "on",
        "kinds": ["order_shipped"],
        "switches": ["order_shipped", "order_delivered"],
        "sms": ["order_delivered"],
        "sms_switches": ["order_shipped", "order_delivered"],
        "phone": "+44 20 7946 0958",
    }
    kept = shop("POST", "/guest-order/preferences", form, cookies=WITH_LINK)

    assert kept.location == "/guest-order?said=switched"
    [(_, _, _, body, _)] = texting.of(f"PUT {PREFERENCES}")
    kinds = [
        {"kind": "order_shipped", "email": True, "sms": False},
        {"kind": "order_delivered", "email": False, "sms": True},
    ]
    assert body == {"email": True, "kinds": kinds, "phone": "+44 20 7946 0958"}


def test_a_number_that_is_refused_on_the_order_s_page_is_shown_again(texting: ShopApi, shop: Ask) -> None:
    texting.refuse(f"PUT {PREFERENCES}", 422, "invalid-number", "Write the phone number with its country code.")
    page = shop("POST", "/guest-order/preferences", {"phone": "020"}, cookies=WITH_LINK)
    assert (page.status, 'value="020"' in page.text) == (422, True)
    assert "Write the phone number with its country code." in page.text


def test_the_order_s_page_is_shown_without_its_switches(texting: ShopApi, shop: Ask) -> None:
    texting.refuse(f"GET {PREFERENCES}", 404, "not-found")
    page = shop("GET", "/guest-order", cookies=WITH_LINK)
    assert (page.status, "about this order" in page.text) == (200, False)


REMINDER = f"/api/notifications/guests/{CART}/reminder"
LEFT = "/api/notifications/guest-reminders/the-token"
BACK = "/cart/back/the-token"


@pytest.fixture
def reminding(guests: ShopApi, monkeypatch: pytest.MonkeyPatch) -> ShopApi:
    """A shop that reminds guests of their carts, and a mail about one."""
    settings = dataclasses.replace(wiring.ports().settings, cart_reminder_days=1)
    monkeypatch.setitem(vars(wiring.ports()), "settings", settings)
    guests.answers[f"PUT {REMINDER}"] = guests.answers[f"DELETE {REMINDER}"] = (204, None)
    items = [
        {"product_id": "mug", "name": "A mug", "quantity": 2},
        {"product_id": "lamp", "name": "A lamp", "quantity": 1},
    ]
    guests.answers[f"GET {LEFT}"] = (200, {"items": items})
    guests.answers[f"DELETE {LEFT}"] = (204, None)
    cart = guests.answers[f"GET /api/carts/guests/{CART}"][1]
    guests.answers[f"GET /api/carts/guests/{CART}"] = (200, cart | {"lines": []})
    guests.answers["POST /api/carts/guests"] = (201, cart | {"cart_id": "guest-new", "lines": []})
    for cart_id in (CART, "guest-new"):
        for product_id in ("mug", "lamp"):
            guests.answers[f"PUT /api/carts/guests/{cart_id}/items/{product_id}"] = (200, cart)
    return guests


def put_lines(api: ShopApi) -> list[tuple[str, Any]]:
    return [
        (path.rpartition("/")[2], body["quantity"])
        for _, method, path, body, _ in api.asked
        if method == "PUT" and "/items/" in path
    ]


def test_the_box_of_the_reminder_is_not_ticked_and_for_guests_alone(reminding: ShopApi, shop: Ask) -> None:
    reminding.answers[f"GET /api/carts/guests/{CART}"] = reminding.answers["GET /api/carts/mine"]
    (box,) = [line for line in shop("GET", "/checkout", cookies=COOKIES).text.splitlines() if 'name="remind"' in line]
    assert "checked" not in box
    assert 'name="remind"' not in shop("GET", "/checkout", as_user=True).text


def test_a_shop_that_reminds_nobody_has_no_box(guests: ShopApi, shop: Ask) -> None:
    assert 'name="remind"' not in shop("GET", "/checkout", cookies=COOKIES).text
    shop("POST", "/checkout", START | {"remind": "on"}, cookies=COOKIES)
    assert guests.of(f"PUT {REMINDER}") == []


def test_the_tick_asks_for_a_reminder_in_the_visitor_s_language(reminding: ShopApi, shop: Ask) -> None:
    headers = {"accept-language": "de"}
    answer = shop("POST", "/checkout", START | {"remind": "on"}, cookies=COOKIES, headers=headers)

    assert answer.location == PAGE
    [(peer, _, _, body, sent)] = reminding.of(f"PUT {REMINDER}")
    assert (peer, sent["x-source-address"]) == ("notifications", "198.51.100.7")
    assert body == {"email": "gita@example.com", "language": "de"}


def test_without_the_tick_nothing_is_asked_and_a_later_form_takes_it_back(reminding: ShopApi, shop: Ask) -> None:
    shop("POST", "/checkout", START, cookies=COOKIES)
    assert reminding.of(f"PUT {REMINDER}") == reminding.of(f"DELETE {REMINDER}") == []

    shop("POST", "/checkout", START, cookies=[*COOKIES, reminded()])
    assert len(reminding.of(f"DELETE {REMINDER}")) == 1


def reminded(cart_id: str = CART) -> str:
    """The cookie of a guest who has asked to be reminded of the cart."""
    return f"__Host-reminder={derived_id('reminder', cart_id)}"


def box_of(page: Answered) -> str:
    (box,) = [line for line in page.text.splitlines() if 'name="remind"' in line]
    return box


@pytest.mark.parametrize("path", ["/checkout", f"{PAGE}/address"])
def test_the_box_stays_ticked_in_a_later_form_about_the_same_cart(reminding: ShopApi, shop: Ask, path: str) -> None:
    reminding.answers[f"GET /api/carts/guests/{CART}"] = reminding.answers["GET /api/carts/mine"]
    noted = shop("POST", "/checkout", START | {"remind": "on"}, cookies=COOKIES)
    (cookie,) = [one.partition(";")[0] for one in noted.cookies if one.startswith("__Host-reminder=")]
    assert cookie == reminded()
    assert CART not in cookie

    assert "checked" in box_of(shop("GET", path, cookies=[*COOKIES, cookie]))
    assert "checked" not in box_of(shop("GET", path, cookies=[*COOKIES, reminded("guest-2")]))


def test_a_box_that_was_unticked_stays_so_while_the_form_is_filled(reminding: ShopApi, shop: Ask) -> None:
    reminding.answers[f"GET /api/carts/guests/{CART}"] = reminding.answers["GET /api/carts/mine"]
    held = [*COOKIES, reminded()]
    assert "checked" not in box_of(shop("POST", "/checkout/country", START, cookies=held))
    assert "checked" in box_of(shop("POST", "/checkout/country", START | {"remind": "on"}, cookies=held))
    assert "checked" not in box_of(shop("POST", "/checkout", START | {"email": ""}, cookies=held))


def test_another_address_in_the_checkout_asks_anew_or_takes_it_back(reminding: ShopApi, shop: Ask) -> None:
    form = ADDRESS | {"version": 1, "email": "gina@example.com"}
    held = [*COOKIES, reminded()]
    assert shop("POST", f"{PAGE}/address", form | {"remind": "on"}, cookies=held).location == PAGE
    [(_, _, _, body, _)] = reminding.of(f"PUT {REMINDER}")
    assert body == {"email": "gina@example.com"}
    assert shop("POST", f"{PAGE}/address", form, cookies=held).location == PAGE
    assert len(reminding.of(f"DELETE {REMINDER}")) == 1


@pytest.mark.parametrize("refusal", [None, 429, 404])
def test_a_reminder_that_cannot_be_noted_holds_up_no_checkout(
    reminding: ShopApi, shop: Ask, refusal: int | None
) -> None:
    def lost() -> Any:
        raise PeerUnavailable("no answer")

    reminding.answers[f"PUT {REMINDER}"] = lost
    if refusal:
        reminding.refuse(f"PUT {REMINDER}", refusal, "no")
    answer = shop("POST", "/checkout", START | {"remind": "on"}, cookies=COOKIES)
    assert answer.location == f"{PAGE}?said=not-reminded"
    assert any(one.startswith(reminded()) for one in answer.cookies)  # it may have been noted, and can be taken back
    assert "could not be noted" in shop("GET", answer.location, cookies=COOKIES).text


def test_a_reminder_that_cannot_be_taken_back_is_told_and_stays_ticked(reminding: ShopApi, shop: Ask) -> None:
    reminding.refuse(f"DELETE {REMINDER}", 503, "no")
    answer = shop("POST", "/checkout", START, cookies=[*COOKIES, reminded()])
    assert answer.location == f"{PAGE}?said=still-reminded"
    assert not any(one.startswith("__Host-reminder=") for one in answer.cookies)


def test_opening_the_link_of_a_reminder_only_shows_what_was_left(reminding: ShopApi, shop: Ask) -> None:
    page = shop("GET", BACK)
    assert (page.status, "2 × A mug" in page.text) == (200, True)
    assert put_lines(reminding) == []
    assert reminding.of(f"DELETE {LEFT}") == []


def test_what_was_left_is_put_into_a_new_cart_and_the_link_ends(reminding: ShopApi, shop: Ask) -> None:
    answer = shop("POST", BACK)

    assert answer.location == "/cart?said=back"
    assert put_lines(reminding) == [("mug", 2), ("lamp", 1)]
    assert any(cookie.startswith("__Host-cart=guest-new;") for cookie in answer.cookies)
    assert len(reminding.of(f"DELETE {LEFT}")) == 1
    assert reminding.asked[-1][1:3] == ("DELETE", LEFT)


def test_what_is_in_the_cart_already_is_not_added_to(reminding: ShopApi, shop: Ask) -> None:
    cart = reminding.answers["GET /api/carts/mine"][1]
    line = cart["lines"][0] | {"product_id": "mug", "quantity": 2}
    reminding.answers[f"GET /api/carts/guests/{CART}"] = (200, cart | {"lines": [line]})
    assert shop("POST", BACK, cookies=COOKIES).location == "/cart?said=back"
    assert put_lines(reminding) == [("lamp", 1)]


def test_what_is_not_sold_any_more_is_left_out(reminding: ShopApi, shop: Ask) -> None:
    reminding.refuse(f"PUT /api/carts/guests/{CART}/items/mug", 422, "product-discontinued")
    assert shop("POST", BACK, cookies=COOKIES).location == "/cart?said=partly"
    assert put_lines(reminding) == [("mug", 2), ("lamp", 1)]
    assert len(reminding.of(f"DELETE {LEFT}")) == 1


@pytest.mark.parametrize(("status", "slug"), [(422, "cart-full"), (404, "cart-not-found")])
def test_a_link_stays_good_where_the_cart_refuses_what_is_sold(
    reminding: ShopApi, shop: Ask, status: int, slug: str
) -> None:
    reminding.refuse(f"PUT /api/carts/guests/{CART}/items/mug", status, slug, "The cart is full.")
    answer = shop("POST", BACK, cookies=COOKIES)
    assert (answer.status, "The cart is full." in answer.text) == (status, True)
    assert reminding.of(f"DELETE {LEFT}") == []


def test_a_link_stays_good_while_the_cart_cannot_be_filled(reminding: ShopApi, shop: Ask) -> None:
    def lost() -> Any:
        raise PeerUnavailable("no answer")

    reminding.answers[f"PUT /api/carts/guests/{CART}/items/lamp"] = lost
    assert shop("POST", BACK, cookies=COOKIES).status == 503
    assert reminding.of(f"DELETE {LEFT}") == []


def test_a_link_that_was_used_says_so(reminding: ShopApi, shop: Ask) -> None:
    reminding.refuse(f"GET {LEFT}", 404, "nothing-left", "What this link led to was put back already.")
    for method in ("GET", "POST"):
        page = shop(method, BACK)
        assert (page.status, "What this link led to was put back already." in page.text) == (404, True)
    assert put_lines(reminding) == []


def test_a_reminders_link_that_was_used_leads_to_the_cart(reminding: ShopApi, shop: Ask) -> None:
    reminding.refuse(f"GET {LEFT}", 404, "unknown-reminder", "What this link led to was put back already.")
    page = shop("GET", BACK)
    assert (page.status, "was put back already" in page.text) == (404, True)
    assert '<a class="button" href="/cart">' in page.text
