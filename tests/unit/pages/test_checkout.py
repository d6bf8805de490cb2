"""The checkout: address, delivery, total and card; quotes that no longer hold; and what is away or over."""

from __future__ import annotations

import dataclasses
import html
import json
import re
from typing import Any

import pytest

from mercato.peers.client import PeerUnavailable
from pages.receipt import percent, receipt_of
from storefront import differences, wiring
from tests.unit.pages.conftest import Answered, Ask
from tests.unit.pages.shop_api import ShopApi

ADDRESS = {"name": "Ada", "line1": "1 Quay", "city": "Leith", "postcode": "EH6 6QQ", "country": "GB"}
UNUSED: dict[str, None] = dict.fromkeys(("company", "line2", "region", "phone"))
CART = {"cart_id": "c1", "version": 4, "total": {"amount": 2500, "currency": "GBP"}, "notices": []}
PAGE = "/checkout/s1"


def pounds(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "GBP"}


def charge(kind: str, amount: int, tax: int, **changes: Any) -> dict[str, Any]:
    about = {"product_id": "p1" if kind == "goods" else None, "description": "Mug" if kind == "goods" else "Standard"}
    how = {"quantity": 2 if kind == "goods" else 1, "rate": "0.2000", "tax_class": "standard", "jurisdiction": "GB"}
    return {"kind": kind, "amount": pounds(amount), "tax": pounds(tax)} | about | how | changes


def session(**changes: Any) -> dict[str, Any]:
    """A checkout with a quote for standard delivery."""
    services = [
        {"carrier": "sandbox", "service": "standard", "name": "Standard", "price": pounds(395), "days": 3},
        {"carrier": "sandbox", "service": "express", "name": "Express", "price": pounds(695), "days": 1},
    ]
    return {
        "checkout_id": "s1",
        "version": 2,
        "cart": {"id": "c1", "version": 4},
        "contact": None,
        "shipping_address": ADDRESS | {"line2": None, "region": None},
        "billing_address": None,
        "service": "standard",
        "services": services,
        "lines": [{"product_id": "p1", "sku": "M", "name": "Mug", "quantity": 2, "unit_price": pounds(1250)}],
        "charges": [charge("goods", 2500, 417), charge("shipping", 395, 66)],
        "totals": {"goods": pounds(2500), "shipping": pounds(395), "tax": pounds(483), "total": pounds(2895)},
        "codes": [],
        "missing": [],
        "notices": [],
        "quote": {"token": "the.quote.of-now", "expires_at": "2026-11-29T12:00:00Z"},
    } | changes


def placing(**changes: Any) -> dict[str, Any]:
    typed = json.dumps({"shipping_address": ADDRESS})
    seen = {"chosen": "standard", "version": 2, "quote": "the.quote.seen", "seen": 2895, "typed": typed}
    return seen | {"service": "standard", "payment_token": "tok_ok"} | changes


@pytest.fixture
def open_checkout(api: ShopApi) -> ShopApi:
    line = {
        "product_id": "p1",
        "name": "Mug",
        "quantity": 2,
        "unit_price": pounds(1250),
        "line_total": pounds(2500),
        "available": None,
        "was_price": None,
        "shortfall": 0,
    }
    api.answers["GET /api/carts/mine"] = (200, CART | {"lines": [line]})
    api.answers["GET /api/checkouts/s1"] = (200, session())
    api.answers["PATCH /api/checkouts/s1"] = (200, session(version=3))
    api.answers["POST /api/checkouts"] = (201, session(version=1, service=None, quote=None))
    api.answers["POST /api/orders/quoted"] = (202, {"order_id": "o1"})
    return api


