"""The audit of the books: compares the orders with the payments, the stock, the events and the queues.

The functions are pure: they take facts and return named differences. Amounts are integers in minor units.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from mercato.money import Money

SOLD = frozenset({"confirmed", "shipped", "delivered", "refunded"})
SHIPPED = frozenset({"shipped", "delivered", "refunded"})
FINAL = SOLD | {"cancelled"}
BASIS_POINTS = 10_000


@dataclass(frozen=True)
class Charged:
    """One charge: goods, a discount or shipping. `amount` contains `tax`; `rate` is a decimal fraction."""

    kind: str
    product_id: str | None
    quantity: int
    amount: int
    tax: int
    rate: str


@dataclass(frozen=True)
class OrderFact:
    """`units` maps each product id to the ordered units minus those that are in stock again. `charges` are those of the
    order, and `returned` those that its received returns undo. `came_back` has the received units.
    """

    order_id: str
    status: str
    payment_status: str
    total: int
    units: Mapping[str, int]
    reason: str = ""
    charges: Sequence[Charged] = ()
    codes: Sequence[str] = ()
    tax: int = 0
    refunded: int = 0
    returned: Sequence[Charged] = ()
    came_back: Mapping[str, int] = field(default_factory=dict)

    def sum_of(self, kind: str) -> int:
        return sum(charge.amount for charge in self.charges if charge.kind == kind)


@dataclass(frozen=True)
class PaymentFact:
    order_id: str
    status: str
    captured: int
    refunded: int


@dataclass(frozen=True)
class DocumentFact:
    """The sums of an order's invoices and credit notes, the tax that they contain, and the series of their numbers."""

    order_id: str
    invoiced: int
    credited: int
    tax_invoiced: int = 0
    tax_credited: int = 0
    series: frozenset[str] = frozenset()


@dataclass(frozen=True)
class StockFact:
    """`stocked` is the number of units that the replay put in stock. The other figures are the shop's current ones."""

    product_id: str
    sku: str
    stocked: int
    on_hand: int
    reserved: int
    available: int


@dataclass(frozen=True)
class Terms:
    """What the run's orders must cost: the coupon with its limit and basis points, and the delivery by order id."""

    code: str
    limit: int
    discount: int
    shipping: Mapping[str, int]


@dataclass(frozen=True)
class Difference:
    book: str
    subject: str
    expected: str
    found: str


@dataclass(frozen=True)
class Entry:
    """One line of the audit. It balances if it has no differences."""

    book: str
    expected: str
    found: str
    differences: list[Difference] = field(default_factory=list)

    @property
    def balances(self) -> bool:
        return not self.differences


def audit_orders(orders: Collection[OrderFact]) -> Entry:
    """Checks that every order is final: sold and paid, or cancelled."""
    book = "orders that came to an end"
    open_ones = [order for order in orders if not is_final(order)]
    differences = [
        Difference(
            book,
            f"order {order.order_id}",
            "captured or cancelled",
            f"{order.status}, {order.payment_status} {order.reason}".rstrip(),
        )
        for order in open_ones
    ]
    return Entry(book, str(len(orders)), str(len(orders) - len(open_ones)), differences)


def is_final(order: OrderFact) -> bool:
    return order.status == "cancelled" or (order.status in SOLD and order.payment_status in ("captured", "refunded"))


