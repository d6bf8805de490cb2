"""How documents are numbered is a setting: a change takes effect for the next document, and no series gets a gap."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from documents import domain, usecases
from documents.domain import Counting, Numbering, NumberingChanged, Paid, PrefixTaken
from documents.orders import Orders
from documents.store import DocumentStore
from mercato.money import Money
from mercato.store.dynamo import Table
from tests.chaos.faults import Died
from tests.integration.documents.conftest import TOTAL, Desk
from tests.kit.overtaking import overtake

HERE = "/api/documents/numbering"
GERMAN = {"invoice_prefix": "RE", "credit_note_prefix": "GU", "counting": "continuous"}
FIRST = {"invoice_prefix": "INV", "credit_note_prefix": "CRN", "counting": "yearly"}


def change(desk: Desk, version: int, **changes: str) -> tuple[int, Any]:
    wanted = {"version": version, "numbering": GERMAN | changes}
    status, answer, _ = desk.call("PUT", HERE, wanted, role="admin", user="boss")
    return status, answer


def pay(desk: Desk, *numbers: int) -> list[str]:
    """Pays for these orders, and returns the numbers of their invoices."""
    for number in numbers:
        desk.ordered(f"order-{number}")
        assert desk.pay(f"order-{number}") == []
    return [desk.documents(f"order-{number}")[0].number for number in numbers]


def numbering(invoices: str, credit_notes: str, counting: Counting = Counting.CONTINUOUS) -> Numbering:
    return Numbering(invoice_prefix=invoices, credit_note_prefix=credit_notes, counting=counting)


def test_a_shop_that_sets_nothing_numbers_as_before(desk: Desk) -> None:
    status, answer, _ = desk.call("GET", HERE, role="admin", user="boss")
    assert (status, answer) == (
        200,
        {"version": 0, "numbering": FIRST, "invoice_series": "INV-2026", "credit_note_series": "CRN-2026"},
    )
    assert desk.call("GET", HERE)[0] == desk.call("PUT", HERE, {"version": 0, "numbering": GERMAN})[0] == 403


def test_a_change_that_is_sent_twice_at_once_is_one_change(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    first = overtake(monkeypatch, DocumentStore, "numbering", lambda: change(desk, 0))
    assert change(desk, 0) == first[0]
    assert (first[0][0], first[0][1]["version"]) == (200, 1)


def test_a_change_takes_effect_for_the_next_document(desk: Desk) -> None:
    assert pay(desk, 1, 2) == ["INV-2026-000001", "INV-2026-000002"]

    status, answer = change(desk, 0)

    assert (status, answer) == (
        200,
        {"version": 1, "numbering": GERMAN, "invoice_series": "RE", "credit_note_series": "GU"},
    )
    assert pay(desk, 3, 4) == ["RE-000001", "RE-000002"]
    assert desk.refund(500, order_id="order-1") == []
    assert [one.number for one in desk.documents("order-1")] == ["INV-2026-000001", "GU-000001"]
    assert desk.pay("order-1") == []  # redelivered: it keeps its number
    assert desk.numbers("RE") == desk.numbers("INV-2026") == [1, 2]


def test_a_series_that_was_used_before_goes_on_where_it_ended(desk: Desk) -> None:
    assert pay(desk, 1, 2)[-1] == "INV-2026-000002"
    assert change(desk, 0)[0] == 200
    assert pay(desk, 3) == ["RE-000001"]
    assert change(desk, 1, **FIRST)[0] == 200
    assert pay(desk, 4) == ["INV-2026-000003"]
    assert change(desk, 2, counting="yearly")[0] == 200
    assert pay(desk, 5) == ["RE-2026-000001"]
    assert change(desk, 3)[0] == 200
    assert pay(desk, 6) == ["RE-000002"]


def test_continuous_numbers_go_on_over_the_years(desk: Desk, noon: datetime) -> None:
    assert change(desk, 0)[0] == 200
    found = []
    for number, year in enumerate((2026, 2027, 2027)):
        desk.ordered(f"order-{number}")
        paid = Paid(f"pay-{number}", f"order-{number}", Money(amount=TOTAL, currency="GBP"))
        orders = Orders(desk.peer)  # type: ignore[arg-type]
        found.append(usecases.issue_invoice(paid, orders, desk.store, noon.replace(year=year)).number)
    assert found == ["RE-000001", "RE-000002", "RE-000003"]


def test_two_changes_of_one_version_are_one_change(desk: Desk) -> None:
    assert change(desk, 0) == change(desk, 0), "a retry finds what it wrote"
    status, refusal = change(desk, 0, invoice_prefix="R")
    assert (status, refusal["type"]) == (409, "urn:mercato:problem:numbering-changed")
    assert desk.call("GET", HERE, role="admin")[1]["numbering"] == GERMAN


def test_of_two_changes_at_once_one_is_refused(desk: Desk) -> None:
    first = desk.store.numbering()
    records = [
        domain.NumberingRecord(version=first.version + 1, numbering=numbering(prefix, "GU")) for prefix in ("RE", "R")
    ]
    desk.store.change_numbering(records[0])
    with pytest.raises(NumberingChanged):
        desk.store.change_numbering(records[1])
    assert desk.store.numbering() == records[0]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"credit_note_prefix": "RE"}, "numbering.credit_note_prefix"),
        ({"invoice_prefix": "CRN"}, "numbering.invoice_prefix"),
        ({"credit_note_prefix": "INV"}, "numbering.credit_note_prefix"),
        ({"invoice_prefix": "GU"}, "numbering.credit_note_prefix"),
    ],
)
def test_two_kinds_never_share_a_prefix_nor_one_of_the_default(desk: Desk, changes: dict[str, str], field: str) -> None:
    status, refusal = change(desk, 0, **changes)
    assert (status, refusal["type"]) == (422, "urn:mercato:problem:prefix-taken")
    assert [one["field"] for one in refusal["errors"]] == [field]
    assert desk.store.numbering().version == 0


def test_a_prefix_that_documents_of_the_other_kind_have_is_never_free_again(desk: Desk) -> None:
    assert change(desk, 0)[0] == 200
    assert pay(desk, 1) == ["RE-000001"]
    assert change(desk, 1, invoice_prefix="R", counting="yearly")[0] == 200
    status, refusal = change(desk, 2, invoice_prefix="R", credit_note_prefix="RE", counting="yearly")
    assert (status, refusal["type"]) == (422, "urn:mercato:problem:prefix-taken")
    assert refusal["errors"] == [
        {"field": "numbering.credit_note_prefix", "message": "belongs to invoices, now or before"}
    ]
    assert change(desk, 2)[0] == 200, "invoices may have it again"
    assert pay(desk, 2) == ["RE-000002"]


def test_prefixes_that_were_mixed_up_before_any_document_can_be_exchanged(desk: Desk) -> None:
    assert change(desk, 0, invoice_prefix="GU", credit_note_prefix="RE")[0] == 200
    assert change(desk, 1)[0] == 200
    assert pay(desk, 1) == ["RE-000001"]


@pytest.mark.parametrize("prefix", ["", "re", "2RE", "RE-", "R E", "ABCDEFGHIJK", "RÉ", "RE\n"])
def test_no_other_text_is_a_prefix(desk: Desk, prefix: str) -> None:
    status, refusal = change(desk, 0, invoice_prefix=prefix)
    assert (status, refusal["type"]) == (422, "urn:mercato:problem:invalid-request")
    assert [one["field"] for one in refusal["errors"]] == ["numbering.invoice_prefix"]


def test_staff_finds_documents_by_the_new_series(desk: Desk) -> None:
    pay(desk, 1)
    assert change(desk, 0)[0] == 200
    pay(desk, 2, 3)

    def found(**query: str) -> list[str]:
        status, answer, _ = desk.call("GET", "/api/ops/documents", role="admin", user="boss", query=query or None)
        assert status == 200
        return [one["number"] for one in answer["items"]]

    assert found() == found(series="RE") == ["RE-000002", "RE-000001"]
    assert found(series="RE", number="1") == ["RE-000001"]
    assert found(series="INV-2026") == ["INV-2026-000001"]
    assert found(series="RE-2026") == []


class Meanwhile(Table):
    """A table on which something else happens just before the first transaction."""

    def __init__(self, desk: Desk, act: Callable[[], object]) -> None:
        super().__init__(desk.table.name, sleep=lambda _: None)
        self.acts = [act]

    def transact(self, writes: Any, **how: Any) -> None:
        while self.acts:
            self.acts.pop()()
        super().transact(writes, **how)


def issue_on(table: Table, desk: Desk, order_id: str = "order-9") -> domain.Document:
    desk.ordered(order_id)
    paid = Paid(f"pay-{order_id}", order_id, Money(amount=TOTAL, currency="GBP"))
    store = DocumentStore(table, sleep=lambda _: None)
    return usecases.issue_invoice(paid, Orders(desk.peer), store, desk.now)  # type: ignore[arg-type]


@pytest.mark.parametrize("issued", [0, 1])
def test_a_document_that_has_read_the_numbering_before_its_change_gets_a_number_of_the_new_series(
    desk: Desk, issued: int
) -> None:
    pay(desk, *range(issued))
    assert issue_on(Meanwhile(desk, lambda: change(desk, 0)), desk).number == "RE-000001"
    assert (desk.numbers("INV-2026"), desk.numbers("RE")) == ([1] * issued, [1])


def test_a_credit_note_too_and_its_invoice_is_credited_once(desk: Desk) -> None:
    pay(desk, 1)
    store = DocumentStore(Meanwhile(desk, lambda: change(desk, 0)), sleep=lambda _: None)
    refunded = domain.Refunded("pay-order-1", "ref-1", "order-1", Money(amount=500, currency="GBP"), "damaged")
    note = usecases.issue_credit_note(refunded, Orders(desk.peer), store, desk.now)  # type: ignore[arg-type]
    assert note
    assert note.number == "GU-000001"
    invoice = desk.store.get(domain.invoice_id_of("pay-order-1"))
    assert invoice
    assert desk.store.credited(invoice).version == 1


def test_a_prefix_that_gets_its_first_document_during_the_change_stays_with_its_kind(desk: Desk) -> None:
    assert change(desk, 0)[0] == 200
    store = DocumentStore(Meanwhile(desk, lambda: pay(desk, 1)), sleep=lambda _: None)
    with pytest.raises(PrefixTaken):
        usecases.change_numbering(numbering("R", "RE"), 1, store)
    assert (desk.numbers("RE"), desk.store.numbering().version) == ([1], 1)


class Mortal(Table):
    """A table at which the process dies before, or after, one of its writes."""

    def __init__(self, desk: Desk, write: int, *, after: bool) -> None:
        super().__init__(desk.table.name, sleep=lambda _: None)
        self.left, self.after = write, after

    def _around(self, do: Callable[[], Any]) -> Any:
        self.left -= 1
        if self.left == -1 and not self.after:
            raise Died
        answer = do()
        if self.left == -1:
            raise Died
        return answer

    def write(self, write: Any, **how: Any) -> Any:
        return self._around(lambda: super(Mortal, self).write(write, **how))

    def transact(self, writes: Any, **how: Any) -> None:
        self._around(lambda: super(Mortal, self).transact(writes, **how))


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("write", range(7))
def test_a_crash_at_any_write_leaves_no_gap(desk: Desk, write: int, *, after: bool) -> None:
    """Three invoices and a credit note with two changes between them: six writes. Each step is repeated after a
    crash.
    """
    table = Mortal(desk, write, after=after)
    store, orders = DocumentStore(table, sleep=lambda _: None), Orders(desk.peer)  # type: ignore[arg-type]
    refunded = domain.Refunded("pay-order-9", "ref-1", "order-9", Money(amount=500, currency="GBP"), "damaged")
    steps: list[Callable[[], object]] = [
        lambda: issue_on(table, desk),
        lambda: usecases.change_numbering(numbering("RE", "GU"), 0, store),
        lambda: issue_on(table, desk, "order-8"),
        lambda: usecases.issue_credit_note(refunded, orders, store, desk.now),
        lambda: usecases.change_numbering(numbering("RE", "GU", Counting.YEARLY), 1, store),
        lambda: issue_on(table, desk, "order-7"),
    ]
    deaths = 0
    for step in steps:
        try:
            step()
        except Died:
            deaths += 1
            step()
    assert deaths == (write < len(steps)), "each step is one write"
    assert [one.number for one in desk.documents("order-9")] == ["INV-2026-000001", "GU-000001"]
    assert [desk.documents(order_id)[0].number for order_id in ("order-8", "order-7")] == [
        "RE-000001",
        "RE-2026-000001",
    ]
    assert all(desk.numbers(series) == [1] for series in ("INV-2026", "GU", "RE", "RE-2026"))
    assert desk.store.numbering().version == 2


def test_the_setting_changes_while_documents_are_issued_from_several_threads(desk: Desk) -> None:
    """Each document has the numbering of a version that was current while it was issued, and each series is 1…n."""
    kinds = [
        numbering("RE", "GU"),
        numbering("RE", "GU", Counting.YEARLY),
        numbering("R", "G"),
        domain.DEFAULT_NUMBERING,
    ]
    pay(desk, 99)  # pydantic builds each model at its first use, and two threads at once break it
    assert desk.refund(500, order_id="order-99") == []
    per_thread, threads = 6, 4
    orders = {f"order-{number}" for number in range(per_thread * threads)}
    for order_id in orders:
        desk.ordered(order_id)
    start, turns = threading.Barrier(threads), threading.Semaphore(0)
    spans: dict[str, tuple[int, int]] = {}

    def issue(thread: int) -> None:
        start.wait()
        for number in range(thread * per_thread, (thread + 1) * per_thread):
            order_id, before = f"order-{number}", desk.store.numbering().version
            turns.release()
            while desk.pay(order_id) or desk.refund(500, order_id=order_id):
                pass  # the queue delivers both again
            spans[order_id] = before, desk.store.numbering().version

    def change_at_each_order() -> None:
        for version in range(len(orders)):
            turns.acquire()
            usecases.change_numbering(kinds[version % len(kinds)], version, desk.store)

    with ThreadPoolExecutor(threads + 1) as pool:
        changes = pool.submit(change_at_each_order)
        list(pool.map(issue, range(threads)))
        changes.result()
    assert desk.store.numbering().version == len(orders)

    found: dict[str, list[int]] = defaultdict(list)
    for order_id, (first, last) in spans.items():
        current = [kinds[(version - 1) % len(kinds)] for version in range(first, last + 1)]
        for one in desk.documents(order_id):
            assert one.series in {domain.series_of(one.kind, desk.now, each) for each in current}
            found[one.series].append(one.position)
    assert sum(map(len, found.values())) == 2 * len(orders)
    assert len(found) > 2
    for one in desk.documents("order-99"):
        found[one.series].append(one.position)
    for series, positions in found.items():
        assert sorted(positions) == desk.numbers(series) == list(range(1, len(positions) + 1))
