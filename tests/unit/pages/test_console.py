"""The console's pages: their requests to the API, and what they show of the responses."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import re
from typing import Any

import pytest

from console.imports import write_rows
from pages import view
from products.importing import read_rows
from tests.unit.pages.conftest import Ask
from tests.unit.pages.shop_api import ShopApi, answer_of_the_contract

STOCK = {
    "product_id": "p1",
    "on_hand": 3,
    "reserved": 1,
    "available": 2,
    "shards": 1,
    "level": "low",
    "low_at": 5,
    "is_default": True,
    "threshold_version": 0,
}
PAGE = {"items": [STOCK], "next_cursor": "more"}
KEY = "0123456789"


def stocked(api: ShopApi, **changes: Any) -> None:
    api.answers["GET /api/inventory"] = (200, {"items": [STOCK | changes], "next_cursor": "more"})
    names = {"products": [{"product_id": "p1", "sku": "MUG", "name": "A mug"}]}
    api.answers["GET /api/products/lookup"] = (200, names)


def test_low_stock_is_listed_with_names_of_one_lookup_and_leads_on(api: ShopApi, desk: Ask) -> None:
    stocked(api)
    page = desk("GET", "/console/stock?low=true", as_user=True).text
    assert [one[2] for one in api.asked] == [
        "/api/inventory?low=true&limit=50",
        "/api/products/lookup?product_ids=p1",
    ]
    assert "A mug" in page
    assert "low=true&amp;cursor=more" in page


def test_stock_is_listed_by_id_where_the_catalogue_is_away(api: ShopApi, desk: Ask) -> None:
    stocked(api)
    api.refuse("GET /api/products/lookup", 503, "unavailable", "Not just now.")
    page = desk("GET", "/console/stock", as_user=True)
    assert page.status == 200
    assert "Not just now." in page.text
    assert "<code>p1</code>" in page.text


def test_stock_is_found_by_name_item_number_and_id(api: ShopApi, desk: Ask) -> None:
    stocked(api)
    api.answers["GET /api/products"] = (200, {"items": [{"product_id": "p2"}], "next_cursor": None, "facets": None})
    assert desk("GET", "/console/stock?q=mug", as_user=True).status == 200
    assert api.of("GET /api/inventory")[0][2] == "/api/inventory?product_ids=p2%2Cmug"
    assert desk("GET", "/console/stock?q=two+words", as_user=True).status == 200
    assert api.of("GET /api/inventory")[1][2] == "/api/inventory?product_ids=p2"
    api.answers["GET /api/products"] = (200, {"items": [], "next_cursor": None, "facets": None})
    assert "No product is like that." in desk("GET", "/console/stock?q=no+such", as_user=True).text
    assert len(api.of("GET /api/inventory")) == 2


def test_a_new_product_whose_stock_is_not_there_yet_says_so(api: ShopApi, desk: Ask) -> None:
    api.refuse("GET /api/inventory/p1", 404, "unknown-product", "There is no stock item for p1.")
    page = desk("GET", "/console/catalogue/p1", as_user=True).text
    assert "some seconds after the product" in page
    assert "no stock item" not in page


def test_the_ledger_says_whether_it_proves_the_stock(api: ShopApi, desk: Ask) -> None:
    stocked(api)
    audit = {"product_id": "p1", "on_hand": 3, "entries": 2, "ledger_sum": 3, "ledger_entries": 2, "balanced": True}
    api.answers["GET /api/inventory/p1/ledger/audit"] = (200, audit)
    assert "2 entries sum to 3." in desk("GET", "/console/stock/p1", as_user=True).text
    wrong = audit | {"ledger_sum": 5, "ledger_entries": 1, "balanced": False}
    api.answers["GET /api/inventory/p1/ledger/audit"] = (200, wrong)
    assert "1 of 2 entries sum to 5, and 3 are on hand" in desk("GET", "/console/stock/p1", as_user=True).text
    api.refuse("GET /api/inventory/p1/ledger/audit", 409, "ledger-too-long", "It has 5000 entries.")
    page = desk("GET", "/console/stock/p1", as_user=True)
    assert (page.status, "It has 5000 entries." in page.text) == (200, True)


def test_a_product_without_stock_is_a_page_that_says_so(api: ShopApi, desk: Ask) -> None:
    api.answers["GET /api/inventory"] = (200, {"items": [], "next_cursor": None})
    assert desk("GET", "/console/stock/p1", as_user=True).status == 404
    assert desk("GET", "/console/stock/a%20b", as_user=True).status == 404


@pytest.mark.parametrize(("typed", "low_at"), [("12", 12), ("", None), (" 0 ", 0)])
def test_a_threshold_is_set_at_the_version_that_was_shown(
    api: ShopApi, desk: Ask, typed: str, low_at: int | None
) -> None:
    form = {"low_at": typed, "version": "4"}
    answer = desk("POST", "/console/stock/p1/threshold", form, as_user=True)
    assert answer.location == "/console/stock/p1?said=threshold"
    ((_, _, _, body, _),) = api.of("PUT /api/inventory/p1/threshold")
    assert body == {"low_at": low_at, "version": 4}


def test_a_threshold_that_another_has_set_is_shown_with_what_was_typed(api: ShopApi, desk: Ask) -> None:
    stocked(api, low_at=9, is_default=False, threshold_version=5)
    api.refuse("PUT /api/inventory/p1/threshold", 409, "stale-threshold", "It is at version 5, not 4.")
    page = desk("POST", "/console/stock/p1/threshold", {"low_at": "12", "version": "4"}, as_user=True)
    assert (page.status, "It is at version 5, not 4." in page.text) == (409, True)
    assert 'value="12"' in page.text
    assert 'name="version" value="5"' in page.text
    assert desk("POST", "/console/stock/p1/threshold", {"low_at": "-1", "version": "4"}, as_user=True).status == 422


def test_an_adjustment_is_sent_once_with_its_key(api: ShopApi, desk: Ask) -> None:
    form = {"delta": "-2", "reason": "broken in the store", "key": KEY}
    assert desk("POST", "/console/stock/p1/adjust", form, as_user=True).status == 303
    ((_, _, _, body, headers),) = api.of("POST /api/inventory/p1/adjustments")
    assert (body, headers["Idempotency-Key"]) == ({"delta": -2, "reason": "broken in the store"}, KEY)
    stocked(api)
    api.refuse("POST /api/inventory/p1/adjustments", 409, "below-zero", "Only 2 are available.")
    page = desk("POST", "/console/stock/p1/adjust", form, as_user=True)
    assert (page.status, "Only 2 are available." in page.text) == (409, True)


@pytest.mark.parametrize("address", ["/console/stock", "/console/parcels", "/console/stock/p1"])
def test_what_a_role_may_not_see_is_refused(api: ShopApi, desk: Ask, address: str) -> None:
    for route in ("GET /api/inventory", "GET /api/shipments"):
        api.refuse(route, 403, "forbidden", "Only staff may.")
    assert desk("GET", address, as_user=True).status == 403


def test_the_first_page_counts_what_is_now_and_not_what_was(api: ShopApi, desk: Ask) -> None:
    stocked(api)
    row: dict[str, Any] = {"order_id": "o-1", "since": None}
    api.answers["GET /api/shipments"] = (200, {"items": [row] * 50, "next_cursor": "more"})
    page = desk("GET", "/console", as_user=True).text
    assert "<strong>50+</strong> parcels given up" in page
    assert "<strong>1</strong> product low" in page
    assert not api.of("GET /api/ops/events")


# ---- the files of imports


def test_refused_rows_come_as_a_file_that_runs_nothing_and_can_be_imported(api: ShopApi, desk: Ask) -> None:
    rows = [
        ["A1", "=HYPERLINK(1)", "0", "GBP"],
        ["A2", 'semi;colon "quoted"\nline', "+1", "GBP"],
        ["@A3", "too few"],
    ]
    rows_view = [{"line": number, "fields": fields} for number, fields in enumerate([*rows, []], 2)]
    columns = ["sku", "name", "price", "currency"]
    api.answers["GET /api/products/imports/i-1/rows"] = (200, {"separator": ";", "columns": columns, "rows": rows_view})
    answer = desk("GET", "/console/imports/i-1/refused.csv", as_user=True)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="refused.csv"'
    assert answer.headers["Cache-Control"] == "no-store"
    content = base64.b64decode(answer.text)
    cells = list(csv.reader(io.StringIO(content.decode("utf-8-sig")), delimiter=";"))
    assert cells[0] == columns
    assert [cell for row in cells[1:] for cell in row if cell.startswith(("=", "+", "-", "@"))] == []
    again = read_rows(content, "GBP")
    assert [list(refusal.fields) for refusal in again.refused] == rows
    assert again.valid == []


def test_a_price_with_a_decimal_comma_stays_between_semicolons() -> None:
    text = write_rows(["sku", "name", "price", "currency"], [["A", "One", "2,55", "GBP"]], ";")
    (row,) = read_rows(text.encode(), "GBP").valid
    assert row.draft.price.amount == 255


def test_an_import_that_died_is_listed_and_leads_nowhere(api: ShopApi, desk: Ask) -> None:
    row: dict[str, Any] = {"import_id": "i-1", "at": "2026-11-28T12:00:00.000Z", "actor": "u-1", "state": "interrupted"}
    row |= dict.fromkeys(("created", "updated", "unchanged", "refused"), 0)
    api.answers["GET /api/products/imports"] = (200, {"items": [row], "next_cursor": None})
    page = desk("GET", "/console/imports", as_user=True).text
    assert "interrupted" in page
    assert "/console/imports/i-1" not in page


# ---- an order whose parcel was given up


def order(api: ShopApi, desk: Ask, *, has_left: bool, status: str = "failed") -> str:
    """The page of an order without returns, by the state of its parcel."""
    _, history = answer_of_the_contract("GET", "/api/orders/o-1/history")
    history["order"]["status"] = "needs_attention"
    history["order"]["lines"][0]["returned"] = 0
    history["order"]["returns"] = []
    api.answers["GET /api/orders/o-1/history"] = (200, history)
    row: dict[str, Any] = {
        "shipment_id": "s-1", "order_id": "o-1", "status": status, "awaits": [], "carrier": "sandbox",
        "tracking_number": "T1", "failure": "nobody home", "since": None, "has_left": has_left,
    }  # fmt: skip
    api.answers["GET /api/shipments"] = (200, {"items": [row], "next_cursor": None})
    return desk("GET", "/console/orders/o-1", as_user=True).text


def test_a_parcel_that_left_is_settled_by_what_came_back_or_is_lost(api: ShopApi, desk: Ask) -> None:
    page = order(api, desk, has_left=True)
    assert "The carrier has given the parcel up: nobody home." in page
    assert '<option value="lost">' in page
    form = {"product": ["p1"], "quantity": ["1"], "reason": "lost", "key": KEY}
    api.answers["POST /api/orders/o-1/returns"] = (201, a_return("received"))
    assert (
        desk("POST", "/console/orders/o-1/returns", form, as_user=True).location == "/console/orders/o-1?said=returned"
    )
    ((_, _, _, body, _),) = api.of("POST /api/orders/o-1/returns")
    assert body == {"lines": [{"product_id": "p1", "quantity": 1}], "reason": "lost"}


def test_a_parcel_that_never_left_is_settled_by_cancelling(api: ShopApi, desk: Ask) -> None:
    page = order(api, desk, has_left=False)
    assert "It never left. Cancel the order below" in page
    assert "Cancel the order</button>" in page
    assert '<option value="lost">' not in page


@pytest.mark.parametrize(("status", "is_parked"), [("booked", True), ("failed", False)])
def test_an_order_whose_saga_is_parked_leads_to_the_parked_sagas(
    api: ShopApi, desk: Ask, status: str, is_parked: bool
) -> None:
    """A customer's cancellation is a saga of its own, to which the link to the order's saga does not lead."""
    page = order(api, desk, has_left=False, status=status)
    assert ('among the <a href="/console/sagas">parked sagas</a>' in page) == is_parked


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("pending", "It is booked when the order is confirmed and paid."),
        ("confirmed", "It is booked when the order is confirmed and paid."),
        ("cancelled", "There is none."),
    ],
)
def test_before_the_parcel_the_page_says_what_will_come(api: ShopApi, desk: Ask, status: str, told: str) -> None:
    _, history = answer_of_the_contract("GET", "/api/orders/o-1/history")
    history["order"]["status"] = status
    api.answers["GET /api/orders/o-1/history"] = (200, history)
    api.answers["GET /api/shipments"] = (200, {"items": [], "next_cursor": None})
    api.answers["GET /api/payments"] = (200, {"items": []})
    text = desk("GET", "/console/orders/o-1", as_user=True).text
    of_parcel = text.partition("<h2>Parcel</h2>")[2].partition("<h2>")[0]
    assert told in of_parcel
    assert api.of("GET /api/payments")[0][2] == "/api/payments?order_id=o-1"


def test_an_order_shows_what_was_refunded_its_parcel_and_who_did_what(api: ShopApi, desk: Ask) -> None:
    _, history = answer_of_the_contract("GET", "/api/orders/o-1/history")
    history["order"]["refunded"] = {"amount": 1345, "currency": "GBP"}
    history["facts"][0]["actor"] = {"kind": "peer", "name": ""}
    api.answers["GET /api/orders/o-1/history"] = (200, history)
    row: dict[str, Any] = {
        "shipment_id": "s-1", "order_id": "o-1", "status": "delivered", "awaits": [], "carrier": "USPS",
        "tracking_number": "T1", "failure": None, "since": None, "has_left": True,
    }  # fmt: skip
    api.answers["GET /api/shipments"] = (200, {"items": [row], "next_cursor": None})

    page = desk("GET", "/console/orders/o-1", as_user=True).text

    assert '<th scope="row">refunded</th><td></td><td>£13.45</td>' in page
    assert '<a href="/console/parcels/s-1">Its parcel</a>' in page
    assert ", by peer, request" in page


# ---- returns of goods


def a_return(status: str) -> dict[str, Any]:
    made: dict[str, Any] = answer_of_the_contract("GET", "/api/orders/o-1")[1]["returns"][0]
    lines = [{"product_id": "p1", "quantity": 2}]
    return made | {"return_id": "r-1", "status": status, "lines": lines, "received": [], "refunded": None}


def returned(api: ShopApi, desk: Ask, status: str) -> str:
    _, order = answer_of_the_contract("GET", "/api/orders/o-1")
    api.answers["GET /api/orders/o-1"] = (200, order | {"returns": [a_return(status)]})
    return desk("GET", "/console/returns/o-1/r-1", as_user=True).text


def test_each_state_of_a_return_offers_what_its_staff_may_do(api: ShopApi, desk: Ask) -> None:
    deeds = {"approve": "Approve</button>", "refuse": "Refuse</button>", "cancel": "Cancel the return</button>"}
    deeds["receive"] = "Receive these</button>"
    offered = {
        "requested": {"approve", "refuse", "cancel"},
        "approved": {"receive", "cancel"},
        "refused": set(),
        "cancelled": set(),
        "received": set(),
        "refunded": set(),
    }
    for status, expected in offered.items():
        page = returned(api, desk, status)
        assert {deed for deed, button in deeds.items() if button in page} == expected, status


def test_a_receipt_says_of_each_line_what_can_be_sold_and_what_is_written_off(api: ShopApi, desk: Ask) -> None:
    returned(api, desk, "approved")
    api.answers["POST /api/orders/o-1/returns/r-1/receive"] = (200, a_return("received"))
    form = {"product": ["p1", "p2"], "restock": ["1", "0"], "write_off": ["1", "0"], "key": KEY}
    answer = desk("POST", "/console/returns/o-1/r-1/receive", form, as_user=True)
    assert answer.location == "/console/returns/o-1/r-1?said=received"
    ((_, _, _, body, headers),) = api.of("POST /api/orders/o-1/returns/r-1/receive")
    assert body == {"lines": [{"product_id": "p1", "restock": 1, "write_off": 1}]}
    assert headers["Idempotency-Key"] == KEY


def test_a_receipt_of_nothing_is_not_sent(api: ShopApi, desk: Ask) -> None:
    returned(api, desk, "approved")
    form = {"product": ["p1"], "restock": ["0"], "write_off": ["0"], "key": KEY}
    answer = desk("POST", "/console/returns/o-1/r-1/receive", form, as_user=True)
    assert (answer.status, api.of("POST /api/orders/o-1/returns/r-1/receive")) == (422, [])
    assert "Please say what came." in answer.text


def test_what_a_clerk_counted_is_still_there_after_a_refusal(api: ShopApi, desk: Ask) -> None:
    returned(api, desk, "approved")
    api.refuse("POST /api/orders/o-1/returns/r-1/receive", 429, "too-many-requests")
    form = {"product": ["p1"], "restock": ["1"], "write_off": ["0"], "key": KEY}
    page = desk("POST", "/console/returns/o-1/r-1/receive", form, as_user=True).text
    assert [part.partition('value="')[2][0] for part in page.split("<input id=")[1:]] == ["1", "0"]


def test_all_that_a_clerk_counted_is_still_there_after_the_log_in(api: ShopApi, desk: Ask) -> None:
    """The log-in's form keeps the count of each line, also where a first password was wrong."""
    two = [{"product_id": one, "quantity": 9} for one in ("p1", "p2")]
    _, order = answer_of_the_contract("GET", "/api/orders/o-1")
    api.answers["GET /api/orders/o-1"] = (200, order | {"returns": [a_return("approved") | {"lines": two}]})
    api.refuse("POST /api/orders/o-1/returns/r-1/receive", 401, "unauthenticated")
    counted = {"product": ["p1", "p2"], "restock": ["5", "4"], "write_off": ["1", "2"], "key": KEY}
    ended = desk("POST", "/console/returns/o-1/r-1/receive", counted, as_user=True)
    assert ended.status == 401

    api.refuse("POST /api/users/login", 401, "wrong-credentials")
    again = desk("POST", "/console/login", {"email": "a@b.example", "password": "no"} | hidden_of(ended.text))
    api.answers["POST /api/users/login"] = (200, {"access_token": "a.b.c", "refresh_token": "r"})
    api.answers["GET /api/users/me"] = (200, {"role": "admin"})
    page = desk("POST", "/console/login", {"email": "a@b.example", "password": "yes"} | hidden_of(again.text))

    assert [part.partition('value="')[2][0] for part in page.text.split("<input id=")[1:]] == ["5", "1", "4", "2"]


