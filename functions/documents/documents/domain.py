"""Invoices and credit notes: what they say, and the rules of their amounts. Pure.

A document is frozen when it is issued: what it says is never computed again from an order, a rate or a setting.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from mercato.charges import Charge, Kind, allocate
from mercato.dataclass import dataclass
from mercato.errors import Conflict, Invalid, NotFound, SagaEnd, is_error_name
from mercato.ids import derived_id
from mercato.money import Money
from mercato.text import AddressLine, EmailAddress, Exact, Reference, Text

_PART_REFUNDED = "Part of the price refunded"
_UNDONE = "cancelled"  # the reason of an undo that has no better one


class LinkNotFound(NotFound):
    """No order has this link, or its order belongs to an account by now."""


class DocumentNotFound(NotFound):
    """The document does not exist, or belongs to another customer."""


class PdfNotReady(Conflict):
    """The document's file is still being made."""


class SellerChanged(Conflict):
    """Another request has changed the seller's data since the version that this one names."""


class NumberingChanged(Conflict):
    """Another request has changed how documents are numbered since the version that this one names."""


class PrefixTaken(Invalid):
    """The prefix numbers documents of the other kind, or has done so before."""


class SeveralFilters(Invalid):
    """A list is asked for by more than one thing."""


class AmountsDiffer(Invalid):
    """The payment is not of the order's total. No document is issued, and the event waits for an operator."""


class CreditTooLarge(Invalid):
    """The refund is larger than what is left of the invoice. The event waits for an operator."""


class DocumentKind(StrEnum):
    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Address(_Value):
    name: str
    company: str | None = None
    line1: str
    line2: str | None = None
    city: str
    region: str | None = None
    postcode: str | None = None
    country: str


class Seller(BaseModel):
    """Who sells, as the law wants it on an invoice. `tax_id` is the VAT number, `registration` the company's entry in
    its register. `note` is printed below the sums.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: AddressLine
    address: Annotated[list[AddressLine], Field(max_length=6)] = []
    tax_id: Reference | None = None
    registration: Reference | None = None
    email: EmailAddress | None = None
    note: Annotated[str, Text(500, lines=True)] | None = None


class SellerRecord(_Value):
    """A version of the seller's data."""

    version: int
    seller: Seller


FIRST_SELLER = SellerRecord(version=0, seller=Seller(name="Mercato"))


class Counting(StrEnum):
    """Whether each year, in UTC, begins a series with the number 1."""

    YEARLY = "yearly"
    CONTINUOUS = "continuous"


Prefix = Annotated[str, Exact(), Field(pattern="^[A-Z][A-Z0-9]{0,9}$", examples=["INV"])]


