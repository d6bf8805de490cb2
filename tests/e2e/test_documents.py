"""An order's documents over HTTP: the invoice of its payment, the credit note of its refund, and the lists of staff."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from infra.demo.stage import Stage
from infra.operator.client import Refused, Session, Shop, poll
from infra.operator.target import State


@pytest.fixture(scope="module")
def stage(shop: Shop, admin: Session, shop_state: State) -> Stage:
    return Stage(shop, admin, shop_state.endpoint, 120)


def try_pdf(session: Session, document_id: str) -> Any:
    """The address of the PDF; None while it is being made."""
    try:
        return session.get(f"/documents/{document_id}/pdf")
    except Refused as refused:
        if refused.slug != "pdf-not-ready":
            raise
        return None


def test_an_order_is_invoiced_once_and_its_refund_credited(stage: Stage, admin: Session) -> None:
    mug, nora = stage.new_product("Invoiced mug, 湯呑み, प्याला", 1250, stock=8), stage.new_customer("Nora")
    order = stage.order(nora, mug, 2, token="tok_ok")
    order_id = order["order_id"]

    def issued(count: int) -> list[dict[str, Any]]:
        return poll(
            lambda: nora.get("/documents", order_id=order_id)["items"],
            lambda found: len(found) == count,
            what=f"{count} documents",
            within=90,
        )

    [listed] = issued(1)
    invoice = nora.get(f"/documents/{listed['document_id']}")
    assert (invoice["kind"], invoice["order_number"], invoice["total"]) == ("invoice", order["number"], order["total"])
    assert sum(line["amount"]["amount"] for line in invoice["lines"]) == order["total"]["amount"] > 2500

    link = poll(
        lambda: try_pdf(nora, listed["document_id"]), lambda found: found is not None, what="the PDF", within=90
    )
    assert httpx.get(link["url"]).content.startswith(b"%PDF-")

    payment = admin.get("/payments", order_id=order_id)["items"][0]
    money = {"amount": 700, "currency": "GBP"}
    path = f"/payments/{payment['payment_id']}/refunds"
    admin.post(path, {"amount": money, "reason": "a chip in the glaze"}, key=stage.new_key())
    note = nora.get(f"/documents/{issued(2)[1]['document_id']}")
    assert (note["kind"], note["total"], note["invoice_number"]) == ("credit_note", money, invoice["number"])
    assert note["reason"] == "a chip in the glaze"

    of_staff = admin.get("/ops/documents", order_id=order_id)["items"]
    assert [one["number"] for one in of_staff] == [invoice["number"], note["number"]]
    series, position = invoice["number"].rsplit("-", 1)
    assert admin.get("/ops/documents", series=series, number=int(position))["items"][0]["number"] == invoice["number"]
    of_the_day = poll(
        lambda: admin.get("/ops/documents", day=invoice["issued_at"][:10])["items"],
        lambda found: invoice["number"] in [one["number"] for one in found],
        what="the invoice among those of its day",
        within=30,
    )
    assert {one["series"] for one in of_the_day} <= {series, note["number"].rsplit("-", 1)[0]}

    everything = admin.get("/ops/documents", series=series, limit=100)["items"]
    assert [int(one["number"].rsplit("-", 1)[1]) for one in everything] == list(range(len(everything), 0, -1))


def test_the_numbering_is_kept_in_versions_and_numbers_the_next_invoice(stage: Stage, admin: Session) -> None:
    known = admin.get("/documents/numbering")
    wanted = known["numbering"] | {"invoice_prefix": "RE", "counting": "continuous"}
    changed = admin.put("/documents/numbering", {"version": known["version"], "numbering": wanted})
    assert (changed["version"], changed["numbering"], changed["invoice_series"]) == (known["version"] + 1, wanted, "RE")
    try:
        with pytest.raises(Refused) as stale:
            admin.put("/documents/numbering", {"version": known["version"], "numbering": known["numbering"]})
        assert stale.value.slug == "numbering-changed"
        mug, ned = stage.new_product("Numbered mug", 1250, stock=8), stage.new_customer("Ned")
        order_id = stage.order(ned, mug, 1, token="tok_ok")["order_id"]
        [invoice] = poll(
            lambda: ned.get("/documents", order_id=order_id)["items"],
            lambda found: len(found) == 1,
            what="the invoice",
            within=90,
        )
        assert invoice["series"] == "RE"
        assert invoice["document_id"] in {
            one["document_id"] for one in admin.get("/ops/documents", series="RE")["items"]
        }
    finally:
        admin.put("/documents/numbering", {"version": changed["version"], "numbering": known["numbering"]})


def test_the_sellers_data_are_kept_in_versions(admin: Session) -> None:
    known = admin.get("/documents/seller")
    seller = known["seller"] | {"address": ["1 Quay", "Leith EH6 6QQ"], "tax_id": "GB 123 4567 89"}
    changed = admin.put("/documents/seller", {"version": known["version"], "seller": seller})
    assert changed == {"version": known["version"] + 1, "seller": seller}
    assert admin.put("/documents/seller", {"version": known["version"], "seller": seller}) == changed
    with pytest.raises(Refused) as stale:
        admin.put("/documents/seller", {"version": known["version"], "seller": seller | {"address": ["2 Quay"]}})
    assert stale.value.slug == "seller-changed"