def hidden_of(page: str) -> dict[str, list[str]]:
    """The hidden fields of the page, each with all its values."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page):
        found.setdefault(name, []).append(html.unescape(value))
    return found


def test_a_receipt_that_the_customer_s_cancellation_overtook_shows_it(api: ShopApi, desk: Ask) -> None:
    returned(api, desk, "cancelled")
    api.refuse("POST /api/orders/o-1/returns/r-1/receive", 409, "return-not-changeable", "The return is cancelled.")
    form = {"product": ["p1"], "restock": ["1"], "write_off": ["0"], "key": KEY}
    answer = desk("POST", "/console/returns/o-1/r-1/receive", form, as_user=True)
    assert answer.status == 409
    assert "The return is cancelled." in answer.text
    assert "Receive these</button>" not in answer.text


def test_a_return_that_the_order_does_not_have_is_no_page(api: ShopApi, desk: Ask) -> None:
    returned(api, desk, "approved")
    assert desk("GET", "/console/returns/o-1/r-2", as_user=True).status == 404


# ---- the catalogue

EDIT = {"sku": "S", "name": "Mug", "description": "", "category": "", "currency": "GBP", "tax_class": "standard"}


def test_an_edit_that_is_not_valid_is_no_conflict(api: ShopApi, desk: Ask) -> None:
    product = answer_of_the_contract("GET", "/api/products/p1")[1] | {"version": 3}
    api.answers["GET /api/products/p1"] = (200, product)
    page = desk("POST", "/console/catalogue/p1", EDIT | {"price": "abc", "version": "3"}, as_user=True)
    assert (page.status, "Another operator" in page.text, "In the catalogue now" in page.text) == (422, False, False)


@pytest.mark.parametrize("status", ["active", "discontinued"])
def test_a_product_that_is_discontinued_is_offered_no_change(api: ShopApi, desk: Ask, status: str) -> None:
    """The API refuses each of them."""
    product = answer_of_the_contract("GET", "/api/products/p1")[1] | {"status": status, "version": 4}
    api.answers["GET /api/products/p1"] = (200, product)
    api.refuse("PATCH /api/products/p1", 409, "product-discontinued", "S is discontinued.")
    page = desk("GET", "/console/catalogue/p1", as_user=True).text
    offered = [word for word in (">Change it</button>", ">Discontinue</button>") if word in page]
    pictures = desk("GET", "/console/catalogue/p1/pictures", as_user=True).text
    late = desk("POST", "/console/catalogue/p1", EDIT | {"price": "9.00", "version": "3"}, as_user=True).text
    if status == "active":
        assert (len(offered), "Choose its file" in pictures, "no longer sold" in page) == (2, True, False)
    else:
        assert (offered, "Choose its file" in pictures, "no longer sold" in page) == ([], False, True)
        assert ("S is discontinued." in late, "Both are shown" in late) == (True, False)


def test_an_edit_of_what_another_operator_has_changed_shows_both(api: ShopApi, desk: Ask) -> None:
    product = answer_of_the_contract("GET", "/api/products/p1")[1] | {"version": 4, "description": None}
    api.answers["GET /api/products/p1"] = (200, product)
    api.refuse("PATCH /api/products/p1", 409, "stale-version", "S is at version 4, not 3; read it again.")
    form = EDIT | {"price": "9.00", "version": "3", "description": "Blown"}
    page = desk("POST", "/console/catalogue/p1", form, as_user=True)
    assert (page.status, "Another operator has changed it meanwhile." in page.text) == (409, True)
    assert "at version 4" not in page.text
    assert "In the catalogue now: <ins>nothing</ins>" in page.text
    assert ">Blown</textarea>" in page.text


# ---- dead letters


def test_a_description_keeps_its_lines_and_its_length_where_only_the_price_is_changed(api: ShopApi, desk: Ask) -> None:
    """A browser takes the lines of a text out of an input, and sends those of a textarea with CR and LF."""
    text = "Brass.\nGlass. " + "x" * 4900
    _, product = answer_of_the_contract("GET", "/api/products/p1")
    api.answers["GET /api/products/p1"] = (200, product | {"description": text, "category": "c" * 150, "version": 2})
    page = desk("GET", "/console/catalogue/p1", as_user=True).text
    assert f">{text}</textarea>" in page

    form = {"name": "A lamp", "price": "9", "currency": "GBP", "category": "c" * 150, "version": "2"}
    typed = form | {"description": text.replace("\n", "\r\n")}
    assert desk("POST", "/console/catalogue/p1", typed, as_user=True).status == 303
    ((_, _, _, body, _),) = api.of("PATCH /api/products/p1")
    assert (body["description"], body["category"]) == (text, "c" * 150)

    late = desk("POST", "/console/catalogue/p1", typed | {"version": "1", "currency": "no"}, as_user=True).text
    assert "Another operator has changed it meanwhile." in late
    assert "In the catalogue now: <ins>Brass" not in late


def test_what_was_sent_back_is_told_with_what_is_left(api: ShopApi, desk: Ask) -> None:
    done = {"dry_run": False, "matched": 50, "redriven": 50, "next_cursor": "more", "items": []}
    api.answers["POST /api/ops/dlq/redrive"] = (200, done)
    form = {"reason": "malformed", "note": "it is mended", "step": "send", "max": "50"}
    answer = desk("POST", "/console/letters/orders-dlq/redrive", form, as_user=True)
    assert answer.location == "/console/letters/orders-dlq?sent=50&more=true&reason=malformed"
    page = desk("GET", answer.location, as_user=True).text
    assert "Sent back: 50 letters. More of them may wait: send again to go on." in page
    assert "Sent back" not in desk("GET", "/console/letters/orders-dlq?sent=x", as_user=True).text


def redriven(**changes: Any) -> dict[str, Any]:
    """The API's answer to a redrive of one queue."""
    done: dict[str, Any] = answer_of_the_contract("POST", "/api/ops/dlq/redrive")[1]
    one = done["items"][0] | {"failure": None, "left_behind": 0, "is_whole": True, "letters": []} | changes
    return done | {"next_cursor": None, "redriven": one["redriven"], "matched": one["matched"], "items": [one]}