class Numbering(BaseModel):
    """The prefix of each kind's numbers, and how they are counted. The two prefixes differ."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    invoice_prefix: Prefix
    credit_note_prefix: Prefix
    counting: Counting

    def prefix_of(self, kind: DocumentKind) -> str:
        return self.invoice_prefix if kind is DocumentKind.INVOICE else self.credit_note_prefix


class NumberingRecord(_Value):
    """A version of how documents are numbered."""

    version: int
    numbering: Numbering


DEFAULT_NUMBERING = Numbering(invoice_prefix="INV", credit_note_prefix="CRN", counting=Counting.YEARLY)
FIRST_NUMBERING = NumberingRecord(version=0, numbering=DEFAULT_NUMBERING)


class LineKind(StrEnum):
    GOODS = "goods"
    DISCOUNT = "discount"
    SHIPPING = "shipping"
    REFUND = "refund"  # a part of the price that belongs to no single line


class Line(_Value):
    """`amount` is what the buyer pays, `tax` included; both are negative for a discount. `unit_price` is the price in
    the catalogue.
    """

    kind: LineKind
    description: str
    quantity: int
    amount: Money
    tax: Money
    rate: str
    tax_class: str
    jurisdiction: str
    product_id: str | None = None
    sku: str | None = None
    unit_price: Money | None = None


class TaxPart(_Value):
    """All lines of one tax rate. An order without charges, of an earlier release, has no tax class."""

    jurisdiction: str
    rate: str
    tax_class: str
    amount: Money
    tax: Money


class Draft(_Value):
    """A document without its number. `invoice_id` and `invoice_number` are those of the invoice that a credit note
    corrects.
    """

    document_id: str
    kind: DocumentKind
    order_id: str
    order_number: str | None
    ordered_at: datetime
    customer_id: str
    payment_id: str
    refund_id: str | None = None
    invoice_id: str | None = None
    invoice_number: str | None = None
    seller: Seller
    buyer: Address | None
    delivery_address: Address | None
    delivery: str | None = None
    lines: tuple[Line, ...]
    taxes: tuple[TaxPart, ...]
    total: Money
    tax: Money
    reason: str | None = None


class Document(Draft):
    """`number` is `series` and `position`; positions of a series are 1, 2, 3 and so on, in the order of `issued_at`."""

    series: str
    position: int
    number: str
    issued_at: datetime


class Returned(_Value):
    refund_id: str | None = None
    charges: tuple[Charge, ...] = ()


class OrderedLine(_Value):
    product_id: str
    sku: str
    unit_price: Money


class Ordered(_Value):
    """What a document needs of an order."""

    order_id: str
    number: str | None = None
    customer_id: str
    placed_at: datetime
    lines: tuple[OrderedLine, ...]
    charges: tuple[Charge, ...]
    total: Money
    delivery: str | None = None
    shipping_address: Address | None
    billing_address: Address | None = None
    returns: tuple[Returned, ...] = ()


@dataclass(frozen=True)
class Paid:
    payment_id: str
    order_id: str
    amount: Money


@dataclass(frozen=True)
class Refunded:
    """`captured` is all that was captured of the payment; an event of an earlier release does not say it."""

    payment_id: str
    refund_id: str
    order_id: str
    amount: Money
    reason: str
    captured: Money | None = None


@dataclass(frozen=True)
class Part:
    """An amount and the tax that it contains, in minor units."""

    amount: int = 0
    tax: int = 0


@dataclass(frozen=True)
class Credited:
    """What credit notes have taken back of an invoice: a part for each of its `taxes`. `version` counts them."""

    version: int
    parts: tuple[Part, ...]


def invoice_id_of(payment_id: str) -> str:
    return derived_id("invoice", payment_id)


def credit_note_id_of(payment_id: str, refund_id: str) -> str:
    return derived_id("credit-note", payment_id, refund_id)


def series_of(kind: DocumentKind, now: datetime, numbering: Numbering = DEFAULT_NUMBERING) -> str:
    """The series of documents of this kind that are issued now: INV-2026, or INV where numbers are continuous."""
    prefix = numbering.prefix_of(kind)
    return prefix if numbering.counting is Counting.CONTINUOUS else f"{prefix}-{now.year}"


def check_prefixes(numbering: Numbering, owners: Mapping[str, DocumentKind]) -> None:
    """`owners` has the kind whose documents have used a prefix. The prefixes of the default are always their kind's:
    earlier releases numbered with them. Raises PrefixTaken.
    """
    used = dict(owners) | {DEFAULT_NUMBERING.prefix_of(kind): kind for kind in DocumentKind}
    errors = []
    for kind in DocumentKind:
        if used.get(numbering.prefix_of(kind), kind) is not kind:
            errors.append({"field": f"numbering.{kind}_prefix", "message": _OTHER_KIND[kind]})
    if not errors and numbering.invoice_prefix == numbering.credit_note_prefix:
        errors.append({"field": "numbering.credit_note_prefix", "message": "must differ from that of invoices"})
    if errors:
        raise PrefixTaken("Documents of two kinds never share a prefix.", errors=errors)


_OTHER_KIND = {
    DocumentKind.INVOICE: "belongs to credit notes, now or before",
    DocumentKind.CREDIT_NOTE: "belongs to invoices, now or before",
}


def with_number(draft: Draft, series: str, position: int, issued_at: datetime) -> Document:
    number = f"{series}-{position:06d}"
    return Document(**dict(draft), series=series, position=position, number=number, issued_at=issued_at)


def draft_invoice(document_id: str, paid: Paid, order: Ordered, seller: Seller) -> Draft:
    if paid.amount != order.total:
        raise AmountsDiffer(f"Order {order.order_id} is {order.total}, and its payment {paid.amount}.")
    items = {line.product_id: line for line in order.lines}
    lines = tuple(_line(charge, items.get(charge.product_id or "")) for charge in order.charges)
    return Draft(
        document_id=document_id,
        kind=DocumentKind.INVOICE,
        order_id=order.order_id,
        order_number=order.number,
        ordered_at=order.placed_at,
        customer_id=order.customer_id,
        payment_id=paid.payment_id,
        seller=seller,
        buyer=order.billing_address or order.shipping_address,
        delivery_address=order.shipping_address,
        delivery=order.delivery,
        lines=lines,
        taxes=taxes_of(lines),
        total=order.total,
        tax=_sum(line.tax for line in lines),
    )


def draft_credit_note(
    document_id: str, refunded: Refunded, invoice: Document, credited: Credited, returned: Returned | None
) -> Draft:
    """The credit note of one refund. It takes back the frozen parts of the returned goods. A refund of any other amount
    takes a part of each tax rate, and the last one takes the rest, so that all credit notes of an invoice that is
    refunded in full add up to it, in amount and tax.
    """
    rest = [
        Part(part.amount.amount - done.amount, part.tax.amount - done.tax)
        for part, done in zip(invoice.taxes, credited.parts, strict=True)
    ]
    amount, left = refunded.amount.amount, sum(part.amount for part in rest)
    if refunded.amount.currency != invoice.total.currency or not 0 < amount <= left:
        raise CreditTooLarge(f"{refunded.amount} is refunded of invoice {invoice.number}, of which {left} is left.")
    lines = _credit_lines(invoice, rest, amount, returned)
    return Draft(
        **{name: getattr(invoice, name) for name in _OF_THE_INVOICE},
        document_id=document_id,
        kind=DocumentKind.CREDIT_NOTE,
        refund_id=refunded.refund_id,
        invoice_id=invoice.document_id,
        invoice_number=invoice.number,
        lines=lines,
        taxes=taxes_of(lines),
        total=refunded.amount,
        tax=_sum(line.tax for line in lines),
        reason=_in_words(refunded.reason),
    )


def credit(invoice: Document, credited: Credited, note: Draft) -> Credited:
    """What is taken back of the invoice with this credit note too."""
    new = {_rate_of(part): Part(part.amount.amount, part.tax.amount) for part in note.taxes}
    added = [new.get(_rate_of(part), Part()) for part in invoice.taxes]
    both = zip(credited.parts, added, strict=True)
    return Credited(credited.version + 1, tuple(Part(a.amount + b.amount, a.tax + b.tax) for a, b in both))


def nothing_credited(invoice: Document) -> Credited:
    return Credited(0, (Part(),) * len(invoice.taxes))


def taxes_of(lines: Iterable[Line]) -> tuple[TaxPart, ...]:
    found: dict[tuple[str, str, str], TaxPart] = {}
    for line in lines:
        key = _rate_of(line)
        part = found.get(key)
        found[key] = TaxPart(
            jurisdiction=line.jurisdiction,
            rate=line.rate,
            tax_class=line.tax_class,
            amount=part.amount + line.amount if part else line.amount,
            tax=part.tax + line.tax if part else line.tax,
        )
    return tuple(found.values())


_OF_THE_INVOICE = (
    "order_id", "order_number", "ordered_at", "customer_id", "payment_id", "seller", "buyer", "delivery_address"
)  # fmt: skip


def _credit_lines(invoice: Document, rest: Sequence[Part], amount: int, returned: Returned | None) -> tuple[Line, ...]:
    if amount == invoice.total.amount:
        return invoice.lines
    if returned:
        skus = {line.product_id: line.sku for line in invoice.lines}
        lines = tuple(
            _line(charge).model_copy(update={"sku": skus.get(charge.product_id)}) for charge in returned.charges
        )
        if _fits(invoice, rest, amount, lines):
            return lines
    return tuple(_shares(invoice, rest, amount))


def _fits(invoice: Document, rest: Sequence[Part], amount: int, lines: tuple[Line, ...]) -> bool:
    """Whether these lines are the refund, and leave of each tax rate nothing or an amount that its tax is a part of."""
    if sum(line.amount.amount for line in lines) != amount:
        return False
    left = {_rate_of(part): one for part, one in zip(invoice.taxes, rest, strict=True)}
    for part in taxes_of(lines):
        one = left.get(_rate_of(part), Part())
        amount_left, tax_left = one.amount - part.amount.amount, one.tax - part.tax.amount
        if min(amount_left, tax_left) < 0 or (amount_left == 0 and tax_left != 0):
            return False
    return True


def _shares(invoice: Document, rest: Sequence[Part], amount: int) -> Iterable[Line]:
    """A line for each tax rate, in proportion to what is left of it. What takes the rest takes its tax too."""
    currency = invoice.total.currency
    shares = allocate(amount, [one.amount for one in rest])
    for part, one, share in zip(invoice.taxes, rest, shares, strict=True):
        if share:
            tax = one.tax if share == one.amount else one.tax * share // one.amount
            yield Line(
                kind=LineKind.REFUND,
                description=_PART_REFUNDED,
                quantity=1,
                amount=Money(amount=share, currency=currency),
                tax=Money(amount=tax, currency=currency),
                rate=part.rate,
                tax_class=part.tax_class,
                jurisdiction=part.jurisdiction,
            )


def _line(charge: Charge, item: OrderedLine | None = None) -> Line:
    is_goods = item is not None and charge.kind is Kind.GOODS
    return Line(
        kind=LineKind(charge.kind.value),
        description=charge.description,
        quantity=charge.quantity,
        amount=charge.amount,
        tax=charge.tax,
        rate=charge.rate,
        tax_class=charge.tax_class,
        jurisdiction=charge.jurisdiction,
        product_id=charge.product_id,
        sku=item.sku if item else None,
        unit_price=item.unit_price if item and is_goods else None,
    )


def _in_words(reason: str) -> str:
    """The reason of a refund as a document states it: that of an undone order is the name of an error."""
    if reason == SagaEnd.CANCELLED_BY_CUSTOMER:
        return "The order was cancelled by the customer."
    return "The order was cancelled." if reason == _UNDONE or is_error_name(reason) else reason


def _rate_of(part: Line | TaxPart) -> tuple[str, str, str]:
    return part.jurisdiction, part.rate, part.tax_class


def _sum(amounts: Iterable[Money]) -> Money:
    found = list(amounts)
    return Money.sum(found, found[0].currency)
