"""Documents over HTTP: one's own, staff's lists, and the seller's data."""

from __future__ import annotations

from typing import Any

import pytest

from documents import domain
from documents.store import DocumentStore
from tests.integration.documents.conftest import TOTAL, Desk
from tests.kit.overtaking import overtake

INVOICE = domain.invoice_id_of("pay-order-1")
SELLER = {
    "name": "Mercato Ltd",
    "address": ["1 Quay", "Leith EH6 6QQ", "United Kingdom"],
    "tax_id": "GB 123 4567 89",
    "registration": "SC123456",
    "email": "shop@example.com",
    "note": "Thank you.\nReturns within 30 days.",
}


def staff(desk: Desk, **query: Any) -> Any:
    texts = {name: str(value) for name, value in query.items()}
    status, answer, _ = desk.call("GET", "/api/ops/documents", role="admin", user="boss", query=texts or None)
    assert status == 200, answer
    return answer


def issued(desk: Desk, count: int) -> None:
    for number in range(1, count + 1):
        desk.ordered(f"order-{number}")
        assert desk.pay(f"order-{number}") == []


def test_a_customer_lists_the_documents_of_an_order_and_opens_one(desk: Desk) -> None:
    issued(desk, 1)
    desk.refund(500)
    status, answer, _ = desk.call("GET", "/api/documents", query={"order_id": "order-1"})
    assert status == 200
    assert [(one["kind"], one["number"], one["total"]["amount"]) for one in answer["items"]] == [
        ("invoice", "INV-2026-000001", TOTAL),
        ("credit_note", "CRN-2026-000001", 500),
    ]
    assert "customer_id" not in answer["items"][0]
    status, invoice, _ = desk.call("GET", f"/api/documents/{INVOICE}")
    assert status == 200
    assert (invoice["number"], invoice["total"]["amount"], invoice["buyer"]["city"]) == (
        "INV-2026-000001",
        TOTAL,
        "London",
    )
    assert sum(line["amount"]["amount"] for line in invoice["lines"]) == TOTAL
    assert "payment_id" not in invoice


def test_anothers_documents_are_not_found(desk: Desk) -> None:
    issued(desk, 1)
    assert desk.call("GET", f"/api/documents/{INVOICE}", user="cust-2")[0] == 404
    assert desk.call("GET", "/api/documents/INV-2026-000001")[0] == 404, "a number opens nothing"
    assert desk.call("GET", "/api/documents", user="cust-2", query={"order_id": "order-1"})[1] == {"items": []}
    assert desk.call("GET", f"/api/documents/{INVOICE}", user="boss", role="admin")[0] == 200
    for path in ("/api/ops/documents", "/api/documents/seller"):
        assert desk.call("GET", path)[0] == 403


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_staff_reads_a_series_page_by_page_the_last_number_first(desk: Desk, limit: int) -> None:
    issued(desk, 5)
    found, cursor = [], ""
    while True:
        page = staff(desk, series="INV-2026", limit=limit, **({"cursor": cursor} if cursor else {}))
        found += [one["number"] for one in page["items"]]
        if not page["next_cursor"]:
            break
        cursor = page["next_cursor"]
    assert found == [f"INV-2026-{number:06d}" for number in (5, 4, 3, 2, 1)]