@pytest.mark.parametrize("step", ["dry", "send"])
def test_letters_beyond_the_number_that_may_be_sent_are_told(api: ShopApi, desk: Ask, step: str) -> None:
    """The API ends at the number, without a cursor."""
    api.answers["POST /api/ops/dlq/redrive"] = (200, redriven(matched=2, redriven=2, is_whole=False))
    form = {"note": "it is mended", "step": step, "max": "2"}
    answer = desk("POST", "/console/letters/orders-dlq/redrive", form, as_user=True)
    page = answer if step == "dry" else desk("GET", answer.location, as_user=True)
    assert "ore of them may wait" in page.text


@pytest.mark.parametrize(("left_behind", "also"), [(0, ""), (1, ", of which 1 letter could not be deleted here")])
def test_what_stops_a_redrive_is_told_with_what_was_sent(api: ShopApi, desk: Ask, left_behind: int, also: str) -> None:
    told = f"Sent back: 3 letters{also}. Then it stopped: SQS does not take m-4."
    done = redriven(matched=4, redriven=3, left_behind=left_behind, failure="SQS does not take m-4", is_whole=False)
    api.answers["POST /api/ops/dlq/redrive"] = (200, done)
    form = {"ids": ["m-1", "m-4"], "note": "it is mended", "step": "send", "max": "50"}
    page = desk("POST", "/console/letters/orders-dlq/redrive", form, as_user=True)
    assert (page.status, told in page.text, 'value="it is mended"' in page.text) == (422, True, True)

    page = desk("POST", "/console/letters/orders-dlq/redrive", form | {"step": "dry"}, as_user=True)
    assert (page.status, "It stopped: SQS does not take m-4." in page.text) == (422, True)


def test_the_letters_that_were_chosen_stay_chosen_where_the_note_is_missing(api: ShopApi, desk: Ask) -> None:
    """Without one, all that match would go."""
    _, letters = answer_of_the_contract("GET", "/api/ops/dlq/orders-dlq/messages")
    items = [letters["items"][0] | {"message_id": name} for name in ("m-1", "m-2", "m-3")]
    api.answers["GET /api/ops/dlq/orders-dlq/messages"] = (200, letters | {"items": items})
    form = {"ids": ["m-1", "m-3"], "step": "send", "max": "50", "note": ""}
    page = desk("POST", "/console/letters/orders-dlq/redrive", form, as_user=True)
    assert page.status == 422
    assert [name for name in ("m-1", "m-2", "m-3") if f'value="{name}" checked' in page.text] == ["m-1", "m-3"]
    assert all(f"<code>{name}</code>" in page.text for name in ("m-1", "m-2", "m-3"))


