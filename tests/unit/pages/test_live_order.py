"""The order's page while the order goes on: the part that looks again, and the forms around it."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from tests.unit.pages.conftest import Ask
from tests.unit.pages.shop_api import ShopApi, answer_of_the_contract

ORDER = "0a1b2c3d-0000-5000-8000-000000000001"
PAGE = f"/orders/{ORDER}"


def becomes(api: ShopApi, status: str) -> None:
    order: dict[str, Any] = answer_of_the_contract("GET", f"/api/orders/{ORDER}")[1]
    api.answers[f"GET /api/orders/{ORDER}"] = (200, order | {"order_id": ORDER, "status": status, "payment": None})


def next_look(text: str) -> str:
    """The address that the page asks next."""
    found = re.search(r'id="status"[^>]* hx-get="([^"]+)"', text)
    assert found is not None
    return html.unescape(found[1])


@pytest.mark.parametrize("status", ["shipped", "cancelling", "delivered", "cancelled"])
def test_a_page_whose_forms_no_longer_hold_is_loaded_again(shop: Ask, api: ShopApi, status: str) -> None:
    becomes(api, "confirmed")
    page = shop("GET", PAGE, as_user=True).text
    assert "Cancel this order" in page
    assert "HX-Refresh" not in shop("GET", next_look(page), as_user=True).headers

    becomes(api, status)

    assert shop("GET", next_look(page), as_user=True).headers["HX-Refresh"] == "true"
    assert "Cancel this order" not in shop("GET", PAGE, as_user=True).text


@pytest.mark.parametrize("stop", ["dispatched", "failed"])
def test_a_parcel_that_was_given_up_is_told_with_what_comes_next(shop: Ask, api: ShopApi, stop: str) -> None:
    order = answer_of_the_contract("GET", f"/api/orders/{ORDER}")[1]
    held_up = {"status": "needs_attention", "payment": None, "shipment": {"shipment_id": "s1", "tracking_number": "T1"}}
    api.answers[f"GET /api/orders/{ORDER}"] = (200, order | held_up)
    _, parcel = answer_of_the_contract("GET", "/api/shipments/s1")
    moment = "2026-11-30T11:37:00.000Z"
    api.answers["GET /api/shipments/s1"] = (200, parcel | {"timeline": [{"status": stop, "at": moment}]})

    text = shop("GET", PAGE, as_user=True).text

    assert ("You need not do anything: what does not reach you is paid back" in text) == (stop == "failed")


@pytest.mark.parametrize("has_link", [False, True])
def test_the_story_writes_amounts_as_the_receipt_does(shop: Ask, api: ShopApi, has_link: bool) -> None:
    order = answer_of_the_contract("GET", f"/api/orders/{ORDER}")[1]
    steps = [
        {"status": "return_received", "at": "2026-11-30T11:37:00.000Z", "detail": "3 pieces, 1012.85 GBP"},
        {"status": "refunded", "at": "2026-11-30T11:38:00.000Z", "detail": "1012.85 GBP"},
    ]
    told = order | {"status": "delivered", "payment": None, "timeline": steps}
    api.answers |= {f"GET /api/orders/{name}": (200, told) for name in (ORDER, "guests/a-token")}

    page = "/guest-order" if has_link else PAGE
    text = shop("GET", page, as_user=not has_link, cookies=["__Host-order=a-token"] if has_link else []).text

    assert "3 pieces, £1,012.85</span>" in text
    assert '<span class="quiet">£1,012.85</span>' in text
    assert "GBP" not in text


@pytest.mark.parametrize("status", [404, 409])
def test_a_refusal_writes_amounts_as_the_page_does(shop: Ask, api: ShopApi, status: int) -> None:
    becomes(api, "confirmed")
    api.refuse(f"POST /api/orders/{ORDER}/cancel", status, "no", "The parcel of 12.85 GBP is on its way.")
    page = shop("POST", f"{PAGE}/cancel", {"key": "key-of-the-form"}, as_user=True)
    assert (page.status, "The parcel of £12.85 is on its way." in page.text) == (status, True)


def test_an_order_on_its_way_is_followed_until_it_has_arrived(shop: Ask, api: ShopApi) -> None:
    becomes(api, "shipped")
    look = next_look(shop("GET", PAGE, as_user=True).text)
    assert "HX-Refresh" not in shop("GET", look, as_user=True).headers

    becomes(api, "delivered")

    assert shop("GET", look, as_user=True).headers["HX-Refresh"] == "true"


def test_the_answer_to_a_form_is_left_for_the_page_so_that_nothing_is_sent_twice(shop: Ask, api: ShopApi) -> None:
    becomes(api, "confirmed")
    api.refuse(f"POST /api/orders/{ORDER}/cancel", 409, "too-late", "The parcel is on its way.")
    page = shop("POST", f"{PAGE}/cancel", {"key": "key-of-the-form"}, as_user=True)
    assert page.status == 409
    look = next_look(shop("GET", next_look(page.text), as_user=True).text)

    becomes(api, "shipped")

    headers = shop("GET", look, as_user=True).headers
    assert (headers["HX-Redirect"], "HX-Refresh" in headers) == (PAGE, False)


def test_of_the_forms_only_the_one_that_was_refused_is_open(shop: Ask, api: ShopApi) -> None:
    becomes(api, "confirmed")
    api.refuse(f"POST /api/orders/{ORDER}/cancel", 409, "too-late", "The parcel is on its way.")
    api.refuse(f"POST /api/orders/{ORDER}/payments", 409, "nothing-to-pay", "It is paid.")

    for form, opened in (("cancel", 1), ("payments", 0)):
        sent = {"key": "key-of-the-form", "payment_token": "tok_ok"}
        page = shop("POST", f"{PAGE}/{form}", sent, as_user=True).text
        assert len(re.findall(r"<details[^>]* open>", page)) == opened


@pytest.mark.parametrize(("status", "is_told"), [("cancelling", True), ("cancelled", False), ("refunded", False)])
def test_an_order_that_is_cancelled_is_not_said_to_be_in_the_middle_of_it(
    shop: Ask, api: ShopApi, status: str, is_told: bool
) -> None:
    becomes(api, status)

    page = shop("GET", f"{PAGE}?said=cancelling", as_user=True).text

    assert ("Your order is being cancelled." in page) is is_told


@pytest.mark.parametrize(("status", "goes_on"), [("confirmed", True), ("delivered", False)])
def test_without_script_an_order_that_goes_on_has_a_link_to_look_again(
    shop: Ask, api: ShopApi, status: str, goes_on: bool
) -> None:
    becomes(api, status)

    text = html.unescape(shop("GET", PAGE, as_user=True).text)

    assert (f'<a class="without-script" href="{PAGE}">Look again</a>' in text) is goes_on
    assert ('<span class="needs-script">This page looks again by itself.</span>' in text) is goes_on
