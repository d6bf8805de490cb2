"""Credit notes by random refunds: together they never exceed the invoice, and in full they are the invoice."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from documents import domain
from documents.domain import CreditTooLarge, Document, Ordered, Paid, Refunded, Returned, Seller
from mercato.charges import Charge, Kind, refund_of
from mercato.money import Money

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RATES = [("GB", "0.2000", "standard"), ("GB", "0.0500", "reduced"), ("GB", "0.0000", "zero")]


def charges(dice: random.Random, currency: str) -> list[Charge]:
    """Goods of several rates, some with a discount, and delivery."""
    found = []
    for number in range(dice.randint(1, 5)):
        jurisdiction, rate, tax_class = dice.choice(RATES)
        amount = dice.choice([1, 7, dice.randint(2, 99_999)])
        about = {"product_id": f"p{number}", "description": "A thing", "quantity": dice.randint(1, 7)}
        taxed = {"rate": rate, "tax_class": tax_class, "jurisdiction": jurisdiction}
        tax = amount * int(rate.replace(".", "")) // (10_000 + int(rate.replace(".", "")))
        money = {"amount": Money(amount=amount, currency=currency), "tax": Money(amount=tax, currency=currency)}
        found.append(Charge(kind=Kind.GOODS, **about, **taxed, **money))
        if dice.random() < 0.4:
            less = amount // 3
            money = {
                "amount": Money(amount=-less, currency=currency),
                "tax": Money(amount=-(tax // 3), currency=currency),
            }
            found.append(Charge(kind=Kind.DISCOUNT, **about, **taxed, **money))
    shipping = {"amount": Money(amount=395, currency=currency), "tax": Money(amount=66, currency=currency)}
    standard = {"rate": "0.2000", "tax_class": "standard", "jurisdiction": "GB"}
    found.append(Charge(kind=Kind.SHIPPING, description="Standard", quantity=1, **standard, **shipping))
    return found


def invoice_of(frozen: list[Charge]) -> Document:
    total = Money.sum((one.amount for one in frozen), frozen[0].amount.currency)
    order = Ordered(
        order_id="o-1", customer_id="c-1", placed_at=NOON, lines=(), charges=frozen, total=total, shipping_address=None
    )
    paid = Paid("pay-1", "o-1", total)
    return domain.with_number(domain.draft_invoice("inv-1", paid, order, Seller(name="M")), "INV-2026", 1, NOON)


def refunded(invoice: Document, amount: int, number: int = 1) -> Refunded:
    money = Money(amount=amount, currency=invoice.total.currency)
    return Refunded("pay-1", f"ref-{number}", "o-1", money, "damaged")


@pytest.mark.parametrize("seed", range(300))
def test_random_refunds_add_up_exactly(seed: int) -> None:
    dice = random.Random(seed)
    frozen = charges(dice, dice.choice(["GBP", "JPY", "KWD"]))
    invoice = invoice_of(frozen)
    credited, number = domain.nothing_credited(invoice), 0
    notes: list[domain.Draft] = []
    while left := invoice.total.amount - sum(note.total.amount for note in notes):
        number += 1
        returned = None
        amount = dice.choice([left, dice.randint(1, left)])
        goods = [one for one in frozen if one.kind is Kind.GOODS]
        if dice.random() < 0.5:
            one = dice.choice(goods)
            part = refund_of(frozen, one.product_id or "", 0, dice.randint(1, one.quantity))
            if 0 < part.amount.amount <= left:
                amount, returned = part.amount.amount, Returned(refund_id=f"ref-{number}", charges=(part,))
        note = domain.draft_credit_note(f"n-{number}", refunded(invoice, amount, number), invoice, credited, returned)
        credited = domain.credit(invoice, credited, note)
        notes.append(note)
        assert sum(line.amount.amount for line in note.lines) == amount == note.total.amount
        assert sum(line.tax.amount for line in note.lines) == note.tax.amount >= 0
        assert all(0 <= part.tax.amount <= part.amount.amount for part in note.taxes)
    assert sum(note.tax.amount for note in notes) == invoice.tax.amount
    parts = [(part.amount.amount, part.tax.amount) for part in invoice.taxes]
    assert [(part.amount, part.tax) for part in credited.parts] == parts
    with pytest.raises(CreditTooLarge):
        domain.draft_credit_note("n", refunded(invoice, 1), invoice, credited, None)


def test_a_return_of_more_than_its_rate_has_left_takes_of_all_rates() -> None:
    frozen = charges(random.Random(5), "GBP")
    invoice = invoice_of(frozen)
    everything = Returned(refund_id="ref-2", charges=tuple(one for one in frozen if one.kind is Kind.SHIPPING))
    first = domain.draft_credit_note(
        "n-1", refunded(invoice, invoice.total.amount - 395), invoice, domain.nothing_credited(invoice), None
    )
    credited = domain.credit(invoice, domain.nothing_credited(invoice), first)
    last = domain.draft_credit_note("n-2", refunded(invoice, 395, 2), invoice, credited, everything)
    assert last.total.amount == 395
    assert first.tax.amount + last.tax.amount == invoice.tax.amount


def test_a_return_of_all_that_is_left_takes_all_tax_that_is_left() -> None:
    """A penny was refunded without tax before, so the frozen parts of the return would leave a penny of tax."""
    money = {"amount": Money(amount=1200, currency="GBP"), "tax": Money(amount=200, currency="GBP")}
    about = {"product_id": "p", "description": "A thing", "quantity": 1}
    goods = Charge(kind=Kind.GOODS, **about, rate="0.2000", tax_class="standard", jurisdiction="GB", **money)
    invoice = invoice_of([goods])
    nothing = domain.nothing_credited(invoice)
    first = domain.draft_credit_note("n-1", refunded(invoice, 1), invoice, nothing, None)
    assert (first.total.amount, first.tax.amount) == (1, 0)
    rest = {"amount": Money(amount=1199, currency="GBP"), "tax": Money(amount=199, currency="GBP")}
    returned = Returned(refund_id="ref-2", charges=(goods.model_copy(update=rest),))
    credited = domain.credit(invoice, nothing, first)
    last = domain.draft_credit_note("n-2", refunded(invoice, 1199, 2), invoice, credited, returned)
    assert (last.total.amount, last.tax.amount) == (1199, 200)


def test_a_refund_in_another_currency_is_refused() -> None:
    invoice = invoice_of(charges(random.Random(1), "GBP"))
    other = Refunded("pay-1", "ref-1", "o-1", Money(amount=1, currency="EUR"), "damaged")
    with pytest.raises(CreditTooLarge):
        domain.draft_credit_note("n", other, invoice, domain.nothing_credited(invoice), None)