def test_staff_finds_documents_by_number_order_and_day(desk: Desk) -> None:
    issued(desk, 3)
    desk.refund(500, order_id="order-2")
    assert [one["number"] for one in staff(desk, series="INV-2026", number=2)["items"]] == [
        "INV-2026-000002",
        "INV-2026-000001",
    ]
    assert [one["number"] for one in staff(desk, order_id="order-2")["items"]] == ["INV-2026-000002", "CRN-2026-000001"]
    of_the_day = staff(desk, day="2026-11-22")["items"]
    assert [one["number"] for one in of_the_day] == [
        "CRN-2026-000001",
        "INV-2026-000003",
        "INV-2026-000002",
        "INV-2026-000001",
    ]
    assert of_the_day[0]["customer_id"] == "cust-1"
    assert staff(desk, day="2026-11-23")["items"] == []
    assert [one["number"] for one in staff(desk)["items"]] == [f"INV-2026-00000{number}" for number in (3, 2, 1)]


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"series": "INV-2026", "day": "2026-11-22"}, "several-filters"),
        ({"series": "2026"}, "invalid-request"),
        ({"number": "0", "series": "INV-2026"}, "invalid-request"),
        ({"day": "yesterday"}, "invalid-request"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(desk: Desk, query: dict[str, str], problem: str) -> None:
    status, answer, _ = desk.call("GET", "/api/ops/documents", role="admin", user="boss", query=query)
    assert (status, answer["type"]) == (422, f"urn:mercato:problem:{problem}")


def test_the_sellers_data_are_changed_by_version_and_frozen_in_each_document(desk: Desk) -> None:
    issued(desk, 1)
    assert desk.call("GET", "/api/documents/seller", role="admin")[1]["version"] == 0
    wanted = {"version": 0, "seller": SELLER}
    status, answer, _ = desk.call("PUT", "/api/documents/seller", wanted, role="admin")
    assert (status, answer) == (200, {"version": 1, "seller": SELLER})
    late = {"version": 0, "seller": SELLER | {"name": "Mine"}}
    status, refusal, _ = desk.call("PUT", "/api/documents/seller", late, role="admin")
    assert (status, refusal["type"]) == (409, "urn:mercato:problem:seller-changed")
    desk.ordered("order-2")
    desk.pay("order-2")
    assert desk.call("GET", f"/api/documents/{INVOICE}")[1]["seller"]["name"] == "Mercato"
    later = desk.call("GET", f"/api/documents/{domain.invoice_id_of('pay-order-2')}")[1]
    assert later["seller"] == SELLER
    desk.refund(500)
    note = desk.call("GET", f"/api/documents/{domain.credit_note_id_of('pay-order-1', 'ref-1')}")[1]
    assert note["seller"]["name"] == "Mercato", "a credit note is of the seller of its invoice"


def test_unknown_fields_of_the_seller_are_refused(desk: Desk) -> None:
    wanted = {"version": 0, "seller": SELLER | {"iban": "GB00"}}
    assert desk.call("PUT", "/api/documents/seller", wanted, role="admin")[0] == 422


def test_sellers_data_that_are_sent_twice_are_one_change(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def send() -> tuple[int, Any]:
        return desk.call("PUT", "/api/documents/seller", {"version": 0, "seller": SELLER}, role="admin")[:2]

    first = overtake(monkeypatch, DocumentStore, "seller", send)
    done = (200, {"version": 1, "seller": SELLER})
    assert (send(), first, send()) == (done, [done], done)


def test_the_seller_s_e_mail_is_one_that_can_get_mail_and_is_kept_in_its_one_form(desk: Desk) -> None:
    for wrong in ("shop", "shop@", "shop@flowers", "shöp@flowers.example", ""):
        wanted = {"version": 0, "seller": SELLER | {"email": wrong}}
        status, refusal, _ = desk.call("PUT", "/api/documents/seller", wanted, role="admin")
        assert (status, refusal["type"]) == (422, "urn:mercato:problem:invalid-email"), wrong
    assert desk.call("GET", "/api/documents/seller", role="admin")[1]["version"] == 0
    wanted = {"version": 0, "seller": SELLER | {"email": " Shop@MÜNCHEN.example"}}
    status, answer, _ = desk.call("PUT", "/api/documents/seller", wanted, role="admin")
    assert (status, answer["seller"]["email"]) == (200, "shop@xn--mnchen-3ya.example")


TOKEN = "t" * 43
LINK = f"/api/documents/guests/{TOKEN}"


def guests(desk: Desk) -> str:
    """The order of a guest, paid and opened by TOKEN. Returns the id of its invoice."""
    desk.ordered(customer_id="guest:1")
    desk.peer.links[TOKEN] = "order-1"
    assert desk.pay(customer="guest:1") == []
    return INVOICE


def test_a_guest_reads_the_documents_of_an_order_by_its_link(desk: Desk) -> None:
    invoice = guests(desk)
    assert desk.refund(500) == []
    status, answer, _ = desk.call("GET", LINK, user="")
    assert status == 200
    assert [one["number"] for one in answer["items"]] == ["INV-2026-000001", "CRN-2026-000001"]
    assert "customer_id" not in answer["items"][0]
    status, shown, _ = desk.call("GET", f"{LINK}/{invoice}", user="")
    assert (status, shown["number"], shown["buyer"]["city"]) == (200, "INV-2026-000001", "London")
    assert problem(desk.call("GET", f"{LINK}/{invoice}/pdf", user="")) == (409, "pdf-not-ready")
    assert desk.draw(invoice) == []
    status, file, _ = desk.call("GET", f"{LINK}/{invoice}/pdf", user="")
    assert (status, f"documents/{invoice}.pdf" in file["url"]) == (200, True)


def test_no_other_link_and_no_other_order_s_document_is_opened(desk: Desk) -> None:
    invoice = guests(desk)
    desk.ordered("order-2", customer_id="guest:2")
    desk.peer.links["u" * 43] = "order-2"
    for path in ("", f"/{invoice}", f"/{invoice}/pdf"):
        assert problem(desk.call("GET", f"/api/documents/guests/{'v' * 43}{path}", user="")) == (404, "link-not-found")
        if path:
            answer = desk.call("GET", f"/api/documents/guests/{'u' * 43}{path}", user="")
            assert problem(answer) == (404, "document-not-found")
    assert desk.call("GET", f"/api/documents/guests/{'u' * 43}", user="")[1] == {"items": []}


def test_without_orders_a_link_opens_nothing(desk: Desk) -> None:
    guests(desk)
    desk.peer.is_down = True
    assert desk.call("GET", LINK, user="")[0] == 503


def test_who_claims_the_order_has_its_documents_also_those_that_come_later(desk: Desk) -> None:
    invoice = guests(desk)
    assert desk.call("GET", f"/api/documents/{invoice}", user="ada")[0] == 404
    claim = {"payment_id": "", "order_id": "order-1", "customer_id": "ada"}
    for _ in range(2):
        assert desk.hear("order.claimed", claim) == []
    assert desk.refund(500) == []  # issued by what orders said before the claim
    query = {"order_id": "order-1"}
    assert len(desk.call("GET", "/api/documents", user="ada", query=query)[1]["items"]) == 2
    assert [one["customer_id"] for one in staff(desk, order_id="order-1")["items"]] == ["ada", "ada"]
    assert desk.call("GET", f"/api/documents/{invoice}", user="ada")[0] == 200
    assert desk.call("GET", f"/api/documents/{domain.credit_note_id_of('pay-order-1', 'ref-1')}", user="ada")[0] == 200
    for other in ("eve", "guest:1"):
        assert desk.call("GET", f"/api/documents/{invoice}", user=other)[0] == 404
        assert desk.call("GET", "/api/documents", user=other, query=query)[1]["items"] == []


def test_a_claim_that_comes_before_the_payment_counts_too(desk: Desk) -> None:
    assert desk.hear("order.claimed", {"payment_id": "", "order_id": "order-1", "customer_id": "ada"}) == []
    invoice = guests(desk)
    assert desk.call("GET", f"/api/documents/{invoice}", user="ada")[0] == 200


def problem(answer: tuple[int, Any, dict[str, str]]) -> tuple[int, str]:
    return answer[0], str(answer[1]["type"]).rpartition(":")[2]
