"""The storefront's part of a return: what can be requested, how far each return is, and its cancellation."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.unit.pages.conftest import Ask
from tests.unit.pages.shop_api import ShopApi, answer_of_the_contract

KEY = "key-of-the-page"
ASK, KEEP = "Ask to return these</button>", "Keep it: cancel this return</button>"


def pounds(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "GBP"}


def order(api: ShopApi, *, until: str = "2999-01-01T00:00:00Z", returnable: int = 2, **changes: Any) -> None:
    """A delivered order of three of one product, with one return where its `changes` are given."""
    _, found = answer_of_the_contract("GET", "/api/orders/o-1")
    line = found["lines"][0] | {"product_id": "p1", "name": "Mug", "quantity": 3, "returnable": returnable}
    made = found["returns"][0] | {"return_id": "r-1", "lines": [{"product_id": "p1", "quantity": 1}]}
    made |= {"amount": pounds(1500), "refunded": None, "received": [], "charges": [], "refusal": None}
    found |= {"status": "delivered", "lines": [line], "return_until": until}
    api.answers["GET /api/orders/o-1"] = (200, found | {"returns": [made | changes] if changes else []})


def test_within_the_window_what_is_left_can_be_requested(api: ShopApi, shop: Ask) -> None:
    order(api)
    page = shop("GET", "/orders/o-1", as_user=True).text
    assert ASK in page
    assert 'max="2"' in page
    form = {"product": ["p1"], "quantity": ["2"], "reason": "damaged", "key": KEY}
    assert shop("POST", "/orders/o-1/returns", form, as_user=True).location == "/orders/o-1?said=returned"
    ((_, _, _, body, headers),) = api.of("POST /api/orders/o-1/returns")
    assert body == {"lines": [{"product_id": "p1", "quantity": 2}], "reason": "damaged"}
    assert headers["Idempotency-Key"] == KEY


@pytest.mark.parametrize(("until", "returnable"), [("2020-01-01T00:00:00Z", 2), ("2999-01-01T00:00:00Z", 0)])
def test_after_the_window_or_with_nothing_left_nothing_can_be_requested(
    api: ShopApi, shop: Ask, until: str, returnable: int
) -> None:
    order(api, until=until, returnable=returnable)
    page = shop("GET", "/orders/o-1", as_user=True).text
    assert ASK not in page
    assert ("Returns could be asked for until" in page) is until.startswith("2020")


@pytest.mark.parametrize(
    ("reason", "told", "never"),
    [("lost", "got lost on the way", "came back"), ("undelivered", "came back", "got lost on the way")],
)
def test_goods_that_got_lost_are_not_said_to_be_here_again(
    api: ShopApi, shop: Ask, reason: str, told: str, never: str
) -> None:
    order(api, status="received", reason=reason, received=[{"product_id": "p1", "quantity": 1}])
    _, found = api.answers["GET /api/orders/o-1"]
    found["timeline"] = [{"status": "return_received", "at": "2026-11-30T11:40:00.000Z", "detail": None}]
    text = shop("GET", "/orders/o-1", as_user=True).text
    assert f"</span> {told}." in text
    assert never not in text
    assert ("Lost on the way. You have nothing to send back." in text) == (reason == "lost")
    assert ("The goods are here again." in text) == (reason != "lost")


LOST: dict[str, Any] = {"status": "refunded", "reason": "lost", "refunded": pounds(1500)}
ONE: dict[str, Any] = {"received": [{"product_id": "p1", "quantity": 1}]}


@pytest.mark.parametrize("has_link", [False, True])
@pytest.mark.parametrize(
    ("returned", "changes", "told"),
    [
        (1, [LOST | ONE], "Mug: 1 lost on the way and refunded<"),
        (1, [LOST | ONE | {"refunded": pounds(0)}], "Mug: 1 lost on the way<"),
        (1, [LOST | ONE | {"refunded": None, "status": "received"}], "Mug: 1 lost on the way<"),
        (2, [LOST | ONE, ONE | {"reason": "undelivered"}], "Mug: 1 returned, 1 lost on the way and refunded<"),
        (1, [ONE | {"reason": "damaged"}], "Mug: 1 returned<"),
        (0, [{"reason": "damaged", "status": "requested"}], ""),
    ],
)
def test_the_receipt_tells_what_came_back_from_what_got_lost(
    api: ShopApi, shop: Ask, desk: Ask, has_link: bool, returned: int, changes: list[dict[str, Any]], told: str
) -> None:
    order(api, status="received")
    _, found = api.answers["GET /api/orders/o-1"]
    found["lines"][0]["returned"] = returned
    found["returns"] = [found["returns"][0] | change for change in changes]
    api.answers["GET /api/orders/guests/a-token"] = (200, found)
    api.answers["GET /api/orders/o-1/history"] = (200, answer_of_the_contract("GET", "/api/orders/o-1/history")[1])
    api.answers["GET /api/orders/o-1/history"][1]["order"] = found

    page = "/guest-order" if has_link else "/orders/o-1"
    text = shop("GET", page, as_user=not has_link, cookies=["__Host-order=a-token"] if has_link else []).text
    receipt = text[text.index('aria-label="Receipt"') : text.index("</aside>")]
    assert re.findall("Mug: [^<]*<", receipt) == ([told] if told else [])
    staffs = desk("GET", "/console/orders/o-1", as_user=True).text
    assert f"<td>{told.removeprefix('Mug: ') or 'none<'}/td>" in staffs


def test_of_a_parcel_that_came_back_in_part_the_story_tells_each_part(api: ShopApi, shop: Ask) -> None:
    order(api, status="received")
    _, found = api.answers["GET /api/orders/o-1"]
    back, gone = "2026-11-30T11:40:00.000Z", "2026-11-30T11:41:00.000Z"
    one = found["returns"][0] | ONE
    found["returns"] = [one | {"reason": "undelivered", "at": back}, one | {"reason": "lost", "at": gone}]
    found["timeline"] = [{"status": "return_received", "at": at, "detail": None} for at in (back, gone)]
    text = shop("GET", "/orders/o-1", as_user=True).text
    story = re.findall(r"<li data-shape[^>]*><strong>([^<]*)</strong>.*<br>([^<]*)</li>", text)
    assert story == [
        ("return received", "The goods are here again."),
        ("lost on the way", "Lost on the way. You have nothing to send back."),
    ]


def test_a_return_of_lost_goods_says_in_the_console_that_none_came_back(api: ShopApi, desk: Ask) -> None:
    for reason in ("lost", "undelivered"):
        order(api, **(LOST | ONE | {"reason": reason}))
        api.answers["GET /api/orders/o-1"][1]["returns"][0]["received"][0] |= {"restock": 0, "write_off": 0}
        text = desk("GET", "/console/returns/o-1/r-1", as_user=True).text
        assert ("None of it came back: it got lost on the way." in text) == (reason == "lost")


@pytest.mark.parametrize(
    ("changes", "told", "can_be_cancelled"),
    [
        ({"status": "requested"}, "£15.00 would go back to you.", True),
        ({"status": "approved"}, "Please send it back.", True),
        ({"status": "refused", "refusal": "It was worn."}, "It was worn.", False),
        ({"status": "cancelled"}, "cancelled", False),
        ({"status": "received", "received": [{"product_id": "p1", "quantity": 1}]}, "refund under way", False),
        (
            {"status": "refunded", "received": [{"product_id": "p1", "quantity": 1}], "refunded": pounds(500)},
            "£5.00 were paid back.",
            False,
        ),
        (
            {"status": "refunded", "received": [{"product_id": "p1", "quantity": 1}], "refunded": pounds(0)},
            "There was nothing left to pay back for it.",
            False,
        ),
    ],
)
def test_each_return_says_how_far_it_is(
    api: ShopApi, shop: Ask, changes: dict[str, Any], told: str, can_be_cancelled: bool
) -> None:
    order(api, **changes)
    page = shop("GET", "/orders/o-1", as_user=True).text
    assert told in page
    assert (KEEP in page) is can_be_cancelled


def test_a_return_is_cancelled_by_its_customer(api: ShopApi, shop: Ask) -> None:
    order(api, status="approved")
    answer = shop("POST", "/orders/o-1/returns/r-1/cancel", {"key": KEY}, as_user=True)
    assert answer.location == "/orders/o-1?said=kept"
    ((_, _, _, body, headers),) = api.of("POST /api/orders/o-1/returns/r-1/cancel")
    assert (body, headers["Idempotency-Key"]) == (None, KEY)


def test_a_cancellation_that_the_receipt_overtook_is_told(api: ShopApi, shop: Ask) -> None:
    order(api, status="received", received=[{"product_id": "p1", "quantity": 1}])
    api.refuse("POST /api/orders/o-1/returns/r-1/cancel", 409, "return-not-changeable", "The return is received.")
    answer = shop("POST", "/orders/o-1/returns/r-1/cancel", {"key": KEY}, as_user=True)
    assert answer.status == 409
    assert "The return is received." in answer.text


def test_a_return_of_nothing_is_refused_at_the_quantities(api: ShopApi, shop: Ask) -> None:
    order(api)
    form = {"product": ["p1"], "quantity": ["0"], "reason": "damaged", "key": KEY}
    page = shop("POST", "/orders/o-1/returns", form, as_user=True)
    assert (page.status, '<a href="#quantity">' in page.text) == (422, True)


@pytest.mark.parametrize(
    ("deed", "problem", "said"),
    [
        ("cancel", "order-not-cancellable", "This order cannot be cancelled any more"),
        ("returns", "order-not-returnable", "Nothing of this order can be returned now."),
    ],
)
def test_a_deed_that_the_order_s_state_overtook_is_told_in_words(
    api: ShopApi, shop: Ask, deed: str, problem: str, said: str
) -> None:
    api.refuse(f"POST /api/orders/o-1/{deed}", 409, problem, "The order is needs_attention.")
    form = {"key": "0123456789", "product": ["p1"], "quantity": ["1"]}
    answer = shop("POST", f"/orders/o-1/{deed}", form, as_user=True)
    assert (answer.status, said in answer.text, "needs_attention" in answer.text) == (409, True, False)
