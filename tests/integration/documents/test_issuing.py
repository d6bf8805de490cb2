"""Invoices and credit notes are issued by events: once each, without a gap, whatever comes again or dies."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from documents import domain, usecases
from documents.domain import Paid
from documents.orders import Orders
from documents.store import DocumentStore
from mercato.errors import TransientError
from mercato.money import Money
from mercato.store.dynamo import Table
from tests.integration.documents.conftest import ADDRESS, GOODS, TOTAL, Desk, pounds

INVOICE = domain.invoice_id_of("pay-order-1")


def test_a_payment_gets_an_invoice_of_what_the_order_froze(desk: Desk) -> None:
    desk.ordered()
    assert desk.pay() == []
    invoice = desk.store.get(INVOICE)
    assert invoice
    assert (invoice.number, invoice.series, invoice.position) == ("INV-2026-000001", "INV-2026", 1)
    assert (invoice.order_number, invoice.customer_id, invoice.delivery) == (
        "K7QF2-M9X40",
        "cust-1",
        "Standard delivery",
    )
    assert (invoice.total.amount, invoice.tax.amount) == (TOTAL, 466)
    assert [(line.kind.value, line.quantity, line.amount.amount, line.tax.amount) for line in invoice.lines] == [
        ("goods", 2, 2500, 417),
        ("discount", 2, -100, -17),
        ("goods", 1, 1000, 0),
        ("shipping", 1, 395, 66),
    ]
    assert [line.unit_price and line.unit_price.amount for line in invoice.lines] == [1250, None, 1250, None]
    assert [(part.rate, part.amount.amount, part.tax.amount) for part in invoice.taxes] == [
        ("0.2000", 2795, 466),
        ("0.0000", 1000, 0),
    ]
    assert invoice.buyer
    assert invoice.buyer.model_dump(include=set(ADDRESS)) == ADDRESS
    assert desk.peer.asked == ["order-1"]


def test_the_world_hears_of_it(desk: Desk) -> None:
    desk.ordered()
    desk.pay()
    [record] = desk.events(INVOICE)
    assert '"type":"document.issued"' in record["event"]
    assert '"number":"INV-2026-000001"' in record["event"]


def test_an_event_that_comes_again_issues_nothing_and_asks_nobody(desk: Desk) -> None:
    desk.ordered()
    for _ in range(3):
        assert desk.pay() == []
    assert desk.numbers("INV-2026") == [1]
    assert len(desk.peer.asked) == 1
    for _ in range(3):
        assert desk.refund(500) == []
    assert desk.numbers("CRN-2026") == [1]


def test_numbers_and_times_follow_each_other(desk: Desk) -> None:
    for number in range(1, 8):
        desk.ordered(f"order-{number}")
        desk.pay(f"order-{number}")
    listed = list(desk.store.all_of("INV-2026"))
    assert [one.position for one in listed] == [1, 2, 3, 4, 5, 6, 7]
    assert [one.order_id for one in listed] == [f"order-{number}" for number in range(1, 8)]


def test_a_clock_that_is_behind_does_not_date_a_number_before_the_one_before(desk: Desk, noon: datetime) -> None:
    desk.ordered("order-1")
    desk.ordered("order-2")
    paid = [Paid(f"pay-{n}", f"order-{n}", Money(amount=TOTAL, currency="GBP")) for n in (1, 2)]
    orders = Orders(desk.peer)  # type: ignore[arg-type]
    first = usecases.issue_invoice(paid[0], orders, desk.store, noon)
    second = usecases.issue_invoice(paid[1], orders, desk.store, noon - timedelta(minutes=5))
    assert (first.position, second.position) == (1, 2)
    assert first.issued_at == second.issued_at == noon


def test_each_year_begins_with_one(desk: Desk, noon: datetime) -> None:
    orders = Orders(desk.peer)  # type: ignore[arg-type]
    found = []
    for number, year in enumerate((2026, 2026, 2027)):
        desk.ordered(f"order-{number}")
        paid = Paid(f"pay-{number}", f"order-{number}", Money(amount=TOTAL, currency="GBP"))
        found.append(usecases.issue_invoice(paid, orders, desk.store, noon.replace(year=year)).number)
    assert found == ["INV-2026-000001", "INV-2026-000002", "INV-2027-000001"]


def test_orders_that_do_not_answer_are_asked_again_and_no_number_is_lost(desk: Desk) -> None:
    desk.ordered()
    desk.peer.is_down = True
    assert desk.pay() != []
    assert desk.numbers("INV-2026") == []
    desk.peer.is_down = False
    assert desk.pay() == []
    assert desk.numbers("INV-2026") == [1]


@pytest.mark.parametrize("amount", [TOTAL - 1, TOTAL + 1])
def test_a_payment_of_another_amount_is_a_dead_letter_without_a_number(desk: Desk, amount: int) -> None:
    desk.ordered()
    assert desk.pay(amount=amount) == []
    assert desk.dead_letters() == ["amounts-differ"]
    assert desk.numbers("INV-2026") == []


def test_an_order_whose_address_is_erased_is_invoiced_without_it(desk: Desk) -> None:
    desk.ordered(shipping_address=None)
    assert desk.pay() == []
    invoice = desk.store.get(INVOICE)
    assert invoice
    assert (invoice.buyer, invoice.total.amount) == (None, TOTAL)


def test_a_guests_order_that_an_account_has_claimed_is_invoiced_to_the_account(desk: Desk) -> None:
    desk.ordered(customer_id="cust-1")
    assert desk.pay(customer="guest:1") == []
    invoice = desk.store.get(INVOICE)
    assert invoice
    assert invoice.customer_id == "cust-1"


def test_an_order_without_a_quote_is_invoiced_by_its_lines(desk: Desk) -> None:
    plain = GOODS | {"tax": pounds(0), "rate": "0.0000", "tax_class": "", "jurisdiction": ""}
    desk.ordered(charges=[plain], total=pounds(2500), delivery=None, number=None)
    assert desk.pay(amount=2500) == []
    invoice = desk.store.get(INVOICE)
    assert invoice
    assert (invoice.total.amount, invoice.tax.amount, invoice.delivery, invoice.order_number) == (2500, 0, None, None)


def test_a_return_is_credited_by_its_frozen_parts(desk: Desk) -> None:
    returned = GOODS | {"quantity": 1, "amount": pounds(1200), "tax": pounds(200)}
    desk.ordered(returns=[{"refund_id": "ref-1", "charges": [returned]}])
    desk.pay()
    assert desk.refund(1200) == []
    note = desk.store.get(domain.credit_note_id_of("pay-order-1", "ref-1"))
    assert note
    assert (note.number, note.invoice_number, note.invoice_id) == ("CRN-2026-000001", "INV-2026-000001", INVOICE)
    assert [
        (line.description, line.sku, line.quantity, line.amount.amount, line.tax.amount) for line in note.lines
    ] == [("A mug", "MUG", 1, 1200, 200)]
    assert (note.total.amount, note.tax.amount, note.reason) == (1200, 200, "damaged")


@pytest.mark.parametrize(
    ("reason", "stated"),
    [
        ("CancelledByCustomer", "The order was cancelled by the customer."),
        ("CaptureRefused", "The order was cancelled."),
        ("States.Timeout", "The order was cancelled."),
        ("cancelled", "The order was cancelled."),
        ("You returned goods.", "You returned goods."),
        ("Chipped", "Chipped"),
    ],
)
def test_a_credit_note_states_its_reason_in_words(desk: Desk, reason: str, stated: str) -> None:
    desk.ordered()
    desk.pay()
    assert desk.refund(TOTAL, reason=reason) == []
    note = desk.store.get(domain.credit_note_id_of("pay-order-1", "ref-1"))
    assert note
    assert note.reason == stated


def test_a_refund_in_full_is_the_invoice_itself(desk: Desk) -> None:
    desk.ordered()
    desk.pay()
    desk.refund(TOTAL)
    invoice, note = desk.store.get(INVOICE), desk.store.get(domain.credit_note_id_of("pay-order-1", "ref-1"))
    assert invoice
    assert note
    assert (note.lines, note.taxes, note.total, note.tax) == (invoice.lines, invoice.taxes, invoice.total, invoice.tax)


def test_refunds_of_any_amounts_add_up_to_the_invoice_and_its_tax(desk: Desk) -> None:
    desk.ordered()
    desk.pay()
    for number, amount in enumerate((1, 777, 1000, 3, TOTAL - 1781)):
        assert desk.refund(amount, f"ref-{number}") == []
    notes = [one for one in desk.documents() if one.series == "CRN-2026"]
    assert [one.position for one in notes] == [1, 2, 3, 4, 5]
    assert (sum(one.total.amount for one in notes), sum(one.tax.amount for one in notes)) == (TOTAL, 466)
    assert desk.refund(1, "ref-too-much") == []
    assert desk.dead_letters() == ["credit-too-large"]
    assert desk.numbers("CRN-2026") == [1, 2, 3, 4, 5]


def test_a_refund_of_nothing_has_no_credit_note(desk: Desk) -> None:
    desk.ordered()
    assert [desk.pay(), desk.refund(0)] == [[], []]
    assert (desk.numbers("CRN-2026"), desk.dead_letters()) == ([], [])


def test_a_refund_that_comes_before_its_payment_issues_the_invoice_first(desk: Desk) -> None:
    desk.ordered()
    assert desk.refund(500) == []
    assert [(one.kind.value, one.total.amount) for one in desk.documents()] == [
        ("invoice", TOTAL),
        ("credit_note", 500),
    ]
    assert desk.pay() == []
    assert desk.numbers("INV-2026") == [1]


@pytest.mark.parametrize("captured", [TOTAL, None], ids=["all", "unknown"])
def test_money_that_was_captured_only_to_be_refunded_is_invoiced_and_credited(desk: Desk, captured: int | None) -> None:
    desk.ordered()
    assert desk.refund(TOTAL, captured=captured) == []
    assert [(one.kind.value, one.total.amount) for one in desk.documents()] == [
        ("invoice", TOTAL),
        ("credit_note", TOTAL),
    ]


def test_a_part_of_the_total_that_was_captured_and_refunded_has_no_documents(desk: Desk) -> None:
    """It paid no order. An invoice of the total would claim money that never came."""
    desk.ordered()
    assert [desk.refund(400, captured=400), desk.refund(400, captured=400)] == [[], []]
    assert (desk.documents(), desk.dead_letters()) == ([], [])


def test_one_event_delivered_many_times_at_once_is_one_document(desk: Desk) -> None:
    desk.ordered()
    start = threading.Barrier(6)

    def deliver(_: int) -> Any:
        start.wait()
        return desk.pay()

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(deliver, range(6)))
    assert answers == [[]] * 6
    assert desk.numbers("INV-2026") == [1]
    assert len(desk.documents()) == 1


class Busy(Table):
    """A table in which another document takes the number first, so many times."""

    def __init__(self, desk: Desk, times: int) -> None:
        super().__init__(desk.table.name, sleep=lambda _: None)
        self.times, self.desk = times, desk

    def transact(self, writes: Any, **how: Any) -> None:
        if self.times:
            self.times -= 1
            order_id = f"other-{self.times}"
            self.desk.ordered(order_id)
            assert self.desk.pay(order_id) == []
        super().transact(writes, **how)


def issue_on(table: Table, desk: Desk) -> domain.Document:
    paid = Paid("pay-order-1", "order-1", Money(amount=TOTAL, currency="GBP"))
    store = DocumentStore(table, sleep=lambda _: None)
    return usecases.issue_invoice(paid, Orders(desk.peer), store, desk.now)  # type: ignore[arg-type]


def test_a_taken_number_is_tried_again_with_the_next(desk: Desk) -> None:
    desk.ordered()
    assert issue_on(Busy(desk, 3), desk).position == 4
    assert desk.numbers("INV-2026") == [1, 2, 3, 4]


def test_a_document_that_gets_no_number_in_its_time_goes_back_to_the_queue(desk: Desk) -> None:
    desk.ordered()
    with pytest.raises(TransientError, match="has got no number of INV-2026"):
        issue_on(Busy(desk, 400), desk)
    taken = desk.numbers("INV-2026")
    assert taken == list(range(1, len(taken) + 1))
    assert desk.store.get(INVOICE) is None
    assert issue_on(desk.table, desk).position == len(taken) + 1


def test_two_refunds_of_one_invoice_at_once_are_both_credited(desk: Desk) -> None:
    desk.ordered()
    desk.pay()
    start = threading.Barrier(4)

    def refund(number: int) -> Any:
        start.wait()
        return desk.refund(900, f"ref-{number}")

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(refund, range(4)))
    for number, answer in enumerate(answers):
        if answer:  # the queue delivers it again
            assert desk.refund(900, f"ref-{number}") == []
    assert desk.numbers("CRN-2026") == [1, 2, 3, 4]
    invoice = desk.store.get(INVOICE)
    assert invoice
    credited = desk.store.credited(invoice)
    assert (credited.version, sum(part.amount for part in credited.parts)) == (4, 3600)


@pytest.mark.parametrize("before", [0, 1])
def test_a_refund_that_is_credited_in_the_middle_of_another_one_counts(
    desk: Desk, before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the invoice was credited before: what is credited of it is replaced then."""
    desk.ordered()
    desk.pay()
    for number in range(before):
        assert desk.refund(TOTAL - 1000, f"before-{number}") == []
    issue = DocumentStore.issue

    def late(store: DocumentStore, *given: Any) -> domain.Document:
        monkeypatch.setattr(DocumentStore, "issue", issue)
        assert desk.refund(600, "ref-1") == []
        return store.issue(*given)

    monkeypatch.setattr(DocumentStore, "issue", late)
    assert desk.refund(400, "ref-2") == []
    invoice = desk.store.get(INVOICE)
    assert invoice
    credited = desk.store.credited(invoice)
    taken_back = 1000 + before * (TOTAL - 1000)
    assert (credited.version, sum(part.amount for part in credited.parts)) == (before + 2, taken_back)
    notes = [one for one in desk.documents() if one.series == "CRN-2026"]
    assert sum(one.tax.amount for one in notes) == sum(part.tax for part in credited.parts)
    assert desk.refund(TOTAL - taken_back + 1, "ref-too-much") == []
    assert desk.dead_letters() == ["credit-too-large"]
