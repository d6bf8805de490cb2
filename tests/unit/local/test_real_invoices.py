"""The counts of the real file: 4,792 rows, none of which may be dropped silently."""

from __future__ import annotations

from collections import Counter

import pytest

from infra.replay.plan import make_plan
from infra.replay.rows import Reading, read_file
from tests.kit.real_orders import ABSENT, FILE


@pytest.fixture(scope="module")
def reading() -> Reading:
    if not FILE.exists():
        pytest.skip(ABSENT)
    return read_file(FILE)


def test_every_row_is_taken_or_refused(reading: Reading) -> None:
    taken = sum(len(invoice.lines) for invoice in reading.invoices)
    assert (reading.rows, taken, len(reading.refused)) == (4792, 4112, 680)


def test_the_reasons_are_counted(reading: Reading) -> None:
    assert Counter(refusal.reason for refusal in reading.refused) == {
        "negative-quantity": 462,
        "zero-price": 158,
        "cancellation": 58,
        "not-a-sale": 1,
        "price-below-a-penny": 1,
    }


def test_the_odd_ones_are_named_by_line(reading: Reading) -> None:
    odd = {refusal.reason: (refusal.invoice, refusal.stock_code) for refusal in reading.refused}
    assert odd["not-a-sale"] == ("A563185", "B")
    assert odd["price-below-a-penny"] == ("550193", "PADS")
    lines = FILE.read_text(encoding="utf-8").splitlines()
    for refusal in reading.refused:
        assert lines[refusal.line - 1].startswith(f"{refusal.invoice},{refusal.stock_code},")


def test_the_sales_are_counted(reading: Reading) -> None:
    plan = make_plan(reading.invoices, 10_000, "run")
    assert (len(plan.invoices), plan.guests, len(plan.accounts)) == (1430, 249, 852)
    assert max(len(invoice.lines) for invoice in plan.invoices) == 265
    assert len({line.code for invoice in plan.invoices for line in invoice.lines}) < len(plan.variants)


def test_the_largest_order_is_the_famous_one(reading: Reading) -> None:
    largest = max(reading.invoices, key=lambda invoice: invoice.total)
    assert (largest.number, largest.total, largest.lines[0].quantity) == ("581483", 16846960, 80995)