def test_a_dry_run_keeps_the_filter_and_the_note(api: ShopApi, desk: Ask) -> None:
    """The letters that are shown beside it are those that it is about."""
    done: dict[str, Any] = {"dry_run": True, "matched": 1, "redriven": 0, "next_cursor": None, "items": []}
    api.answers["POST /api/ops/dlq/redrive"] = (200, done)
    form = {"reason": "malformed", "step": "dry", "max": "50", "note": "it is mended"}
    page = desk("POST", "/console/letters/orders-dlq/redrive", form, as_user=True).text
    [(_, _, path, _, _)] = api.of("GET /api/ops/dlq/orders-dlq/messages")
    assert "reason=malformed" in path
    assert 'name="reason" value="malformed"' in page
    assert 'value="it is mended"' in page


def test_a_parked_saga_s_cause_is_told_without_its_traceback(api: ShopApi, desk: Ask) -> None:
    _, found = answer_of_the_contract("GET", "/api/ops/sagas")
    cause = {"errorMessage": "The bank says no.", "errorType": "RefundRefused", "stackTrace": ["File x, line 1"]}
    parked = {"saga": "o-1.cancellation", "order_id": "o-1", "step": "RefundPayment", "error": "RefundRefused"}
    parked |= {"parked_at": "2026-11-28T12:00:00.000Z", "failed_step": "CapturePayment", "reason": "capture-refused"}
    items = [parked | {"cause": text} for text in (json.dumps(cause), "cut {")]
    api.answers["GET /api/ops/sagas"] = (200, found | {"items": items})
    page = desk("GET", "/console/sagas", as_user=True).text
    assert "The bank says no." in page
    assert "cut {" in page
    assert "line 1" not in page


def test_what_waits_comes_first_and_what_does_not_is_a_line(api: ShopApi, desk: Ask) -> None:
    api.answers["GET /api/ops/orders/returns"] = (200, {"items": [], "next_cursor": None})
    tiles, _, rest = desk("GET", "/console", as_user=True).text.partition('aria-label="Nothing to do"')
    assert "parked saga</a>" in tiles
    assert "returns to approve" not in tiles
    assert "0 returns to approve or refuse</a>" in rest


def test_disputes_to_answer_are_counted_on_the_first_page_and_listed(api: ShopApi, desk: Ask) -> None:
    amount = {"amount": 400, "currency": "GBP"}
    dispute = {"dispute_id": "dp-1", "amount": amount, "status": "open", "reason": "product_not_received"}
    payment: dict[str, Any] = {"payment_id": "pay-1", "order_id": "o-1", "since": "2026-11-28T12:00:00.000Z"}
    found: dict[str, Any] = {"items": [], "more": False, "disputed": [payment | {"disputes": [dispute]}]}
    api.answers["GET /api/payments/mismatches"] = (200, found)
    assert "<strong>1</strong> payment with an open dispute" in desk("GET", "/console", as_user=True).text
    page = desk("GET", "/console/payments", as_user=True).text
    for shown in (
        "<code>dp-1</code>",
        "product not received",
        "/console/orders/o-1",
        "/console/payments/pay-1",
        "£4.00",
    ):
        assert shown in page
    assert "all agree" in page

    del found["disputed"]  # by the release before
    assert "0 payments with an open dispute" in desk("GET", "/console", as_user=True).text
    assert "Disputed by" not in desk("GET", "/console/payments", as_user=True).text


def test_a_list_of_the_first_page_that_is_missing_is_named(api: ShopApi, desk: Ask) -> None:
    api.refuse("GET /api/ops/dlq", 503, "unavailable", "The queues are away.")
    assert "Queues with dead letters: The queues are away." in desk("GET", "/console", as_user=True).text


def test_a_dry_run_says_that_there_are_more_than_it_may_send(api: ShopApi, desk: Ask) -> None:
    done = {"dry_run": True, "matched": 7, "redriven": 0, "next_cursor": "more", "items": []}
    api.answers["POST /api/ops/dlq/redrive"] = (200, done)
    page = desk("POST", "/console/letters/orders-dlq/redrive", {"max": "7"}, as_user=True).text
    assert "and more of them may wait" in page
    assert 'name="max" type="number" min="1" max="500" required value="7"' in page
    assert api.of("POST /api/ops/dlq/redrive")[0][3]["max"] == 7


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ((200, {"number": "K7QF2-M9X40", "payment": None}), "K7QF2-M9X40"),
        ((200, {"number": None, "payment": None}), "o-1"),
        ((200, {}), "o-1"),
        ((404, {"type": "urn:mercato:problem:order-not-found", "detail": "No."}), "o-1"),
    ],
)
def test_a_saga_names_its_order_as_people_say_it(api: ShopApi, desk: Ask, order: tuple[int, Any], told: str) -> None:
    _, found = answer_of_the_contract("GET", "/api/ops/sagas/o-1.cancellation")
    api.answers["GET /api/ops/sagas/o-1.cancellation"] = (200, found | {"order_id": "o-1"})
    api.answers["GET /api/orders/o-1"] = order
    saga = desk("GET", "/console/sagas/o-1.cancellation", as_user=True)
    assert (saga.status, f"<h1>Saga <code>{told}</code>" in saga.text) == (200, True)


def test_a_payment_is_looked_up_by_what_was_pasted(desk: Ask) -> None:
    """A browser gets a path of ASCII alone, so that any other text would lead to the site's first page."""
    assert desk("GET", "/console/payments?payment_id=+p-1%E2%80%A6+", as_user=True).location.startswith(
        "/console/payments/p-1%"
    )


@pytest.mark.parametrize("number", ["K7QF2-M9X40", None, "of an earlier release"])
def test_payments_name_their_order_as_people_say_it(api: ShopApi, desk: Ask, number: str | None) -> None:
    _, payment = answer_of_the_contract("GET", "/api/payments/p-1")
    _, mismatches = answer_of_the_contract("GET", "/api/payments/mismatches")
    for one in (payment, mismatches["items"][0], mismatches["disputed"][0]):
        one |= {"order_id": "o-1", "order_number": number}
        if number == "of an earlier release":
            del one["order_number"]
    api.answers |= {"GET /api/payments/p-1": (200, payment), "GET /api/payments/mismatches": (200, mismatches)}
    shown = desk("GET", "/console/payments/p-1", as_user=True)
    listed = desk("GET", "/console/payments", as_user=True)
    told = number if number == "K7QF2-M9X40" else "o-1"
    assert (shown.status, "Its order <code>K7QF2-M9X40</code>" in shown.text) == (200, told != "o-1")
    assert (listed.status, listed.text.count(f'<a href="/console/orders/o-1"><code>{told}</code>')) == (200, 2)


@pytest.mark.parametrize(("status", "refunds"), [("open", False), ("lost", True)])
def test_a_disputed_payment_is_shown_and_refunded_only_once_the_bank_has_decided(
    api: ShopApi, desk: Ask, status: str, refunds: bool
) -> None:
    _, payments = answer_of_the_contract("GET", "/api/payments")
    payment = payments["items"][0]
    amounts = {"captured": 2500, "refunded": 0, "disputed": 1000}
    payment |= {name: {"amount": amount, "currency": "GBP"} for name, amount in amounts.items()}
    payment["disputes"][0] |= {"status": status, "reason": "fraudulent"}
    api.answers["GET /api/payments"] = (200, payments)
    page = desk("GET", "/console/orders/o-1", as_user=True).text
    assert "£10.00 taken by the buyer's bank" in html.unescape(page)
    assert ("Answer at the payment provider" in page, "Up to £15.00." in page) == (not refunds, refunds)
    api.answers["GET /api/payments/p-1"] = (200, payment)
    assert "fraudulent" in desk("GET", "/console/payments/p-1", as_user=True).text


@pytest.mark.parametrize(("status", "warns"), [("confirmed", True), ("delivered", False)])
def test_a_refund_before_the_parcel_leaves_says_that_it_does_not_stop_it(
    api: ShopApi, desk: Ask, status: str, warns: bool
) -> None:
    _, history = answer_of_the_contract("GET", "/api/orders/o-1/history")
    history["order"]["status"] = status
    api.answers["GET /api/orders/o-1/history"] = (200, history)
    _, payments = answer_of_the_contract("GET", "/api/payments")
    amounts = {"captured": 2500, "refunded": 0}
    payments["items"][0] |= {name: {"amount": amount, "currency": "GBP"} for name, amount in amounts.items()}
    payments["items"][0] |= {"status": "captured", "disputes": []}
    api.answers["GET /api/payments"] = (200, payments)
    page = desk("GET", "/console/orders/o-1", as_user=True).text
    assert "Give it back" in page
    assert ("A refund does not stop the parcel." in page) is warns


def gbp(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "GBP"}


