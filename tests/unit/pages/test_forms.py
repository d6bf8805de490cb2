"""Forms: accepted once, shown again with the input, kept through a log-in; and errors, which are pages."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import html
import re
from typing import Any

import brotli
import pytest

from mercato.peers.client import PeerUnavailable
from storefront import wiring
from tests.unit.pages.conftest import Ask
from tests.unit.pages.shop_api import ShopApi, answer_of_the_contract

ADDRESS = {"name": "Ada", "line1": "1 Quay", "city": "Leith", "postcode": "EH6 6QQ", "country": "GB"}


def cart() -> dict[str, Any]:
    price = {"amount": 825, "currency": "GBP"}
    line = {
        "product_id": "p1",
        "name": "Notebook",
        "quantity": 2,
        "unit_price": price,
        "available": None,
        "was_price": None,
        "shortfall": 0,
    }
    line["line_total"] = {"amount": 1650, "currency": "GBP"}
    whole = {"amount": 1650, "currency": "GBP"}
    return {"cart_id": "c1", "version": 4, "lines": [line], "total": whole, "notices": []}


def start(**changes: Any) -> dict[str, Any]:
    """The first form of the checkout."""
    return ADDRESS | {"cart_id": "c1", "cart_version": 4, "key": "key-of-the-page"} | changes


@pytest.fixture
def full_cart(api: ShopApi) -> ShopApi:
    api.answers["GET /api/carts/mine"] = (200, cart())
    return api


def test_what_is_wrong_is_told_at_its_field_and_what_was_typed_stays(full_cart: ShopApi, shop: Ask) -> None:
    answer = shop("POST", "/checkout", start(name="", city="Leith <b>"), as_user=True)

    assert answer.status == 422
    assert 'aria-describedby="name-error"' in answer.text
    assert 'value="Leith &lt;b&gt;"' in answer.text
    assert full_cart.of("POST /api/checkouts") == []


def test_what_the_api_refuses_is_told_at_its_field_and_the_next_try_is_another(full_cart: ShopApi, shop: Ask) -> None:
    errors = [{"field": "shipping_address.postcode", "message": "is no postcode of GB"}]
    full_cart.refuse("POST /api/checkouts", 422, "invalid-request", errors=errors)

    answer = shop("POST", "/checkout", start(), as_user=True)

    assert answer.status == 422
    assert "This is no postcode of GB." in answer.text
    assert "key-of-the-page" not in answer.text


def test_a_lost_answer_keeps_the_key_so_that_the_form_can_be_sent_again(full_cart: ShopApi, shop: Ask) -> None:
    def lost() -> Any:
        raise PeerUnavailable("no answer", retry_after=7)

    full_cart.answers["POST /api/checkouts"] = lost

    answer = shop("POST", "/checkout", start(), as_user=True)

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "7"
    assert "Please try again in 7 seconds. What you typed is still here." in answer.text
    assert 'value="key-of-the-page"' in answer.text
    assert 'value="1 Quay"' in answer.text


def test_a_page_whose_service_is_away_says_when_to_try_again(api: ShopApi, shop: Ask) -> None:
    def away() -> Any:
        raise PeerUnavailable("no answer", retry_after=7)

    api.answers["GET /api/products/p1"] = away
    page = shop("GET", "/p/p1")
    assert (page.status, page.headers["Retry-After"]) == (503, "7")
    assert "does not answer just now. Please try again in 7 seconds." in page.text
    assert "Try again</a>" in page.text


def test_a_client_that_asks_too_often_is_told_when_to_come_again(full_cart: ShopApi, shop: Ask) -> None:
    full_cart.answers["POST /api/checkouts"] = (
        429,
        {"type": "urn:x:rate-limited", "detail": "Too often."},
        {"retry-after": "42"},
    )

    answer = shop("POST", "/checkout", start(), as_user=True)

    assert (answer.status, answer.headers["Retry-After"]) == (429, "42")
    assert "Too often." in answer.text
    assert 'value="1 Quay"' in answer.text


def test_a_session_that_ends_in_the_middle_of_a_form_keeps_what_was_typed(api: ShopApi, shop: Ask) -> None:
    api.refuse("POST /api/checkouts", 401, "unauthenticated")
    api.refuse("POST /api/users/token/refresh", 401, "unauthenticated")

    answer = shop("POST", "/checkout", start(), as_user=True, cookies=["__Host-r=refresh"])

    assert answer.status == 401
    assert 'name="resume" value="&#x2f;checkout"' in answer.text
    assert 'name="kept.line1" value="1 Quay"' in answer.text
    assert all("Max-Age=0" in cookie for cookie in answer.cookies)


def test_after_the_log_in_the_interrupted_form_is_there_again(full_cart: ShopApi, shop: Ask) -> None:
    full_cart.answers["POST /api/users/login"] = (200, {"access_token": "a.b.c", "refresh_token": "r"})
    kept = {f"kept.{name}": value for name, value in ADDRESS.items()}

    answer = shop("POST", "/login", {"email": "a@b.example", "password": "secret", "resume": "/checkout"} | kept)

    assert answer.status == 200
    assert 'value="1 Quay"' in answer.text
    assert "Nothing was sent yet" in answer.text
    assert full_cart.of("POST /api/checkouts") == []


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/\tx", ""])
def test_a_log_in_leads_to_no_other_site(api: ShopApi, shop: Ask, back: str) -> None:
    api.answers["POST /api/users/login"] = (200, {"access_token": "a.b.c", "refresh_token": "r"})

    answer = shop("POST", "/login", {"email": "a@b.example", "password": "secret", "back": back})

    assert (answer.status, answer.location) == (303, "/")
    assert [cookie.partition("=")[0] for cookie in answer.cookies] == ["__Host-a", "__Host-r"]


def test_no_password_is_shown_again(api: ShopApi, shop: Ask) -> None:
    api.refuse("POST /api/users/login", 401, "wrong-credentials", "The address or the password is wrong.")

    answer = shop("POST", "/login", {"email": "a@b.example", "password": "hunter2-hunter2"})

    assert answer.status == 401
    assert "The address or the password is wrong." in answer.text
    assert 'value="a@b.example"' in answer.text
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    ("address", "form", "fails", "said"),
    [
        ("/account/password", {"current_password": "a", "new_password": "b"}, "POST /api/users/login", "reset"),
        ("/account/sessions", {}, "POST /api/users/logout", "everywhere"),
        ("/account/closure", {"password": "a"}, "POST /api/users/logout", "closed"),
    ],
)
@pytest.mark.parametrize("is_away", [True, False])
def test_what_is_done_to_an_account_is_not_said_to_have_failed(
    api: ShopApi, shop: Ask, address: str, form: dict[str, str], fails: str, said: str, *, is_away: bool
) -> None:
    def lost() -> Any:
        raise PeerUnavailable("no answer", retry_after=7)

    api.answers[fails] = lost if is_away else (429, {"type": "urn:x:rate-limited", "detail": "Too often."})

    answer = shop("POST", address, form, cookies=["__Host-a=a.b.c", "__Host-r=held"])

    assert (answer.status, answer.location) == (303, f"/login?said={said}")
    assert [cookie for cookie in answer.cookies if "Max-Age=0" not in cookie] == []


def test_a_form_of_another_site_does_nothing(full_cart: ShopApi, shop: Ask) -> None:
    answer = shop("POST", "/checkout", start(), as_user=True, headers={"sec-fetch-site": "same-site"})

    assert answer.status == 403
    assert full_cart.asked == []


def test_a_half_cookie_logs_out_cleanly(api: ShopApi, shop: Ask) -> None:
    api.refuse("GET /api/orders", 401, "unauthenticated")
    api.refuse("POST /api/users/token/refresh", 401, "unauthenticated")

    answer = shop("GET", "/orders", cookies=["__Host-a=half.of", "__Host-r=half"])

    assert (answer.status, answer.location) == (303, "/login?back=%2Forders")
    assert sorted(cookie.split("=")[0] for cookie in answer.cookies) == ["__Host-a", "__Host-r"]


def test_where_a_session_has_ended_a_part_of_a_page_has_its_page_loaded_again(api: ShopApi, shop: Ask) -> None:
    """A script that asks for a part follows a redirect, and would put the whole page of the log-in into the part."""
    api.refuse("GET /api/orders/o-1", 401, "unauthenticated")
    api.refuse("GET /api/carts/mine", 401, "unauthenticated")
    api.refuse("POST /api/users/token/refresh", 401, "unauthenticated")
    asked: Any = {"headers": {"hx-request": "true"}, "cookies": ["__Host-a=half.of", "__Host-r=half"]}

    status = shop("GET", "/orders/o-1/status", **asked)
    count = shop("GET", "/cart/count", **asked)

    assert (status.status, status.headers["HX-Refresh"]) == (401, "true")
    assert (count.status, count.text.strip(), "HX-Refresh" in count.headers) == (200, "", False)
    for answer in (status, count):
        assert sorted(cookie.split("=")[0] for cookie in answer.cookies) == ["__Host-a", "__Host-r"]


def test_an_access_token_that_is_over_is_renewed_once_and_kept(api: ShopApi, shop: Ask) -> None:
    api.answers["POST /api/users/token/refresh"] = (200, {"access_token": "new.access", "refresh_token": "new-refresh"})

    answer = shop("GET", "/orders", cookies=["__Host-r=old-refresh"])

    assert answer.status == 200
    assert len(api.of("POST /api/users/token/refresh")) == 1
    [(_, _, _, _, headers)] = api.of("GET /api/orders")
    assert headers["Authorization"] == "Bearer new.access"
    assert any(cookie.startswith("__Host-a=new.access;") for cookie in answer.cookies)
    assert "new.access" not in answer.text


def test_a_guest_is_counted_by_the_guests_own_address(api: ShopApi, shop: Ask) -> None:
    shop("GET", "/")

    assert {(peer, headers["x-source-address"]) for peer, _, _, _, headers in api.asked} == {
        ("products", "198.51.100.7")
    }


def test_a_service_that_is_away_leaves_its_part_out(api: ShopApi, shop: Ask) -> None:
    def lost() -> Any:
        raise PeerUnavailable("no answer")

    api.answers["POST /api/shipments/quotes"] = lost

    answer = shop("GET", "/p/p1")

    assert answer.status == 200
    assert "Delivery is quoted at the checkout." in answer.text


def test_the_quotes_of_the_delivery_are_asked_for_once_a_minute_for_a_weight_and_a_price(
    api: ShopApi, shop: Ask
) -> None:
    product = answer_of_the_contract("GET", "/api/products/p1")[1] | {"related": [], "weight_grams": 900}
    api.answers |= {f"GET /api/products/{one}": (200, product) for one in ("p1", "p2")}
    api.answers["GET /api/products/p3"] = (200, product | {"weight_grams": 5000})
    assert [shop("GET", f"/p/{one}").status for one in ("p1", "p2", "p3")] == [200, 200, 200]
    asked = [body for _, _, _, body, _ in api.of("POST /api/shipments/quotes")]
    assert [one["weight_grams"] for one in asked] == [900, 5000]
    assert asked[0] == {"country": "GB", "items": 1, "weight_grams": 900, "goods": product["price"]}


def test_the_delivery_is_quoted_for_the_shops_country(api: ShopApi, shop: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = dataclasses.replace(wiring.ports().settings, country="DE")
    monkeypatch.setitem(vars(wiring.ports()), "settings", settings)

    page = shop("GET", "/p/p1").text

    assert [body["country"] for _, _, _, body, _ in api.of("POST /api/shipments/quotes")] == ["DE"]
    assert "Delivery (Germany): " in page
    assert "United Kingdom" not in page


def test_an_unknown_address_is_a_page_with_the_request_id(shop: Ask) -> None:
    answer = shop("GET", "/nothing", headers={"x-request-id": "request-0001"})

    assert answer.status == 404
    assert "request-0001" in answer.text
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_what_breaks_on_our_side_is_a_page_that_tells_nothing_of_it(api: ShopApi, shop: Ask) -> None:
    api.answers["GET /api/products/p1"] = (200, {"unexpected": True})

    answer = shop("GET", "/p/p1")

    assert answer.status == 500
    assert "Something broke on our side" in answer.text
    assert "unexpected" not in answer.text
    assert "Traceback" not in answer.text


def test_static_files_are_kept_for_good_and_compressed_ones_only_where_they_are_taken(shop: Ask) -> None:
    page = shop("GET", "/").text
    address = page.split('rel="stylesheet" href="')[1].split('"')[0].replace("&#x2f;", "/")

    answer = shop("GET", address)
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.is_base64
    assert answer.cookies == []

    small = shop("GET", address, headers={"accept-encoding": "gzip, deflate"})
    assert (small.headers["Content-Encoding"], small.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(base64.b64decode(small.text)) == base64.b64decode(answer.text)
    assert answer.headers["Vary"] == "Accept-Encoding"
    font = shop("GET", page.split('rel="preload" href="')[1].split('"')[0].replace("&#x2f;", "/"))
    assert "Vary" not in font.headers

    other = address.replace(address.split("/")[2], "0123456789ab")
    assert shop("GET", other).headers["Cache-Control"] == "no-store"
    assert shop("GET", "/static/x/..%2Fview.py").status == 404


def test_a_page_loads_one_script_that_is_htmx_and_ours(shop: Ask) -> None:
    page = shop("GET", "/").text
    [address] = re.findall(r'<script src="([^"]+)"', page)
    answer = shop("GET", address.replace("&#x2f;", "/"))
    script = base64.b64decode(answer.text).decode()
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert script.startswith("var htmx=")
    assert "})();;\n// What HTML cannot do by itself" in script
    assert len(brotli.compress(script.encode())) <= 14_000
    assert shop("GET", address.replace("&#x2f;", "/").replace("mercato.js", "2-live.js")).status == 404


def test_a_page_is_compressed_for_who_has_no_session(api: ShopApi, shop: Ask) -> None:
    """The length of a compressed page would reveal parts of a visitor's own page."""
    accepts = {"accept-encoding": "gzip, deflate, br"}

    for_guests = shop("GET", "/", headers=accepts)
    assert (for_guests.headers["Content-Encoding"], for_guests.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(base64.b64decode(for_guests.text)).decode() == shop("GET", "/").text

    assert "Content-Encoding" not in shop("GET", "/", headers={"accept-encoding": "gzip;q=0"}).headers


@pytest.mark.parametrize(("path", "is_compressed"), [("/", True), ("/p/id-1", True), ("/orders", False)])
def test_of_a_customer_s_pages_those_of_the_catalogue_are_compressed(
    api: ShopApi, shop: Ask, path: str, is_compressed: bool
) -> None:
    answer = shop("GET", path, headers={"accept-encoding": "gzip"}, as_user=True)
    assert (answer.headers.get("Content-Encoding") == "gzip") is is_compressed


def test_a_refusal_that_may_pass_keeps_the_key_so_that_a_second_try_is_no_second_deed(api: ShopApi, desk: Ask) -> None:
    api.refuse("POST /api/inventory/p1/adjustments", 409, "request-in-flight", "The same request is being handled.")
    form = {"key": "key-of-the-page", "delta": "-2", "reason": "broken"}

    answer = desk("POST", "/console/catalogue/p1/stock", form, as_user=True)

    assert answer.status == 409
    assert 'value="key-of-the-page"' in answer.text
    assert "Your first try is still under way." in answer.text


def test_a_form_that_was_sent_before_with_something_else_says_so_and_the_next_try_is_another(
    api: ShopApi, desk: Ask
) -> None:
    said = "This Idempotency-Key was used for another request; please use a new one."
    api.refuse("POST /api/inventory/p1/adjustments", 422, "idempotency-key-reused", said)
    form = {"key": "key-of-the-page", "delta": "-2", "reason": "broken"}

    answer = desk("POST", "/console/catalogue/p1/stock", form, as_user=True)

    assert answer.status == 422
    assert "This form was sent before, with something else in it." in answer.text
    assert ("Idempotency-Key" in answer.text, 'value="key-of-the-page"' in answer.text) == (False, False)


def test_a_new_product_is_made_once_however_often_its_form_is_sent(api: ShopApi, desk: Ask) -> None:
    form = {"key": "key-of-the-page", "sku": "A1", "name": "Vase", "price": "12.50", "currency": "GBP"}

    answer = desk("POST", "/console/catalogue/new", form, as_user=True)

    assert answer.status == 303
    [(_, _, _, body, headers)] = api.of("POST /api/products")
    assert headers["Idempotency-Key"] == "key-of-the-page"
    assert body["price"] == {"amount": 1250, "currency": "GBP"}
    assert {"weight_grams", "tax_class"}.isdisjoint(body)  # the form is one from before they existed
    assert desk("POST", "/console/catalogue/new", form | {"weight_grams": "250", "tax_class": "reduced"}, as_user=True)
    body = api.of("POST /api/products")[1][3]
    assert (body["weight_grams"], body["tax_class"]) == (250, "reduced")


def test_a_category_that_is_cleared_is_removed(api: ShopApi, desk: Ask) -> None:
    form = {"version": "3", "name": "Vase", "category": "", "price": "12.50", "currency": "GBP"}

    assert desk("POST", "/console/catalogue/p1", form, as_user=True).status == 303
    [(_, _, _, body, _)] = api.of("PATCH /api/products/p1")
    assert (body["version"], body["category"]) == (3, None)


def test_a_second_click_sends_no_form_that_adds(api: ShopApi, shop: Ask) -> None:
    """On a slow network: each form that is sent puts one more into the cart, or sends one more mail."""
    _, found = answer_of_the_contract("GET", "/api/products")
    api.answers["GET /api/products"] = (200, found | {"items": [found["items"][0] | {"availability": "in_stock"}]})
    buttons = re.findall(r'action="/cart/lines">.*?(<button[^>]*>)', shop("GET", "/").text, re.DOTALL)
    user = answer_of_the_contract("GET", "/api/users/me")[1] | {"email_verified": False}
    api.answers["GET /api/users/me"] = (200, user)
    account = shop("GET", "/account", as_user=True).text
    buttons += re.findall(r'action="/account/verification">(<button[^>]*>)', account)
    assert [("data-once" in button) for button in buttons] == [True, True]


def test_the_api_adds_to_a_cart_so_that_two_tabs_lose_nothing(api: ShopApi, shop: Ask) -> None:
    for _ in range(2):
        assert shop("POST", "/cart/lines", {"product_id": "p1", "quantity": "2"}, as_user=True).status == 303
    added = api.of("POST /api/carts/mine/items/p1")
    assert [body for _, _, _, body, _ in added] == [{"quantity": 2}] * 2
    assert len({headers["Idempotency-Key"] for *_, headers in added}) == 2

    cookies = ["__Host-cart=guest-1"]
    assert shop("POST", "/cart/lines", {"product_id": "p1"}, cookies=cookies).status == 303
    ((peer, _, _, body, headers),) = api.of("POST /api/carts/guests/guest-1/items/p1")
    assert (peer, body) == ("carts", {"quantity": 1})
    assert headers["x-source-address"] == "198.51.100.7"
    assert headers["Idempotency-Key"]


def test_a_log_in_is_done_although_the_carts_cannot_be_put_together(api: ShopApi, shop: Ask) -> None:
    def lost() -> Any:
        raise PeerUnavailable("no answer")

    api.answers["POST /api/users/login"] = (200, {"access_token": "a.b.c", "refresh_token": "r"})
    api.answers["GET /api/carts/mine"] = (200, cart() | {"lines": []})
    api.answers["POST /api/carts/merge"] = lost
    form = {"email": "a@b.example", "password": "secret", "back": "/orders"}

    answer = shop("POST", "/login", form, cookies=["__Host-cart=guest-1"])

    assert (answer.status, answer.location) == (303, "/orders")
    assert [cookie.partition("=")[0] for cookie in answer.cookies] == ["__Host-a", "__Host-r"]  # the guest's cart stays


PICTURE = {"variants": [{"url": "/media/i1/small.webp", "width": 240, "height": 180}], "width": 240, "height": 180}


def test_the_lines_of_a_cart_and_of_an_order_show_their_products(full_cart: ShopApi, shop: Ask) -> None:
    product = answer_of_the_contract("GET", "/api/products/p1")[1] | {"product_id": "p1", "images": [PICTURE]}
    full_cart.answers["GET /api/products"] = (200, {"items": [product], "next_cursor": None})

    assert '<img class="thumb" src="/media/i1/small.webp"' in html.unescape(shop("GET", "/cart", as_user=True).text)
    ((peer, _, address, _, _),) = full_cart.of("GET /api/products")
    assert (peer, address) == ("products", "/api/products?ids=p1")
    shown = shop("GET", "/orders/o1", as_user=True).text
    assert 'class="row thumbs"' in shown


@pytest.mark.parametrize("typed", ["", "1000", "many"])
def test_a_quantity_that_is_none_is_told_at_its_line_and_stays(full_cart: ShopApi, shop: Ask, typed: str) -> None:
    answer = shop("POST", "/cart/lines/p1", {"quantity": typed}, as_user=True)

    assert answer.status == 422
    assert f'max="999" required value="{typed}" aria-invalid="true"' in answer.text
    assert 'aria-describedby="quantity-error"' in answer.text
    assert full_cart.of("PUT /api/carts/mine/items/p1") == []


def test_a_quantity_of_a_line_that_is_gone_is_told_without_a_field(full_cart: ShopApi, shop: Ask) -> None:
    answer = shop("POST", "/cart/lines/p2", {"quantity": "1000"}, as_user=True)

    assert answer.status == 422
    assert "There is a problem." in answer.text
    assert 'id="quantity' not in answer.text


@pytest.mark.parametrize(
    ("available", "said"), [(0, "This is sold out."), (1, "There is only 1."), (2, "There are only 2.")]
)
def test_a_line_of_more_than_there_are_says_how_many(full_cart: ShopApi, shop: Ask, available: int, said: str) -> None:
    whole = cart()
    whole["lines"][0] |= {"available": available, "shortfall": 1}
    full_cart.answers["GET /api/carts/mine"] = (200, whole)

    assert said in shop("GET", "/cart", as_user=True).text


def test_a_cart_is_shown_without_pictures_while_the_catalogue_is_away(full_cart: ShopApi, shop: Ask) -> None:
    full_cart.refuse("GET /api/products", 503, "unavailable")

    answer = shop("GET", "/cart", as_user=True)

    assert answer.status == 200
    assert "thumb" not in answer.text
    assert '<svg class="drawn"' in answer.text


def test_the_list_without_a_search_is_one_call_of_the_catalogue(api: ShopApi, shop: Ask) -> None:
    assert shop("GET", "/").status == 200
    assert [one[2] for one in api.asked] == ["/api/products?limit=24"]

    for search, asked in (("q=mug", "q=mug&limit=24"), ("cursor=next", "limit=24&cursor=next")):
        api.asked.clear()
        assert shop("GET", f"/?{search}").status == 200
        assert {one[2] for one in api.asked} == {f"/api/products?{asked}", "/api/products?limit=1"}


def test_the_counts_of_stalls_are_shown_where_they_hold(api: ShopApi, shop: Ask) -> None:
    """They are those of the whole list: a search or a limit of the price finds fewer."""
    page = answer_of_the_contract("GET", "/api/products")[1]
    facets = {"category": [{"value": "kitchen", "count": 5}]}
    api.answers["GET /api/products"] = (200, page | {"facets": facets})

    for query, are_shown in (("", True), ("?category=kitchen", True), ("?q=mug", False), ("?max=40", False)):
        text = shop("GET", f"/{query}").text
        assert ('kitchen <span class="quiet">5</span>' in text) is are_shown, query


def test_where_few_goods_pass_the_filter_the_list_goes_on(api: ShopApi, shop: Ask) -> None:
    """The API reads so many products for a page, and may find none of the price among them."""
    found = answer_of_the_contract("GET", "/api/products")[1] | {"items": [], "next_cursor": "more"}
    api.answers["GET /api/products"] = (200, found)
    page = html.unescape(shop("GET", "/?min=900").text)
    assert ("Nothing like that so far." in page, "/?min=900&cursor=more" in page) == (True, True)

    api.answers["GET /api/products"] = (200, found | {"next_cursor": None})
    assert "There is no more of that." in shop("GET", "/?min=900&cursor=more").text
    assert "Nothing like that on the stalls today." in shop("GET", "/?min=900").text


def test_after_the_last_notice_there_are_no_more(api: ShopApi, shop: Ask) -> None:
    """A list that ends with a full page has one more, which is empty."""
    for address, route in (("/notices", "/api/notifications"), ("/orders", "/api/orders")):
        empty = answer_of_the_contract("GET", route)[1] | {"items": [], "next_cursor": None}
        api.answers[f"GET {route}"] = (200, empty)
        assert "There are no more." in shop("GET", f"{address}?cursor=more", as_user=True).text
        assert "There are no more." not in shop("GET", address, as_user=True).text


def test_a_search_on_one_stall_that_finds_nothing_leads_to_all_stalls(api: ShopApi, shop: Ask) -> None:
    page = answer_of_the_contract("GET", "/api/products")[1]
    api.answers["GET /api/products"] = (200, page | {"items": []})

    text = html.unescape(shop("GET", "/?q=lamp&category=kitchen").text)

    assert "<h1>Found for “lamp” in kitchen</h1>" in text
    assert '<a href="/?q=lamp">Look on all stalls</a>' in text
    assert "Look on all stalls" not in shop("GET", "/?q=lamp").text


@pytest.mark.parametrize("availability", ["in_stock", "out"])
def test_what_is_not_sold_any_more_is_not_offered(api: ShopApi, shop: Ask, availability: str) -> None:
    """Orders lead to it, and the API says of it that there are some; a cart refuses it, and so does a wish."""
    _, product = answer_of_the_contract("GET", "/api/products/p1")
    product |= {"status": "discontinued", "availability": availability, "name": "A lamp", "related": []}
    api.answers["GET /api/products/p1"] = (200, product)

    page = shop("GET", "/p/p1")

    assert page.status == 404
    assert "A lamp</h1>" in page.text
    assert "This is not sold any more." in page.text
    assert [word for word in ("Add to cart", "Tell me", "Mail me", "in stock", "sold out") if word in page.text] == []
    assert api.of("POST /api/shipments/quotes") == []


def test_a_refusal_without_a_reason_is_a_page_with_words(api: ShopApi, shop: Ask) -> None:
    """As of something in front of the API."""
    api.answers["GET /api/orders"] = (429, {"message": "Too Many Requests"})
    page = shop("GET", "/orders", as_user=True)
    assert page.status == 429
    assert "<p>This is not possible now.</p>" in page.text


def test_a_page_that_cannot_be_shown_now_can_be_asked_for_again(api: ShopApi, shop: Ask) -> None:
    def refuse_to_answer() -> Any:
        raise PeerUnavailable("no answer")

    api.answers["GET /api/orders"] = refuse_to_answer
    page = shop("GET", "/orders?cursor=a%26b", as_user=True)
    assert page.status == 503
    assert '<a class="button" href="/orders?cursor=a%26b">Try again</a>' in html.unescape(page.text)