def fields_of(page: Answered) -> dict[str, str]:
    """The hidden fields of a page."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.text)
    return {name: html.unescape(value) for name, value in found}


def test_a_code_that_a_script_sends_is_told_in_its_part_of_the_page(open_checkout: ShopApi, shop: Ask) -> None:
    form = {"service": "standard", "code": "SOME-10", "use": "code"}
    for headers, told in (({}, 1), ({"hx-request": "true"}, 2)):
        page = shop("POST", f"{PAGE}/codes", form, as_user=True, headers=headers).text
        assert page.count("The code SOME-10 is used.") == told
        codes = page.partition('id="codes"')[2].partition("</section>")[0]
        assert ("The code SOME-10 is used." in codes) == bool(headers)


def test_the_address_opens_a_checkout_with_the_cheapest_delivery(open_checkout: ShopApi, shop: Ask) -> None:
    form = ADDRESS | {"cart_id": "c1", "cart_version": 4, "key": "key-of-the-page"}

    answer = shop("POST", "/checkout", form, as_user=True)

    assert (answer.status, answer.location) == (303, PAGE)
    [(peer, _, _, body, headers)] = open_checkout.of("POST /api/checkouts")
    assert peer == "api"
    assert headers["Authorization"] == "Bearer an.access.token"
    assert body == {"cart": {"id": "c1", "version": 4}, "shipping_address": ADDRESS | UNUSED}
    [(_, _, _, changes, _)] = open_checkout.of("PATCH /api/checkouts/s1")
    assert changes == {"version": 1, "service": "standard"}
    assert any(cookie.startswith("__Host-checkout=s1;") for cookie in answer.cookies)

    assert shop("POST", "/checkout", form, as_user=True).status == 303
    assert shop("POST", "/checkout", form | {"city": "London"}, as_user=True).status == 303
    keys = [headers["Idempotency-Key"] for *_, headers in open_checkout.of("POST /api/checkouts")]
    assert keys[0] == keys[1] != keys[2]


def test_a_checkout_is_opened_although_no_delivery_can_be_chosen_yet(open_checkout: ShopApi, shop: Ask) -> None:
    open_checkout.refuse("PATCH /api/checkouts/s1", 409, "checkout-changed")

    form = ADDRESS | {"cart_id": "c1", "cart_version": 4, "key": "key-of-the-page"}

    assert shop("POST", "/checkout", form, as_user=True).location == PAGE


def test_an_empty_address_begins_with_the_shops_country(
    open_checkout: ShopApi, shop: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert '<option value="GB" selected' in shop("GET", "/checkout", as_user=True).text
    settings = dataclasses.replace(wiring.ports().settings, country="DE")
    monkeypatch.setitem(vars(wiring.ports()), "settings", settings)

    assert '<option value="DE" selected' in shop("GET", "/checkout", as_user=True).text


def test_the_next_checkout_begins_with_the_address_of_the_one_before(open_checkout: ShopApi, shop: Ask) -> None:
    assert 'value="1 Quay"' in shop("GET", "/checkout", as_user=True, cookies=["__Host-checkout=s1"]).text
    assert "1 Quay" not in shop("GET", "/checkout", as_user=True).text
    open_checkout.refuse("GET /api/checkouts/s1", 404, "checkout-not-found")
    assert shop("GET", "/checkout", as_user=True, cookies=["__Host-checkout=s1"]).status == 200


def test_a_guest_whose_cart_is_gone_is_told_so_and_not_asked_to_log_in(open_checkout: ShopApi, shop: Ask) -> None:
    open_checkout.refuse("GET /api/carts/guests/c1", 404, "cart-not-found")
    page = shop("GET", "/checkout", cookies=["__Host-cart=c1", "__Host-checkout=s1"])
    assert (page.status, "Your cart is empty" in page.text) == (200, True)


def test_the_two_steps_have_each_a_title(open_checkout: ShopApi, shop: Ask) -> None:
    """A screen reader says the title first, and so tells the steps apart."""
    titles = {
        shop("GET", page, as_user=True).text.partition("<title>")[2].partition("<")[0] for page in ("/checkout", PAGE)
    }
    assert titles == {"Check out: where it goes · Mercato", "Check out: delivery, total and card · Mercato"}


def test_a_page_that_has_loaded_the_cart_asks_for_no_count_of_it(open_checkout: ShopApi, shop: Ask) -> None:
    cookies = ["__Host-cart=c1"]
    for page in ("/cart", "/checkout"):
        text = shop("GET", page, as_user=True, cookies=cookies).text
        assert ('class="count"' in text, "/cart/count" in text) == (True, False)
    assert "/cart/count" in html.unescape(shop("GET", PAGE, as_user=True, cookies=cookies).text)
    open_checkout.refuse("GET /api/carts/mine", 503, "unavailable")
    assert "/cart/count" in html.unescape(shop("GET", "/cart", as_user=True, cookies=cookies).text)


def test_the_total_is_the_sum_of_lines(open_checkout: ShopApi, shop: Ask) -> None:
    text = html.unescape(shop("GET", PAGE, as_user=True).text)

    rows = re.findall(r'class="leader[^"]*"><span[^>]*>([^<]+)</span> <span>([^<]+)</span>', text)
    assert rows == [
        ("2 × Mug", "£25.00"),
        ("Delivery, standard", "£3.95"),
        ("Total", "£28.95"),
        ("Tax 20 %, included", "£4.83"),
    ]
    assert 'value="standard" checked' in text
    assert "Ada, 1 Quay, Leith EH6 6QQ, United Kingdom" in text


def test_a_tax_that_is_added_is_a_row_of_the_sum() -> None:
    charges = [
        charge("goods", 2719, 219, rate="0.0875", jurisdiction="US-NY"),
        charge("shipping", 500, 0, rate="0.0000"),
    ]
    lines = session()["lines"]

    receipt = receipt_of(charges, lines)

    assert receipt.is_tax_added
    assert [(row.text, row.amount["amount"]) for row in (*receipt.rows, *receipt.taxes)] == [
        ("2 × Mug", 2500),
        ("Delivery, standard", 500),
        ("Tax 8.75 %", 219),
    ]


@pytest.mark.parametrize(
    ("rate", "text"),
    [("0.2000", "20 %"), ("0.0550", "5.5 %"), ("0.08875", "8.875 %"), ("1.0000", "100 %"), ("0.0000", "0 %")],
)
def test_a_rate_is_told_in_percent(rate: str, text: str) -> None:
    assert percent(rate) == text


def test_an_order_is_placed_by_the_quote_that_the_shopper_saw(open_checkout: ShopApi, shop: Ask) -> None:
    answer = shop("POST", PAGE, placing(), as_user=True)

    assert (answer.status, answer.location) == (303, "/orders/o1?said=placed")
    [(_, _, _, body, _)] = open_checkout.of("POST /api/orders/quoted")
    assert body == {"quote": "the.quote.seen", "payment_token": "tok_ok", "waits_for_buyer": True}


def test_a_form_that_is_sent_twice_is_one_order_and_says_so(open_checkout: ShopApi, shop: Ask) -> None:
    open_checkout.answers["POST /api/orders/quoted"] = (202, {"order_id": "o1"}, {"idempotent-replayed": "true"})

    assert shop("POST", PAGE, placing(), as_user=True).location == "/orders/o1?said=once"


@pytest.mark.parametrize("problem", ["quote-already-ordered", "cart-already-ordered"])
def test_what_was_ordered_in_another_tab_leads_to_its_order(open_checkout: ShopApi, shop: Ask, problem: str) -> None:
    open_checkout.refuse("POST /api/orders/quoted", 409, problem, order_id="o1")

    assert shop("POST", PAGE, placing(), as_user=True).location == "/orders/o1?said=once"


def test_a_delivery_that_was_chosen_without_script_is_shown_with_its_total_first(
    open_checkout: ShopApi, shop: Ask
) -> None:
    answer = shop("POST", PAGE, placing(service="express", payment_token="tok_declined"), as_user=True)

    assert answer.status == 409
    assert "Nothing is ordered yet." in answer.text
    assert 'value="tok_declined" checked' in answer.text
    [(_, _, _, changes, _)] = open_checkout.of("PATCH /api/checkouts/s1")
    assert changes == {"version": 2, "service": "express"}
    assert open_checkout.of("POST /api/orders/quoted") == []


def test_the_last_choice_of_two_tabs_holds(open_checkout: ShopApi, shop: Ask) -> None:
    answers = iter(
        [
            (409, {"type": "urn:mercato:problem:checkout-changed", "detail": "No."}),
            (200, session(version=6, service="express")),
        ]
    )
    open_checkout.answers["PATCH /api/checkouts/s1"] = lambda: next(answers)
    open_checkout.answers["GET /api/checkouts/s1"] = (200, session(version=5))

    answer = shop("POST", f"{PAGE}/service", placing(service="express"), as_user=True)

    assert answer.status == 200
    assert [one[3]["version"] for one in open_checkout.of("PATCH /api/checkouts/s1")] == [2, 5]
    assert 'value="express" checked' in answer.text


def test_every_difference_is_shown_with_a_new_quote_and_the_card_stays(open_checkout: ShopApi, shop: Ask) -> None:
    changed = [
        {"what": "price", "product_id": "p1", "was": pounds(1250), "is_now": pounds(1300)},
        {"what": "stock", "product_id": "p1", "was": 2, "is_now": 1},
        {"what": "product", "product_id": "p2", "was": 1, "is_now": None},
        {"what": "tax", "product_id": None, "was": "0.2000", "is_now": "0.0500"},
        {"what": "days", "product_id": None, "was": 3, "is_now": 1},
        {"what": "shipping", "product_id": None, "was": pounds(395), "is_now": None},
        {"what": "checkout", "product_id": None, "was": 2, "is_now": 3},
        {"what": "no-tax-rate", "product_id": None, "was": None, "is_now": "There is no tax rate."},
    ]
    open_checkout.refuse("POST /api/orders/quoted", 409, "quote-changed", "Something has changed.", differences=changed)
    open_checkout.answers["GET /api/checkouts/s1"] = (
        200,
        session(totals=session()["totals"] | {"total": pounds(2995)}),
    )

    answer = shop("POST", PAGE, placing(payment_token="tok_declined"), as_user=True)

    text = html.unescape(answer.text)
    assert answer.status == 409
    rows = re.findall(r'dir="auto">([^<]+)</th><td><del>([^<]*)</del></td><td><ins>([^<]*)</ins>', text)
    assert rows == [
        ("Mug, each", "£12.50", "£13.00"),
        ("Mug", "2 in your order", "1 in stock"),
        ("An item", "1 in your order", "not for sale any more"),
        ("Tax on delivery", "20 %", "5 %"),
        ("Delivery takes", "3 days", "1 day"),
        ("Delivery", "£3.95", "none"),
        ("Your checkout", "as you saw it", "changed in another window"),
        ("No tax rate", "", "There is no tax rate."),
        ("Total", "£28.95", "£29.95"),
    ]
    assert fields_of(answer)["quote"] == "the.quote.of-now"
    assert 'value="tok_declined" checked' in text


def test_an_expired_quote_asks_to_agree_to_a_new_one(open_checkout: ShopApi, shop: Ask) -> None:
    open_checkout.refuse("POST /api/orders/quoted", 409, "quote-expired", "The quote has expired.")

    answer = shop("POST", PAGE, placing(), as_user=True)

    assert answer.status == 409
    assert "The quote has expired. Nothing is ordered yet." in answer.text
    assert "What has changed" not in answer.text
    assert fields_of(answer)["quote"] == "the.quote.of-now"


def test_a_checkout_that_cannot_be_ordered_says_why_and_leads_to_the_cart(open_checkout: ShopApi, shop: Ask) -> None:
    notice = {"type": "short-of-stock", "detail": "Of Mug there are 1; you want 2.", "product_id": "p1"}
    open_checkout.answers["GET /api/checkouts/s1"] = (200, session(quote=None, notices=[notice]))

    answer = shop("GET", PAGE, as_user=True)

    assert "Of Mug there are 1; you want 2." in answer.text
    assert "Place the order" not in answer.text
    assert 'class="button" href="/cart"' in answer.text


def test_a_lost_answer_keeps_the_whole_form_so_that_it_can_be_sent_again(open_checkout: ShopApi, shop: Ask) -> None:
    def lost() -> Any:
        raise PeerUnavailable("no answer", retry_after=7)

    open_checkout.answers["POST /api/orders/quoted"] = lost
    open_checkout.answers["GET /api/checkouts/s1"] = lost

    answer = shop("POST", PAGE, placing(), as_user=True, headers={"x-request-id": "request-0001"})

    assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
    assert "Please try again in 7 seconds." in answer.text
    assert "request-0001" in answer.text
    kept = fields_of(answer)
    assert kept == {name: str(value) for name, value in placing().items()}
    del open_checkout.answers["POST /api/orders/quoted"]
    open_checkout.answers["POST /api/orders/quoted"] = (202, {"order_id": "o1"}, {"idempotent-replayed": "true"})
    assert shop("POST", PAGE, kept, as_user=True).location == "/orders/o1?said=once"


def test_a_checkout_that_is_away_is_a_page_with_the_request_id(open_checkout: ShopApi, shop: Ask) -> None:
    def lost() -> Any:
        raise PeerUnavailable("no answer", retry_after=7)

    open_checkout.answers["GET /api/checkouts/s1"] = lost

    for path in (PAGE, f"{PAGE}/address"):
        answer = shop("GET", path, as_user=True, headers={"x-request-id": "request-0001"})
        assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
        assert "request-0001" in answer.text


def test_shipping_that_is_away_keeps_the_address_and_the_cart(open_checkout: ShopApi, shop: Ask) -> None:
    def lost() -> Any:
        raise PeerUnavailable("no answer", retry_after=7)

    open_checkout.answers["POST /api/checkouts"] = lost
    form = ADDRESS | {"cart_id": "c1", "cart_version": 4, "key": "key-of-the-page"}

    answer = shop("POST", "/checkout", form, as_user=True)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
    assert 'value="1 Quay"' in answer.text
    assert "2 × Mug" in answer.text
    open_checkout.answers["GET /api/carts/mine"] = lost
    again = shop("POST", "/checkout", form, as_user=True)
    assert again.status == 503
    assert {"cart_id": "c1", "cart_version": "4", "key": "key-of-the-page"}.items() <= fields_of(again).items()


def test_a_checkout_that_is_over_begins_again_from_the_cart_with_what_was_typed(
    open_checkout: ShopApi, shop: Ask
) -> None:
    over = [{"what": "checkout", "product_id": None, "was": 2, "is_now": None}]
    open_checkout.refuse("POST /api/orders/quoted", 409, "quote-changed", "Something has changed.", differences=over)
    open_checkout.refuse("GET /api/checkouts/s1", 404, "checkout-not-found")
    new = session(checkout_id="s2", version=1, service=None, quote=None)
    open_checkout.answers["POST /api/checkouts"] = (201, new)
    open_checkout.answers["PATCH /api/checkouts/s2"] = (200, session(checkout_id="s2"))

    answer = shop("POST", PAGE, placing(service="express", chosen="express"), as_user=True)

    assert answer.status == 409
    assert "Your checkout was over" in answer.text
    assert 'action="&#x2f;checkout&#x2f;s2"' in answer.text
    [(_, _, _, body, _)] = open_checkout.of("POST /api/checkouts")
    assert body == {"shipping_address": ADDRESS, "codes": [], "cart": {"id": "c1", "version": 4}}
    assert open_checkout.of("PATCH /api/checkouts/s2")[0][3]["service"] == "express"

    open_checkout.refuse("POST /api/checkouts", 422, "cart-empty", "Your cart is empty.")
    answer = shop("POST", PAGE, placing(), as_user=True)
    assert answer.status == 409
    assert 'value="1 Quay"' in answer.text
    assert "Your cart is empty." in answer.text
    assert shop("GET", PAGE, as_user=True).location == "/checkout?said=over"


@pytest.mark.parametrize("typed", ["{", "[]", "null", '{"shipping_address": 3}'])
def test_a_forged_address_breaks_nothing(open_checkout: ShopApi, shop: Ask, typed: str) -> None:
    open_checkout.refuse("PATCH /api/checkouts/s1", 404, "checkout-not-found")
    open_checkout.refuse("GET /api/checkouts/s1", 404, "checkout-not-found")
    open_checkout.refuse("POST /api/checkouts", 422, "invalid-request")

    assert shop("POST", f"{PAGE}/service", placing(typed=typed), as_user=True).status == 404


def test_a_session_that_ends_keeps_the_quote_and_the_card_through_the_log_in(open_checkout: ShopApi, shop: Ask) -> None:
    open_checkout.refuse("POST /api/orders/quoted", 401, "unauthenticated")
    open_checkout.refuse("POST /api/users/token/refresh", 401, "unauthenticated")
    asked = shop("POST", PAGE, placing(payment_token="tok_declined"), as_user=True, cookies=["__Host-r=refresh"])
    assert asked.status == 401
    open_checkout.answers["POST /api/users/login"] = (200, {"access_token": "a.b.c", "refresh_token": "r"})

    answer = shop("POST", "/login", {"email": "a@b.example", "password": "secret"} | fields_of(asked))

    assert answer.status == 200
    assert "Nothing was sent yet" in answer.text
    assert 'value="tok_declined" checked' in answer.text


def test_another_address_chooses_its_delivery_again(open_checkout: ShopApi, shop: Ask) -> None:
    page = shop("GET", f"{PAGE}/address", as_user=True)
    assert 'value="1 Quay"' in page.text
    moved = session(version=3, service=None, quote=None)
    open_checkout.answers["PATCH /api/checkouts/s1"] = (200, moved)

    form = ADDRESS | fields_of(page) | {"city": "London", "service": "express"}
    answer = shop("POST", f"{PAGE}/address", form, as_user=True)

    assert (answer.status, answer.location) == (303, PAGE)
    first, second = (one[3] for one in open_checkout.of("PATCH /api/checkouts/s1"))
    assert (first["version"], first["service"], first["shipping_address"]["city"]) == (2, None, "London")
    assert second == {"version": 3, "service": "express"}


def test_an_address_where_nothing_is_delivered_is_told_and_stays(open_checkout: ShopApi, shop: Ask) -> None:
    open_checkout.refuse("PATCH /api/checkouts/s1", 422, "no-rate-for-destination", "We do not deliver this to AQ.")

    answer = shop("POST", f"{PAGE}/address", ADDRESS | {"version": 2, "country": "AQ", "city": "Vostok"}, as_user=True)

    assert answer.status == 422
    assert "We do not deliver this to AQ." in answer.text
    assert 'value="Vostok"' in answer.text
    assert shop("POST", f"{PAGE}/address", ADDRESS | {"version": 2, "country": "XX"}, as_user=True).status == 422


def test_a_card_and_a_delivery_are_asked_for(open_checkout: ShopApi, shop: Ask) -> None:
    assert "Please say how you pay." in shop("POST", PAGE, placing(payment_token=""), as_user=True).text
    assert "Please choose a delivery" in shop("POST", PAGE, placing(service="", chosen="", quote=""), as_user=True).text
    assert open_checkout.of("POST /api/orders/quoted") == []


def test_a_difference_of_a_kind_that_is_new_is_told_as_it_is() -> None:
    found = differences.rows_of([{"what": "coupon-used-up", "product_id": None, "was": 3, "is_now": None}], session())

    assert [(row.what, row.was, row.is_now) for row in found] == [("Coupon used up", "3", "")]


def test_a_code_is_added_and_removed_and_the_others_stay(open_checkout: ShopApi, shop: Ask) -> None:
    open_checkout.answers["GET /api/checkouts/s1"] = (200, session(codes=["POST"]))

    added = shop("POST", f"{PAGE}/codes", placing(code=" ten ", use="code"), as_user=True)
    assert (added.status, "The code TEN is used." in added.text) == (200, True)
    removed = shop("POST", f"{PAGE}/codes", placing(code="half typed", remove="POST"), as_user=True)
    assert 'name="code" value="half typed"' in removed.text
    changes = [body for _, _, _, body, _ in open_checkout.of("PATCH /api/checkouts/s1")]
    assert changes == [{"version": 2, "codes": ["POST", "TEN"]}, {"version": 2, "codes": []}]

    text = shop("GET", PAGE, as_user=True).text
    assert 'name="remove" value="POST"' in text
    assert json.loads(fields_of(shop("GET", PAGE, as_user=True))["typed"])["codes"] == ["POST"]


CHOSEN = {"service": "express", "payment_token": "tok_declined"}


@pytest.mark.parametrize("sent", [{"code": "ten", "use": "code"}, {"remove": "POST"}, {}])
def test_what_was_chosen_stays_where_a_code_is_used(open_checkout: ShopApi, shop: Ask, sent: dict[str, str]) -> None:
    """Without script, the delivery is chosen by the same form. The Enter key in another field sends no code."""
    page = shop("POST", f"{PAGE}/codes", placing(**CHOSEN, **sent), as_user=True)

    assert page.status == 200
    assert 'value="tok_declined" checked' in page.text
    assert [body.get("service") for _, _, _, body, _ in open_checkout.of("PATCH /api/checkouts/s1")] == (
        ["express"] if sent else []
    )


def test_a_code_that_was_typed_and_not_used_is_used_before_the_order_is_placed(
    open_checkout: ShopApi, shop: Ask
) -> None:
    page = shop("POST", PAGE, placing(code="ten", payment_token="tok_declined"), as_user=True)

    assert (page.status, "The code TEN is used, and the total is now with it. Nothing is ordered" in page.text) == (
        409,
        True,
    )
    assert 'name="code" value=""' in page.text
    assert 'value="tok_declined" checked' in page.text
    assert open_checkout.of("POST /api/orders/quoted") == []


def test_a_lost_answer_keeps_the_code_that_was_sent(open_checkout: ShopApi, shop: Ask) -> None:
    def lost() -> Any:
        raise PeerUnavailable("no answer", retry_after=7)

    open_checkout.answers["GET /api/checkouts/s1"] = lost
    sent = placing(code="TEN", use="code")

    kept = fields_of(shop("POST", f"{PAGE}/codes", sent, as_user=True))

    assert kept == {name: str(value) for name, value in sent.items()}


def test_a_tab_that_is_opened_again_after_a_form_shows_the_page_of_the_form(shop: Ask) -> None:
    for below in ("codes", "service"):
        answer = shop("GET", f"{PAGE}/{below}", as_user=True)
        assert (answer.status, answer.location) == (303, PAGE)
    assert shop("GET", f"/p/{'x' * 201}", as_user=True).status == 404


@pytest.mark.parametrize("problem", ["code-rejected", "codes-unavailable", "nothing-to-pay", "too-many-codes"])
def test_a_code_that_is_refused_is_told_at_its_field_and_stays_typed(
    open_checkout: ShopApi, shop: Ask, problem: str
) -> None:
    open_checkout.refuse("PATCH /api/checkouts/s1", 422, problem, "TEN: This code is not valid any more.")

    page = shop("POST", f"{PAGE}/codes", placing(code="TEN", use="code"), as_user=True)

    assert page.status == 422
    assert 'id="code-error">TEN: This code is not valid any more.<' in page.text
    assert 'name="code" value="TEN"' in page.text


def test_who_has_tried_too_many_codes_is_told_when_to_come_again(open_checkout: ShopApi, shop: Ask) -> None:
    problem = {"type": "urn:mercato:problem:too-many-codes", "detail": "Please try again in 14 minutes."}
    open_checkout.answers["PATCH /api/checkouts/s1"] = (429, problem, {"retry-after": "840"})

    page = shop("POST", f"{PAGE}/codes", placing(code="GUESS", use="code"), as_user=True)

    assert (page.status, page.headers["Retry-After"]) == (429, "840")
    assert 'id="code-error">Please try again in 14 minutes.<' in page.text
    assert 'name="code" value="GUESS"' in page.text


def test_what_is_no_code_is_not_sent(open_checkout: ShopApi, shop: Ask) -> None:
    for code in ("no code!", ""):
        page = shop("POST", f"{PAGE}/codes", placing(code=code, use="code"), as_user=True)
        assert (page.status, 'id="code-error"' in page.text) == (422, True)
    assert open_checkout.of("PATCH /api/checkouts/s1") == []


def test_a_code_that_is_over_keeps_the_order_from_being_placed_until_it_is_removed(
    open_checkout: ShopApi, shop: Ask
) -> None:
    notice = {"type": "code-rejected", "detail": "TEN: This code is not valid any more.", "product_id": None}
    open_checkout.answers["GET /api/checkouts/s1"] = (200, session(codes=["TEN"], quote=None, notices=[notice]))

    text = shop("GET", PAGE, as_user=True).text

    assert "Place the order" not in text
    assert "Remove the code, and you can place the order" in text


def test_a_code_that_moved_is_a_row_of_what_has_changed() -> None:
    told = [
        {"what": "coupon", "was": "TEN", "is_now": reason, "product_id": None}
        for reason in ("expired", "changed", None)
    ]

    rows = [(row.what, row.is_now) for row in differences.rows_of(told, session())]

    assert rows == [
        ("Code TEN", "not valid any more"),
        ("Code TEN", "takes off another amount"),
        ("Code TEN", "takes nothing off any more"),
    ]


# ---- the fields of the address follow the country


@pytest.mark.parametrize(
    ("country", "seen", "unseen"),
    [
        ("GB", ['name="postcode"', "Such as EC1Y 8SY"], ['name="region"']),
        ("US", ['name="postcode"', '<select id="region"', ">State<", '<option value="CA"'], []),
        ("AE", ['<select id="region"', ">Emirate<", ">Dubai</option>"], ['name="postcode"']),
        ("HK", ['<option value="Kowloon"'], ['name="postcode"']),
        ("EE", ['id="region" name="region" type="text"', 'name="postcode"'], []),
    ],
)
@pytest.mark.parametrize("address", ["/checkout/country", f"{PAGE}/country"])
def test_the_form_asks_for_what_the_chosen_country_has(
    open_checkout: ShopApi, shop: Ask, address: str, country: str, seen: list[str], unseen: list[str]
) -> None:
    typed = {"name": "Ada", "city": "Town", "country": country}
    page = shop("POST", address, typed, as_user=True)
    assert page.status == 200
    assert 'value="Ada"' in page.text
    assert [one for one in seen if one not in page.text] == []
    assert [one for one in unseen if one in page.text] == []
    assert open_checkout.of("POST /api/checkouts") == []


def test_a_region_that_lacks_is_told_at_the_field_of_its_country(open_checkout: ShopApi, shop: Ask) -> None:
    errors = [{"field": "shipping_address.region", "message": "is missing: an address in US has a state, such as AL"}]
    open_checkout.refuse("POST /api/checkouts", 422, "invalid-address", errors=errors)
    form = ADDRESS | {"country": "US", "cart_id": "c1", "cart_version": 4, "key": "key-of-the-page"}
    page = shop("POST", "/checkout", form, as_user=True)
    assert page.status == 422
    assert 'aria-describedby="region-error"' in page.text
    assert "an address in US has a state, such as AL" in page.text


def test_a_region_is_sent_by_its_code_and_chosen_again(open_checkout: ShopApi, shop: Ask) -> None:
    form = ADDRESS | {"country": "US", "postcode": "95014", "region": "CA", "phone": "+1 408 555 0100"}
    shop("POST", "/checkout", form | {"cart_id": "c1", "cart_version": 4, "key": "key-of-the-page"}, as_user=True)
    [(_, _, _, body, _)] = open_checkout.of("POST /api/checkouts")
    assert body["shipping_address"].items() >= {"region": "CA", "phone": "+1 408 555 0100", "company": None}.items()
    page = shop("POST", "/checkout/country", form | {"region": "California"}, as_user=True)
    assert '<option value="CA" selected>' in page.text


OFFICE = {"name": "Engines Ltd", "line1": "9 Rue de la Paix", "city": "Paris", "postcode": "75002", "country": "FR"}
BILLED = {f"billing_{name}": value for name, value in OFFICE.items()} | {"bill_to": "other"}
OPENING = ADDRESS | {"cart_id": "c1", "cart_version": "4", "key": "key-of-the-page"}


def test_the_invoice_goes_to_the_same_address_if_nothing_else_is_chosen(open_checkout: ShopApi, shop: Ask) -> None:
    page = shop("GET", "/checkout", as_user=True)
    assert 'name="bill_to" value="same" checked' in page.text
    assert 'id="billing_line1"' not in page.text

    shop("POST", "/checkout", OPENING | BILLED | {"bill_to": "same"}, as_user=True)

    [(_, _, _, body, _)] = open_checkout.of("POST /api/checkouts")
    assert "billing_address" not in body
    assert "The invoice goes to the same address." in shop("GET", PAGE, as_user=True).text


def test_an_address_for_the_invoice_is_asked_for_in_the_country_of_the_delivery(
    open_checkout: ShopApi, shop: Ask
) -> None:
    typed = {"name": "Ada", "country": "US", "bill_to": "other"}

    page = shop("POST", "/checkout/country", typed, as_user=True)

    assert page.status == 200
    assert 'name="bill_to" value="other" checked' in page.text
    assert len(re.findall('<option value="US" selected>', page.text)) == 2
    assert 'id="billing_region" name="billing_region" autocomplete="billing address-level1" required' in page.text
    assert (
        'id="billing_name" name="billing_name" type="text" value="" autocomplete="billing name" required' in page.text
    )

    page = shop("POST", "/checkout/country", typed | {"billing_country": "AE", "billing_city": "Deira"}, as_user=True)

    assert 'name="billing_postcode"' not in page.text
    assert 'value="Deira"' in page.text
    kept = fields_of(shop("POST", "/checkout/country", typed | BILLED | {"bill_to": "same"}, as_user=True))
    assert (kept["billing_city"], kept["billing_country"]) == ("Paris", "US")


def test_the_address_of_the_invoice_opens_the_checkout_and_is_shown_with_it(open_checkout: ShopApi, shop: Ask) -> None:
    shop("POST", "/checkout", OPENING | BILLED, as_user=True)

    [(_, _, _, body, _)] = open_checkout.of("POST /api/checkouts")
    assert body["billing_address"] == OFFICE | UNUSED

    open_checkout.answers["GET /api/checkouts/s1"] = (200, session(billing_address=OFFICE | UNUSED))
    assert "The invoice goes to Engines Ltd, 9 Rue de la Paix, Paris 75002, France" in html.unescape(
        shop("GET", PAGE, as_user=True).text
    )
    form = shop("GET", f"{PAGE}/address", as_user=True).text
    assert 'value="9 Rue de la Paix"' in form
    assert 'value="1 Quay"' in form

    shop("POST", f"{PAGE}/address", ADDRESS | BILLED | {"version": "2", "bill_to": "same"}, as_user=True)
    assert open_checkout.of("PATCH /api/checkouts/s1")[1][3]["billing_address"] is None


def test_what_lacks_in_either_address_is_told_at_its_field_and_all_stays(open_checkout: ShopApi, shop: Ask) -> None:
    page = shop("POST", "/checkout", OPENING | BILLED | {"city": " ", "billing_line1": " "}, as_user=True)

    assert page.status == 422
    assert 'aria-describedby="city-error"' in page.text
    assert 'aria-describedby="billing_line1-error"' in page.text
    assert 'value="Engines Ltd"' in page.text
    assert open_checkout.of("POST /api/checkouts") == []
    page = shop("POST", "/checkout", OPENING | BILLED | {"billing_country": "XX"}, as_user=True)
    assert 'aria-describedby="billing_country-error"' in page.text


def test_what_the_api_says_of_either_address_is_told_at_its_field(open_checkout: ShopApi, shop: Ask) -> None:
    errors = [
        {"field": "shipping_address.postcode", "message": "is no postcode of GB"},
        {"field": "billing_address.postcode", "message": "is no postcode of FR"},
    ]
    open_checkout.refuse("POST /api/checkouts", 422, "invalid-address", errors=errors)

    page = shop("POST", "/checkout", OPENING | BILLED | {"billing_postcode": "7500"}, as_user=True)

    assert page.status == 422
    assert re.search('id="postcode-error">[^<]*GB', page.text)
    assert re.search('id="billing_postcode-error">[^<]*FR', page.text)
    assert 'value="7500"' in page.text


def test_a_checkout_that_is_over_is_opened_again_with_the_address_of_the_invoice(
    open_checkout: ShopApi, shop: Ask
) -> None:
    open_checkout.answers["GET /api/checkouts/s1"] = (200, session(billing_address=OFFICE | UNUSED))
    typed = fields_of(shop("GET", PAGE, as_user=True))["typed"]
    open_checkout.refuse("GET /api/checkouts/s1", 404, "checkout-not-found")
    open_checkout.refuse("PATCH /api/checkouts/s1", 404, "checkout-not-found")
    open_checkout.answers["POST /api/checkouts"] = (201, session(checkout_id="s2"))

    answer = shop("POST", f"{PAGE}/service", placing(typed=typed), as_user=True)

    assert answer.status == 409
    [(_, _, _, body, _)] = open_checkout.of("POST /api/checkouts")
    assert (body["shipping_address"], body["billing_address"]) == (ADDRESS, OFFICE)