@pytest.mark.parametrize(
    ("status", "dispute", "credited", "returns", "told"),
    [
        ("cancelled", ("lost", 2500), 0, [], "£25.00"),
        ("cancelled", ("lost", 1000), 1500, [], "£10.00"),
        ("cancelled", ("lost", 2500), 2500, [], ""),
        ("cancelled", ("won", 2500), 0, [], ""),
        ("cancelled", ("open", 2500), 0, [], ""),
        ("delivered", ("lost", 2500), 0, [], ""),
        ("delivered", ("lost", 2500), 0, [(900, 0)], "£9.00"),
        ("refunded", ("lost", 1000), 1500, [(2500, 1500)], "£10.00"),
        ("refunded", ("lost", 1000), 1500, [(2500, None)], ""),
        ("delivered", ("won", 2500), 900, [(900, 900)], ""),
    ],
)
def test_goods_that_a_lost_dispute_has_paid_back_are_told_to_lack_their_credit_note(
    api: ShopApi,
    desk: Ask,
    status: str,
    dispute: tuple[str, int],
    credited: int,
    returns: list[tuple[int, int | None]],
    told: str,
) -> None:
    _, history = answer_of_the_contract("GET", "/api/orders/o-1/history")
    made = history["order"]["returns"][0] | {"reason": "other", "received": []}
    history["order"] |= {"status": status, "total": gbp(2500)}
    history["order"]["returns"] = [
        made | {"amount": gbp(amount), "refunded": None if refunded is None else gbp(refunded)}
        for amount, refunded in returns
    ]
    api.answers["GET /api/orders/o-1/history"] = (200, history)
    _, payments = answer_of_the_contract("GET", "/api/payments")
    payments["items"][0]["disputes"][0] |= {"status": dispute[0], "amount": gbp(dispute[1])}
    api.answers["GET /api/payments"] = (200, payments)
    _, documents = answer_of_the_contract("GET", "/api/documents")
    sums = {"invoice": 2500, "credit_note": credited}
    documents["items"] = [
        documents["items"][0] | {"kind": kind, "total": gbp(amount)} for kind, amount in sums.items() if amount
    ]
    api.answers["GET /api/documents"] = (200, documents)
    page = html.unescape(desk("GET", "/console/orders/o-1", as_user=True).text)
    assert re.findall(r">([^<> ]+) of the invoice have no credit note", page) == ([told] if told else [])


def test_without_its_payment_or_documents_an_order_s_page_tells_of_no_credit_note(api: ShopApi, desk: Ask) -> None:
    for route in ("GET /api/payments", "GET /api/documents"):
        api.refuse(route, 503, "temporarily-unavailable")
        page = desk("GET", "/console/orders/o-1", as_user=True)
        assert (page.status, "have no credit note" in page.text) == (200, False)


REFUND = {"payment_id": "p-1", "amount": "12.50", "currency": "GBP", "reason": "a broken vase", "key": KEY}


@pytest.mark.parametrize(
    ("status", "offered"), [("pending", "Up to £15.00."), ("refused", "Up to £25.00."), ("done", "Up to £25.00.")]
)
def test_what_a_refund_under_way_gives_back_is_not_offered_again(
    api: ShopApi, desk: Ask, status: str, offered: str
) -> None:
    """The sum of those that are done is stated by itself."""
    _, found = answer_of_the_contract("GET", "/api/payments")
    amounts = {"captured": 2500, "refunded": 0, "disputed": 0}
    payment = found["items"][0] | {name: {"amount": one, "currency": "GBP"} for name, one in amounts.items()}
    made = payment["refunds"][0] | {"status": status, "amount": {"amount": 1000, "currency": "GBP"}}
    payment |= {"refunds": [made], "disputes": []}
    api.answers["GET /api/payments"] = (200, {"items": [payment]})
    assert offered in desk("GET", "/console/orders/o-1", as_user=True).text


def test_a_refund_is_typed_as_people_write_money(api: ShopApi, desk: Ask) -> None:
    assert desk("POST", "/console/orders/o-1/refunds", REFUND, as_user=True).status == 303

    [(_, _, _, body, headers)] = api.of("POST /api/payments/p-1/refunds")
    assert body == {"amount": {"amount": 1250, "currency": "GBP"}, "reason": "a broken vase"}
    assert headers["Idempotency-Key"] == KEY


@pytest.mark.parametrize("typed", ["12.505", "a lot", "£12", "1e3"])
def test_an_amount_that_is_none_is_told_at_its_field_and_refunds_nothing(api: ShopApi, desk: Ask, typed: str) -> None:
    _, payments = answer_of_the_contract("GET", "/api/payments")
    nothing = {"amount": 0, "currency": "GBP"}
    payments["items"][0] |= {"captured": {"amount": 2500, "currency": "GBP"}, "disputed": nothing, "disputes": []}
    api.answers["GET /api/payments"] = (200, payments)

    answer = desk("POST", "/console/orders/o-1/refunds", REFUND | {"amount": typed}, as_user=True)

    assert answer.status == 422
    assert 'id="amount-error"' in answer.text
    assert api.of("POST /api/payments/p-1/refunds") == []


def packed(api: ShopApi, status: str = "booked", **changes: str | None) -> None:
    _, parcel = answer_of_the_contract("GET", "/api/shipments/s-1")
    by_hand = {"shipment_id": "s-1", "status": status, "label_url": None, "refusal": None}
    api.answers["GET /api/shipments/s-1"] = (200, parcel | by_hand | changes)


def test_a_parcel_to_send_is_listed_packed_and_sent(api: ShopApi, desk: Ask) -> None:
    packed(api)
    assert 'href="/console/parcels/' in html.unescape(desk("GET", "/console/parcels", as_user=True).text)
    assert "It leaves now" in desk("GET", "/console/parcels/s-1", as_user=True).text

    form = {"stop": "dispatched", "carrier": "Royal Mail", "tracking_number": "", "tracking_url": ""}
    assert desk("POST", "/console/parcels/s-1", form, as_user=True).status == 303
    page = {"tracking_url": "https://track.example/1"}
    assert desk("POST", "/console/parcels/s-1", form | page, as_user=True).status == 303
    first, second = (body for _, _, _, body, _ in api.of("POST /api/shipments/s-1/reports"))
    assert first == {"stop": "dispatched", "carrier": "Royal Mail"}
    assert second == first | page


def test_a_parcel_is_named_by_the_number_of_its_order(api: ShopApi, desk: Ask) -> None:
    packed(api, order_number="K7QF2-M9X40")
    _, listed = answer_of_the_contract("GET", "/api/shipments")
    row = listed["items"][0] | {"order_number": "M2NP4-7KD81"}
    older = {name: value for name, value in row.items() if name != "order_number"} | {"order_id": "o-of-before"}
    api.answers["GET /api/shipments"] = (200, {"items": [row, older], "next_cursor": None})
    page = desk("GET", "/console/parcels", as_user=True).text
    assert "<code>M2NP4-7KD81</code>" in page
    assert "<code>o-of-bef" in page, "shipping may be of an earlier release than the console"
    assert "Order <code>K7QF2-M9X40</code>" in desk("GET", "/console/parcels/s-1", as_user=True).text


def test_more_parcels_that_are_given_up_than_a_page_has_are_told(api: ShopApi, desk: Ask) -> None:
    _, listed = answer_of_the_contract("GET", "/api/shipments")
    for cursor, told in ((None, False), ("more", True)):
        api.answers["GET /api/shipments"] = (200, listed | {"next_cursor": cursor})
        assert ("There are more. They follow" in desk("GET", "/console/parcels", as_user=True).text) == told


def test_what_is_wrong_with_a_dispatch_is_told_at_its_field(api: ShopApi, desk: Ask) -> None:
    packed(api)
    api.refuse("POST /api/shipments/s-1/reports", 422, "no-carrier", "A dispatch names the carrier.")
    form = {"stop": "dispatched", "carrier": "", "tracking_number": "RM1"}

    page = desk("POST", "/console/parcels/s-1", form, as_user=True)
    assert (page.status, 'id="carrier-error">A dispatch names the carrier.' in page.text) == (422, True)
    assert 'value="RM1"' in page.text
    for address in ("http://track.example/1", "javascript:1", "https://track.example/a b"):
        page = desk("POST", "/console/parcels/s-1", form | {"tracking_url": address}, as_user=True)
        assert (page.status, 'id="tracking_url-error">This is no address' in page.text) == (422, True)


def test_a_parcel_is_given_up_for_a_reason_only(api: ShopApi, desk: Ask) -> None:
    packed(api, "dispatched")
    api.answers["POST /api/shipments/s-1/reports"] = answer_of_the_contract("GET", "/api/shipments/s-1")

    page = desk("POST", "/console/parcels/s-1", {"stop": "failed", "reason": "  "}, as_user=True)
    assert (page.status, 'id="reason-error">Say what happened' in page.text) == (422, True)
    assert '<a href="#reason">What happened</a>' in page.text
    assert "<details open>" in page.text
    assert api.of("POST /api/shipments/s-1/reports") == []

    assert desk("POST", "/console/parcels/s-1", {"stop": "failed", "reason": "Lost"}, as_user=True).status == 303
    api.refuse("POST /api/shipments/s-1/reports", 409, "parcel-has-left", "The parcel has left with Royal Mail.")
    page = desk("POST", "/console/parcels/s-1", {"stop": "dispatched", "carrier": "DHL"}, as_user=True)
    assert (page.status, "<details open>" in page.text) == (409, False)