def audit_charges(orders: Collection[OrderFact], invoiced: Mapping[str, int], terms: Terms) -> list[Entry]:
    """Computes what each order must cost from the file and the shop's tables, and compares it with its charges.

    `invoiced` maps order ids to invoice totals.
    """

    def discount(order: OrderFact) -> int:
        rate = terms.discount if terms.code in order.codes else 0
        return -((invoiced[order.order_id] * rate + BASIS_POINTS // 2) // BASIS_POINTS)

    def entry(book: str, expected: Callable[[OrderFact], int], found: Callable[[OrderFact], int]) -> Entry:
        return _compare(book, {f"order {one.order_id}": (expected(one), found(one)) for one in orders}, pounds)

    return [
        entry("goods charged = invoice totals", lambda one: invoiced[one.order_id], lambda one: one.sum_of("goods")),
        entry("discounts = the coupon's share", discount, lambda one: one.sum_of("discount")),
        entry(
            "shipping = the table of rates",
            lambda one: terms.shipping[one.order_id],
            lambda one: one.sum_of("shipping"),
        ),
        entry("order totals = sums of charges", lambda one: sum(c.amount for c in one.charges), lambda one: one.total),
        entry("tax = rates of the charges", lambda one: sum(map(tax_in, one.charges)), lambda one: one.tax),
    ]


def tax_in(charge: Charged) -> int:
    """The tax that the charge's amount contains, half a unit rounded away from zero."""
    rate = Decimal(charge.rate)
    return int((charge.amount * rate / (1 + rate)).quantize(Decimal(1), ROUND_HALF_UP))


def audit_coupon(orders: Iterable[OrderFact], terms: Terms, used: int) -> Entry:
    """Checks that the uses of the run's coupon are its sold orders, and not above its limit."""
    book = "uses of the coupon = sold with it"
    sold = sum(terms.code in order.codes for order in orders if order.status in SOLD)
    is_right = used == sold and used <= terms.limit
    differences = [] if is_right else [Difference(book, f"coupon {terms.code}", f"{sold} of {terms.limit}", str(used))]
    return Entry(book, str(sold), str(used), differences)


def audit_returns(orders: Collection[OrderFact], payments: Iterable[PaymentFact]) -> list[Entry]:
    """Checks that what came back was refunded: its share of the goods less their discount, and with the last piece the
    delivery. An order that was not sold is refunded whole, and does not count here.
    """
    paid_back: Counter[str] = Counter()
    for payment in payments:
        paid_back[payment.order_id] += payment.refunded
    sold = [order for order in orders if order.status in SOLD]
    due = {order.order_id: _due_back(order) for order in sold}
    return [
        _compare(book, {f"order {one.order_id}": (due[one.order_id], found(one)) for one in sold}, pounds)
        for book, found in (
            ("refunds of orders = goods returned", lambda one: one.refunded),
            ("refunds of payments = goods returned", lambda one: paid_back[one.order_id]),
        )
    ]


def _due_back(order: OrderFact) -> int:
    due, is_whole = 0, True
    for goods in (charge for charge in order.charges if charge.kind == "goods"):
        price = sum(one.amount for one in order.charges if one.product_id == goods.product_id)
        came = order.came_back.get(goods.product_id or "", 0)
        due += price * came // goods.quantity
        is_whole = is_whole and came == goods.quantity
    return due + order.sum_of("shipping") if is_whole else due


def audit_taxes(orders: Iterable[OrderFact], documents: Iterable[DocumentFact]) -> Entry:
    """Checks that the tax of each sold order's documents is the order's, less that of what came back."""
    told = {fact.order_id: fact.tax_invoiced - fact.tax_credited for fact in documents}
    figures = {
        f"order {order.order_id}": (
            order.tax - sum(charge.tax for charge in order.returned),
            told.get(order.order_id, 0),
        )
        for order in orders
        if order.status in SOLD
    }
    return _compare("tax of documents = tax kept", figures, pounds)


def audit_money(
    orders: Collection[OrderFact], payments: Iterable[PaymentFact], book: str = "money captured = sold"
) -> Entry:
    """Checks for each order that the captured amount is the sold amount.

    An order that was not sold must have no charge and no open authorization.
    """
    by_order: defaultdict[str, list[PaymentFact]] = defaultdict(list)
    for payment in payments:
        by_order[payment.order_id].append(payment)
    differences, due, taken = [], 0, 0
    for order in orders:
        paid = by_order[order.order_id]
        sold = order.status in SOLD
        expected = order.total if sold else 0
        # A sold order may have refunds, and these do not count here. An order that was not sold must be refunded whole.
        found = sum(payment.captured - (0 if sold else payment.refunded) for payment in paid)
        due, taken = due + expected, taken + found
        subject = f"order {order.order_id}"
        if found != expected:
            differences.append(Difference(book, subject, pounds(expected), pounds(found) if paid else "no payment"))
        elif not sold and any(payment.status == "authorized" for payment in paid):
            differences.append(Difference(book, subject, "nothing held", "an authorization is still open"))
    return Entry(book, pounds(due), pounds(taken), differences)


def audit_documents(payments: Collection[PaymentFact], documents: Iterable[DocumentFact]) -> Entry:
    """Checks for each paid order that its invoices less its credit notes are what was captured less what was refunded.

    An order without a payment that was captured must have no document.
    """
    told = {fact.order_id: fact.invoiced - fact.credited for fact in documents}
    kept: Counter[str] = Counter()
    for payment in payments:
        kept[payment.order_id] += payment.captured - payment.refunded
    orders = sorted(kept.keys() | told.keys())
    figures = {f"order {order_id}": (kept[order_id], told.get(order_id, 0)) for order_id in orders}
    return _compare("invoices - credit notes = money kept", figures, pounds)


def audit_numbers(series: Mapping[str, Sequence[int]]) -> Entry:
    """Checks that each series of documents is 1, 2, 3 and so on. `series` has the positions in the order of issue."""
    book = "documents numbered without a gap"
    differences = [
        Difference(book, name, str(place), str(position))
        for name, positions in series.items()
        for place, position in enumerate(positions, 1)
        if place != position
    ]
    count = sum(len(positions) for positions in series.values())
    return Entry(book, str(count), str(count - len(differences)), differences)


def units_sold(orders: Iterable[OrderFact], statuses: Collection[str]) -> Counter[str]:
    """Returns the units per product id of all orders in one of the statuses."""
    units: Counter[str] = Counter()
    for order in orders:
        if order.status in statuses:
            units.update(order.units)
    return units


def audit_stock(orders: Collection[OrderFact], stock: Collection[StockFact]) -> list[Entry]:
    """Checks each product's stock against the orders.

    Units that left the stock were shipped, and reserved units are sold and not shipped yet.
    """
    sold, shipped = units_sold(orders, SOLD), units_sold(orders, SHIPPED)
    gone = _compare(
        "units off the shelf = shipped",
        {f"sku {fact.sku}": (shipped[fact.product_id], fact.stocked - fact.on_hand) for fact in stock},
    )
    promised = _compare(
        "units not available = sold",
        {f"sku {fact.sku}": (sold[fact.product_id], fact.stocked - fact.available) for fact in stock},
    )
    reserved = _compare(
        "units reserved = sold, not shipped",
        {f"sku {fact.sku}": (sold[fact.product_id] - shipped[fact.product_id], fact.reserved) for fact in stock},
    )
    known = {fact.product_id for fact in stock}
    unknown = [
        Difference(promised.book, f"product {product_id}", f"{units} sold", "no stock record")
        for product_id, units in sold.items()
        if product_id not in known
    ]
    return [gone, Entry(promised.book, promised.expected, promised.found, promised.differences + unknown), reserved]


def unsettled(orders: Collection[OrderFact], stock: Iterable[StockFact]) -> set[str]:
    """Returns the ids of products whose figures do not match the orders yet. Their events may still be in flight."""
    sold, shipped = units_sold(orders, SOLD), units_sold(orders, SHIPPED)
    return {
        fact.product_id
        for fact in stock
        if fact.stocked - fact.on_hand != shipped[fact.product_id]
        or fact.stocked - fact.available != sold[fact.product_id]
        or fact.reserved != sold[fact.product_id] - shipped[fact.product_id]
    }


def audit_reservations(stock: Iterable[StockFact]) -> Entry:
    """Checks that no units stay reserved after all orders are shipped."""
    return _compare("reservations open", {f"sku {fact.sku}": (0, fact.reserved) for fact in stock})


def _compare(book: str, figures: Mapping[str, tuple[int, int]], show: Callable[[int], str] = str) -> Entry:
    """Compares the expected with the found figure of each subject. The entry shows the sums of all subjects."""
    differences = [
        Difference(book, subject, show(expected), show(found))
        for subject, (expected, found) in figures.items()
        if expected != found
    ]
    expected, found = (sum(pair[side] for pair in figures.values()) for side in (0, 1))
    return Entry(book, show(expected), show(found), differences)


def audit_events(written: Mapping[str, str], received: Mapping[str, str]) -> Entry:
    """Checks that the published events are exactly the events in the tables. Both maps are event id to type."""
    book = "events published = events written"
    lost = [
        Difference(book, f"{event_type} {event_id}", "published", "not seen on the bus")
        for event_id, event_type in written.items()
        if event_id not in received
    ]
    invented = [
        Difference(book, f"{event_type} {event_id}", "in a table", "only on the bus")
        for event_id, event_type in received.items()
        if event_id not in written
    ]
    return Entry(book, str(len(written)), str(len(received)), lost + invented)


def audit_queues(before: Mapping[str, int], after: Mapping[str, int]) -> Entry:
    """Checks that no dead-letter queue has grown. Messages that were there before the run do not count."""
    book = "messages in dead-letter queues"
    grown = {queue: depth - before.get(queue, 0) for queue, depth in after.items() if depth > before.get(queue, 0)}
    differences = [Difference(book, queue, "0", f"{count} new") for queue, count in grown.items()]
    return Entry(book, "0", str(sum(grown.values())), differences)


def pounds(amount: int, currency: str = "GBP") -> str:
    """Formats an amount of minor units for display, such as £1,234.50, or JPY 1,234."""
    sign, number = ("-" if amount < 0 else ""), Decimal(str(Money(amount=abs(amount), currency=currency)).split()[0])
    symbol = "£" if currency == "GBP" else f"{currency} "
    return f"{sign}{symbol}{number:,}"