def test_a_parcel_whose_order_was_cancelled_is_not_sent_and_the_page_says_so(api: ShopApi, desk: Ask) -> None:
    packed(api)
    api.refuse("POST /api/shipments/s-1/reports", 409, "parcel-cancelled", "Order o-1 is cancelled: do not send it.")

    answer = desk("POST", "/console/parcels/s-1", {"stop": "dispatched", "carrier": "Royal Mail"}, as_user=True)

    assert answer.status == 409
    assert "Order o-1 is cancelled: do not send it." in answer.text
    assert 'value="Royal Mail"' in answer.text


def test_a_parcel_with_a_label_is_sent_with_it(api: ShopApi, desk: Ask) -> None:
    links = {"label_url": "https://labels.example/1.png", "tracking_url": "https://track.example/1"}
    packed(api, carrier="USPS", tracking_number="9400", **links)

    page = html.unescape(desk("GET", "/console/parcels/s-1", as_user=True).text)
    assert 'href="https://labels.example/1.png" rel="noreferrer">Print the label' in page
    assert 'href="https://track.example/1"' in page
    assert "<code>9400</code> with USPS" in page
    assert 'name="carrier"' not in page

    assert desk("POST", "/console/parcels/s-1", {"stop": "dispatched"}, as_user=True).status == 303
    [(_, _, _, body, _)] = api.of("POST /api/shipments/s-1/reports")
    assert body == {"stop": "dispatched"}


def test_a_parcel_that_the_carrier_refuses_says_why(api: ShopApi, desk: Ask) -> None:
    packed(api, refusal="EasyPost refuses the parcel: House number is missing")
    page = desk("GET", "/console/parcels/s-1", as_user=True).text
    assert "House number is missing" in page
    assert 'name="carrier"' in page


@pytest.mark.parametrize(("awaits", "can_be_sent"), [("carrier", False), ("dispatch", True)])
def test_a_parcel_of_the_carriers_system_is_sent_once_it_has_a_label(
    api: ShopApi, desk: Ask, awaits: str, *, can_be_sent: bool
) -> None:
    """Before that, the API refuses staff's report on it."""
    packed(api)
    _, rows = answer_of_the_contract("GET", "/api/shipments")
    api.answers["GET /api/shipments"] = (200, rows | {"items": [rows["items"][0] | {"awaits": [awaits]}]})
    page = desk("GET", "/console/parcels/s-1", as_user=True).text
    assert ("It leaves now</button>" in page, "has not taken it yet" in page) == (can_be_sent, not can_be_sent)


def test_a_shipping_service_of_an_earlier_release_shows_its_parcels(api: ShopApi, desk: Ask) -> None:
    packed(api)
    for name in ("label_url", "tracking_url", "refusal"):
        del api.answers["GET /api/shipments/s-1"][1][name]
    assert 'name="carrier"' in desk("GET", "/console/parcels/s-1", as_user=True).text


@pytest.mark.parametrize(
    ("status", "offers"), [("dispatched", True), ("in_transit", True), ("delivered", False), ("cancelled", False)]
)
def test_only_what_can_still_happen_to_a_parcel_is_offered(api: ShopApi, desk: Ask, status: str, offers: bool) -> None:
    packed(api, status)
    page = desk("GET", "/console/parcels/s-1", as_user=True).text
    assert ("It has arrived" in page) is offers
    assert "It leaves now" not in page


# ---- the shop's currency


@pytest.mark.parametrize(
    ("currency", "text", "shown"),
    [("JPY", "1250", "¥1,250"), ("KWD", "1.250", "KWD 1.250"), ("EUR", "12.50", "€12.50")],
)
def test_a_price_is_shown_and_typed_with_the_decimals_of_its_currency(
    api: ShopApi, desk: Ask, currency: str, text: str, shown: str
) -> None:
    price = {"amount": 1250, "currency": currency}
    assert (view.money(price), view.major(price)) == (shown, text)
    form = {"name": "A mug", "price": text, "currency": currency, "version": "1"}
    desk("POST", "/console/catalogue/p1", form, as_user=True)
    ((_, _, _, body, _),) = api.of("PATCH /api/products/p1")
    assert body["price"] == price
    refused = desk("POST", "/console/catalogue/p1", form | {"price": "12.50001"}, as_user=True)
    assert refused.status == 422


def test_a_new_product_is_offered_the_shop_s_currency(api: ShopApi, desk: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURRENCY", "KWD")
    assert 'name="currency" type="text" value="KWD"' in desk("GET", "/console/catalogue/new", as_user=True).text


COUPON = {
    "code": "TEN",
    "description": "10 % off",
    "kind": "percentage",
    "basis_points": 1250,
    "amount": None,
    "minimum": {"amount": 1000, "currency": "GBP"},
    "product_ids": ["p1"],
    "category": None,
    "valid_from": None,
    "valid_until": "2099-12-24T00:00:00.000Z",
    "limit": 100,
    "limit_per_customer": None,
    "combines": False,
    "used": 3,
    "version": 2,
    "created_at": "2026-11-29T12:00:00.000Z",
    "ended_at": None,
}


def coupon(**changes: Any) -> dict[str, Any]:
    return COUPON | changes


def test_coupons_are_listed_with_what_they_take_off_and_their_uses(api: ShopApi, desk: Ask) -> None:
    free = coupon(code="POST", basis_points=None, kind="free_shipping", ended_at="2026-11-29T12:00:00.000Z", limit=None)
    late = coupon(code="LATE", valid_until="2026-01-01T00:00:00.000Z")
    items = [coupon(), free, late, coupon(code="GONE", used=100)]
    api.answers["GET /api/promotions/coupons"] = (200, {"items": items, "next_cursor": None})

    page = desk("GET", "/console/coupons", as_user=True).text

    for text in ("12.5 %", "the delivery", "3 of 100", "ended", "expired", "used up", "active"):
        assert text in page, text


def test_a_new_coupon_is_sent_as_the_api_wants_it(api: ShopApi, desk: Ask) -> None:
    api.answers["POST /api/promotions/coupons"] = (201, coupon())
    form = {"description": "10 % off", "kind": "percentage", "value": "12.5 %", "minimum": "10", "limit": "100"}
    form |= {"valid_until": "2099-12-24", "key": KEY, "code": "ten", "combines": "yes"}

    assert desk("POST", "/console/coupons", form, as_user=True).location == "/console/coupons/TEN?said=added"
    [(_, _, _, body, headers)] = api.of("POST /api/promotions/coupons")
    assert headers["Idempotency-Key"] == KEY
    assert body == {
        "code": "ten",
        "description": "10 % off",
        "kind": "percentage",
        "basis_points": 1250,
        "minimum": {"amount": 1000, "currency": "GBP"},
        "valid_from": None,
        "valid_until": "2099-12-24T00:00:00.000Z",
        "limit": 100,
        "limit_per_customer": None,
        "category": None,
        "combines": True,
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("value", "0"),
        ("value", "100.01"),
        ("value", "x"),
        ("code", "a b"),
        ("minimum", "1.234"),
        ("valid_from", "soon"),
        ("limit", "0"),
        ("limit_per_customer", "many"),
    ],
)
def test_a_coupon_that_cannot_be_read_is_told_at_its_field(api: ShopApi, desk: Ask, field: str, value: str) -> None:
    api.answers["GET /api/promotions/coupons"] = (200, {"items": [], "next_cursor": None})
    form = {"description": "10 % off", "kind": "percentage", "value": "10", "key": KEY} | {field: value}

    page = desk("POST", "/console/coupons", form, as_user=True)

    assert page.status == 422
    assert f'id="{field}-error"' in page.text
    assert api.of("POST /api/promotions/coupons") == []


@pytest.mark.parametrize(("kind", "field"), [("amount", "value"), ("free_shipping", "category")])
def test_what_a_kind_of_coupon_needs_or_does_not_take_is_told_at_its_field(
    api: ShopApi, desk: Ask, kind: str, field: str
) -> None:
    api.answers["GET /api/promotions/coupons"] = (200, {"items": [], "next_cursor": None})
    page = desk(
        "POST", "/console/coupons", {"description": "x", "kind": kind, "category": "kitchen", "key": KEY}, as_user=True
    )
    assert (page.status, f'id="{field}-error"' in page.text) == (422, True)


def test_free_delivery_takes_no_amount(api: ShopApi, desk: Ask) -> None:
    api.answers["GET /api/promotions/coupons"] = (200, {"items": [], "next_cursor": None})
    form = {"description": "x", "kind": "free_shipping", "value": "10", "key": KEY}
    page = desk("POST", "/console/coupons", form, as_user=True)
    assert (page.status, 'id="value-error">Free delivery' in page.text) == (422, True)
    assert api.of("POST /api/promotions/coupons") == []


@pytest.mark.parametrize(
    ("until", "said"),
    [("2099-12-24T00:00:00.000Z", "can be used from now on"), ("2020-12-24T00:00:00.000Z", "and it is expired")],
)
def test_a_new_coupon_is_said_to_be_usable_only_if_it_is(api: ShopApi, desk: Ask, until: str, said: str) -> None:
    api.answers["GET /api/promotions/coupons/TEN"] = (200, coupon(valid_until=until))
    assert said in desk("GET", "/console/coupons/TEN?said=added", as_user=True).text


def test_a_coupon_is_changed_and_ended(api: ShopApi, desk: Ask) -> None:
    api.answers["GET /api/promotions/coupons/TEN"] = (200, coupon())
    api.answers["PATCH /api/promotions/coupons/TEN"] = (200, coupon(version=3))
    api.answers["DELETE /api/promotions/coupons/TEN"] = (204, None)
    page = desk("GET", "/console/coupons/TEN", as_user=True).text
    assert 'value="10.00"' in page
    assert 'value="2099-12-24"' in page

    form = {"description": "Ten off", "limit": "200", "version": 2}
    assert desk("POST", "/console/coupons/TEN", form, as_user=True).location == "/console/coupons/TEN?said=changed"
    [(_, _, _, body, _)] = api.of("PATCH /api/promotions/coupons/TEN")
    assert (body["version"], body["limit"], body["minimum"]) == (2, 200, None)
    assert desk("POST", "/console/coupons/TEN/end", as_user=True).location == "/console/coupons/TEN?said=ended"
    assert len(api.of("DELETE /api/promotions/coupons/TEN")) == 1
    assert desk("GET", "/console/coupons/no%20code", as_user=True).status == 404


@pytest.mark.parametrize(
    "body",
    [
        {"message": "Forbidden"},
        {"type": "urn:other:problem:coupon-changed", "detail": None, "errors": ["no"]},
        {"errors": "no"},
        ["no"],
        None,
    ],
)
def test_a_refusal_that_a_proxy_has_written_shows_the_form_with_what_was_typed(
    api: ShopApi, desk: Ask, body: Any
) -> None:
    api.answers["GET /api/promotions/coupons/TEN"] = (200, coupon())
    api.answers["PATCH /api/promotions/coupons/TEN"] = (403, body)
    page = desk("POST", "/console/coupons/TEN", {"description": "From Ann", "version": 2}, as_user=True)
    assert page.status == 403
    assert "This is not possible now." in page.text
    assert 'value="From Ann"' in page.text


def test_a_change_of_a_coupon_that_another_operator_has_changed_shows_both(api: ShopApi, desk: Ask) -> None:
    api.answers["GET /api/promotions/coupons/TEN"] = (200, coupon(description="From Bea", limit=50))
    api.refuse("PATCH /api/promotions/coupons/TEN", 409, "coupon-changed", "The coupon is at version 2, not 1.")
    form = {"description": "From Ann", "limit": "100", "minimum": "10.00", "version": 1}
    page = desk("POST", "/console/coupons/TEN", form, as_user=True)
    assert (page.status, "Another operator has changed it meanwhile." in page.text) == (409, True)
    assert "at version 2" not in page.text
    for shown in ('value="From Ann"', "now: <ins>From Bea</ins>", 'value="100"', "now: <ins>50</ins>"):
        assert shown in page.text
    assert "now: <ins>10.00</ins>" not in page.text

    bad = desk("POST", "/console/coupons/TEN", form | {"minimum": "x", "version": 2}, as_user=True)
    assert (bad.status, "Another operator" in bad.text, "now: <ins>" in bad.text) == (422, False, False)


def test_a_change_of_a_coupon_keeps_the_hour_of_a_day_that_stays(api: ShopApi, desk: Ask) -> None:
    evening = {"valid_from": "2026-11-27T18:00:00.000Z", "valid_until": "2099-12-24T18:00:00.000Z"}
    api.answers["GET /api/promotions/coupons/TEN"] = (200, coupon(**evening))
    form = {"description": "Ten off", "limit": "100", "version": 2, "valid_from": "2026-11-27"}
    desk("POST", "/console/coupons/TEN", form | {"valid_until": "2099-12-23"}, as_user=True)
    [(_, _, _, body, _)] = api.of("PATCH /api/promotions/coupons/TEN")
    assert (body["valid_from"], body["valid_until"]) == (evening["valid_from"], "2099-12-23T00:00:00.000Z")


def test_a_limit_that_a_coupon_does_not_have_is_not_offered(api: ShopApi, desk: Ask) -> None:
    api.answers["GET /api/promotions/coupons/TEN"] = (200, coupon(limit=None, limit_per_customer=1))
    page = desk("GET", "/console/coupons/TEN", as_user=True).text
    assert ('name="limit"' in page, 'name="limit_per_customer"' in page) == (False, True)
    assert "Its uses in all have no limit." in page


@pytest.mark.parametrize(
    ("status", "slug", "at", "field"),
    [
        (422, "invalid-coupon", "amount", "value"),
        (422, "validation", "amount.amount", "value"),
        (422, "invalid-coupon", "basis_points", "value"),
        (422, "invalid-coupon", "valid_until", "valid_until"),
        (409, "coupon-exists", "", "code"),
    ],
)
def test_what_the_api_refuses_of_a_coupon_is_told_at_its_field(
    api: ShopApi, desk: Ask, status: int, slug: str, at: str, field: str
) -> None:
    api.answers["GET /api/promotions/coupons"] = (200, {"items": [], "next_cursor": None})
    errors = [{"field": at, "message": "must be another"}] if at else []
    api.refuse("POST /api/promotions/coupons", status, slug, "There is one.", errors=errors)
    form = {"description": "Five off", "kind": "amount", "value": "5", "code": "TEN", "key": KEY}
    page = desk("POST", "/console/coupons", form, as_user=True)
    assert (page.status, f'id="{field}-error"' in page.text, f'<a href="#{field}">' in page.text) == (
        status,
        True,
        True,
    )
    assert 'value="Five off"' in page.text


@pytest.mark.parametrize(
    ("address", "form", "field"),
    [
        ("/console/circuits/peer-carts", {"reason": "the carrier is down"}, "action"),
        ("/console/catalogue/p1/pictures", {"key": "key-of-the-page"}, "alt"),
    ],
)
def test_a_problem_leads_to_its_field(desk: Ask, address: str, form: dict[str, str], field: str) -> None:
    page = desk("POST", address, form, as_user=True)
    assert (page.status, f'<a href="#{field}">' in page.text) == (422, True)


@pytest.mark.parametrize("address", ["/console/catalogue/p1/stock", "/console/stock/p1/adjust"])
def test_a_count_that_is_none_is_told_at_its_field(api: ShopApi, desk: Ask, address: str) -> None:
    stocked(api)
    page = desk("POST", address, {"delta": "", "reason": "counted again", "key": KEY}, as_user=True)
    assert (page.status, 'aria-describedby="delta-error"' in page.text) == (422, True)


def entry(number: int, *, status: int | None = None, target: str = "order_id=o-1") -> dict[str, Any]:
    return {
        "entry_id": f"entry-{number}",
        "at": "2026-11-28T03:23:45.123Z",
        "actor": "operator-1",
        "service": "orders",
        "action": "POST /api/orders/{order_id}/cancellation",
        "target": target,
        "request_id": f"request-{number}",
        "status": status,
    }


def test_the_audit_shows_each_action_once_with_its_answer_and_leads_to_what_it_was_done_to(
    api: ShopApi, desk: Ask
) -> None:
    entries = [entry(2), entry(1, status=202, target="order_id=o-1 return_id=r-1"), entry(1, target="order_id=o-1")]
    api.answers["GET /api/ops/audit"] = (200, {"items": entries, "next_cursor": "more"})

    shown = desk("GET", "/console/audit?target=o-1&from=2026-11-01", as_user=True)

    assert [one[2] for one in api.of("GET /api/ops/audit")] == ["/api/ops/audit?target=o-1&from=2026-11-01&limit=100"]
    rows = re.findall(r"<tr><td.*?</tr>", shown.text)
    assert [">202<" in row for row in rows] == [False, True]
    assert '<a href="/console/orders/o-1">order <code>o-1</code></a> return_id=r-1' in html.unescape(rows[1])
    following = "/console/audit?target=o-1&from=2026-11-01&shown=entry-1&cursor=more"
    assert following in html.unescape(shown.text)


def test_an_action_whose_answer_ends_a_page_of_the_audit_does_not_begin_the_next(api: ShopApi, desk: Ask) -> None:
    """Without its answer it would look like one that was never answered."""
    api.answers["GET /api/ops/audit"] = (200, {"items": [entry(2), entry(1, status=202)], "next_cursor": "more"})
    first = html.unescape(desk("GET", "/console/audit", as_user=True).text)
    [following] = re.findall(r'href="(/console/audit\?shown=[^"]*)"', first)

    api.answers["GET /api/ops/audit"] = (200, {"items": [entry(1), entry(0)], "next_cursor": None})
    second = desk("GET", following, as_user=True).text
    assert ("request-0" in second, "request-1" in second) == (True, False)


def test_an_operator_is_found_in_the_audit_by_address(api: ShopApi, desk: Ask) -> None:
    api.answers["GET /api/users"] = (200, {"items": [{"user_id": "operator-1"}]})
    api.answers["GET /api/ops/audit"] = (200, {"items": [], "next_cursor": None})

    shown = desk("GET", "/console/audit?actor=boss%40example.com", as_user=True)

    assert "actor=operator-1&" in api.of("GET /api/ops/audit")[0][2]
    assert "No entry is like that." in shown.text
    assert 'value="boss@example.com"' in html.unescape(shown.text)


@pytest.mark.parametrize(
    ("refused", "said"),
    [("", "There is no account with the address nobody@example.com."), ("GET /api/users", "Not an address.")],
)
def test_an_address_that_no_operator_has_is_said_and_lists_nothing(
    api: ShopApi, desk: Ask, refused: str, said: str
) -> None:
    api.answers["GET /api/users"] = (200, {"items": []})
    if refused:
        api.refuse(refused, 422, "invalid-request", said)

    shown = desk("GET", "/console/audit?actor=nobody%40example.com", as_user=True)

    assert said in html.unescape(shown.text)
    assert api.of("GET /api/ops/audit") == []


def test_a_page_of_the_audit_without_a_match_leads_to_older_ones(api: ShopApi, desk: Ask) -> None:
    api.answers["GET /api/ops/audit"] = (200, {"items": [], "next_cursor": "more"})
    shown = html.unescape(desk("GET", "/console/audit?target=o-1", as_user=True).text)
    assert "Older ones are on the next page" in shown
    assert "cursor=more" in shown


def pictured(api: ShopApi, *alts: str | None) -> str:
    """A product with these pictures, i1 and so on. Returns the address of the first one's form."""
    ready: dict[str, Any] = {"state": "ready", "reason": None, "variants": [], "upload": None}
    items = [ready | {"id": f"i{number}", "alt": alt} for number, alt in enumerate(alts, 1)]
    api.answers["GET /api/products/images/p1"] = (200, {"items": items})
    return "/console/catalogue/p1/pictures/i1"


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ({"alt": "A pot", "place": "2"}, {"place": 1}),
        ({"alt": "A red pot", "place": "1"}, {"alt": "A red pot"}),
        ({"decorative": "yes", "place": "2"}, {"alt": "", "place": 1}),
        ({"alt": "A pot", "place": "1"}, None),
    ],
)
def test_of_a_picture_only_what_was_changed_is_sent(
    api: ShopApi, desk: Ask, typed: dict[str, str], sent: dict[str, Any] | None
) -> None:
    """Another operator may have changed the rest."""
    form = pictured(api, "A pot", None)
    page = desk("GET", "/console/catalogue/p1/pictures", as_user=True).text
    assert page.count('name="was_alt" value="A pot"') == page.count('name="was_place" value="2"') == 1
    shown = {"was_alt": "A pot", "was_place": "1"}
    assert desk("POST", form, shown | typed, as_user=True).location == "/console/catalogue/p1/pictures"
    assert [body for _, _, _, body, _ in api.of("PATCH /api/products/images/p1/i1")] == ([] if sent is None else [sent])


def test_words_of_a_picture_that_another_operator_has_changed_are_shown_beside_what_was_typed(
    api: ShopApi, desk: Ask
) -> None:
    form = pictured(api, "From Bea")
    typed = {"was_alt": "A pot", "was_place": "1", "place": "1"}
    page = desk("POST", form, typed | {"alt": "From Ann"}, as_user=True)
    assert (page.status, "Another operator has changed it meanwhile." in page.text) == (422, True)
    assert "It says now: <ins>From Bea</ins>" in page.text
    assert 'value="From Ann"' in page.text
    assert api.of("PATCH /api/products/images/p1/i1") == []

    again = desk("POST", form, typed | {"alt": "From Ann", "was_alt": "From Bea"}, as_user=True)
    assert again.location == "/console/catalogue/p1/pictures"
    twice = desk("POST", form, typed | {"alt": "From Bea"}, as_user=True)
    assert twice.location == "/console/catalogue/p1/pictures", "the same words, sent twice, are no conflict"


def test_what_was_typed_about_a_picture_stays_where_it_was_not_taken(api: ShopApi, desk: Ask) -> None:
    form = pictured(api, "A pot", "")
    api.refuse("PATCH /api/products/images/p1/i1", 429, "too-many-requests")
    shown = {"was_alt": "A pot", "was_place": "1"}
    page = desk("POST", form, shown | {"alt": "A pot", "decorative": "yes", "place": "2"}, as_user=True).text
    ticked = 'name="decorative" value="yes" checked'
    assert page.count(ticked) == 2, "of this picture, as it was typed, and of the one that only decorates"
    assert '<input id="place-i1" name="place" type="number" min="1" max="8" value="2"' in page

    api.refuse("POST /api/products/images/p1", 409, "too-many-images")
    new = desk("POST", "/console/catalogue/p1/pictures", {"decorative": "yes", "key": KEY}, as_user=True).text
    assert new.count(ticked) == 2, "of the new one, too"


def test_a_form_of_a_picture_of_before_sends_all_of_it(api: ShopApi, desk: Ask) -> None:
    desk("POST", pictured(api, "A pot"), {"alt": "A pot", "place": "1"}, as_user=True)
    [(_, _, _, body, _)] = api.of("PATCH /api/products/images/p1/i1")
    assert body == {"alt": "A pot", "place": 0}


def test_a_picture_whose_file_has_arrived_asks_for_no_other_file(api: ShopApi, desk: Ask) -> None:
    upload = {"url": "https://bucket.example/", "fields": {"policy": "p"}, "max_bytes": 10, "expires_at": "2099-01-01"}
    awaited: dict[str, Any] = {
        "id": "i1",
        "state": "awaited",
        "alt": "A pot",
        "reason": None,
        "variants": [],
        "upload": upload,
    }
    refused = awaited | {"id": "i2", "state": "refused", "reason": "The file is damaged.", "upload": None}
    api.answers["GET /api/products/images/p1"] = (200, {"items": [awaited, refused]})
    here = "/console/catalogue/p1/pictures"

    page = desk("GET", f"{here}?bucket=b&key=uploads%2Fp1%2Fi1", as_user=True).text
    assert "It is shown here in a moment: look again." in page
    assert 'type="file"' not in page
    assert 'data-most="10"' in desk("GET", here, as_user=True).text
    page = desk("GET", f"{here}?bucket=b&key=uploads%2Fp1%2Fi2", as_user=True).text
    assert ("look again." in page, "The file is damaged." in page, 'type="file"' in page) == (False, True, True)


def test_a_stream_without_an_event_of_that_kind_says_that_it_shows_the_newest_alone(api: ShopApi, desk: Ask) -> None:
    """Ops looks at the newest events of all kinds, and chooses of them."""
    _, found = answer_of_the_contract("GET", "/api/ops/events")
    assert "None of the newest" not in desk("GET", "/console/stream?type=order.created", as_user=True).text
    api.answers["GET /api/ops/events"] = (200, found | {"items": []})
    text = desk("GET", "/console/stream/rows?type=payment.disputed", as_user=True).text
    assert "None of the newest events is payment.disputed." in text
    assert "No event has come yet." in desk("GET", "/console/stream", as_user=True).text


def test_without_script_the_stream_has_a_link_to_look_again_at_the_same_events(desk: Ask) -> None:
    text = html.unescape(desk("GET", "/console/stream?type=order.created", as_user=True).text)

    assert '<a class="without-script" href="/console/stream?type=order.created">Look again</a>' in text
    assert '<span class="needs-script">This page looks again every three seconds.</span>' in text


@pytest.mark.parametrize(
    ("address", "route", "none"),
    [
        ("/console/orders?state=parked", "/api/ops/orders", "No order is like that."),
        ("/console/catalogue?q=mug", "/api/products", "No product is like that."),
        ("/console/imports?a=b", "/api/products/imports", "None."),
        ("/console/coupons?a=b", "/api/promotions/coupons", "There is no coupon yet."),
        ("/console/documents?day=2026-11-28", "/api/ops/documents", "No document is like that."),
        ("/console/mails?a=b", "/api/notifications/stops", "Messages go to all addresses."),
        ("/console/parcels?a=b", "/api/shipments", "Parcels wait here"),
        ("/console/returns?state=approved", "/api/ops/orders/returns", "none</span>"),
        ("/console/sagas?status=failed", "/api/ops/sagas", "None."),
        ("/console/stock?low=true", "/api/inventory", "nothing is low"),
    ],
)
def test_a_page_of_a_list_without_a_match_leads_to_the_next(
    api: ShopApi, desk: Ask, address: str, route: str, none: str
) -> None:
    """The API reads so many entries for a page: none of them may be like that, and yet some that come after them."""
    found = answer_of_the_contract("GET", route)[1] | {"items": [], "next_cursor": "more"}
    api.answers[f"GET {route}"] = (200, found)
    page = html.unescape(desk("GET", address, as_user=True).text)
    assert ("the next page goes on" in page, "cursor=more" in page, none in page) == (True, True, False)

    api.answers[f"GET {route}"] = (200, found | {"next_cursor": None})
    last = html.unescape(desk("GET", f"{address}&cursor=more", as_user=True).text)
    assert ("There are no more." in last, 'rel="next"' in last, none in last) == (True, False, False)
    assert none in html.unescape(desk("GET", address, as_user=True).text)
