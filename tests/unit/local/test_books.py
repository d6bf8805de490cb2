from __future__ import annotations

from dataclasses import replace

import pytest

from infra.replay.books import (
    Charged,
    Difference,
    DocumentFact,
    OrderFact,
    PaymentFact,
    StockFact,
    Terms,
    audit_charges,
    audit_coupon,
    audit_documents,
    audit_events,
    audit_money,
    audit_numbers,
    audit_orders,
    audit_queues,
    audit_reservations,
    audit_returns,
    audit_stock,
    audit_taxes,
    pounds,
    unsettled,
)

SHIPPED = OrderFact("o-1", "shipped", "captured", 1000, {"lamp": 2, "vase": 1})
CONFIRMED = OrderFact("o-2", "confirmed", "captured", 500, {"lamp": 3})
CANCELLED = OrderFact("o-3", "cancelled", "failed", 700, {"vase": 9}, "payment-declined")
ORDERS = [SHIPPED, CONFIRMED, CANCELLED]
PAID = [
    PaymentFact("o-1", "captured", 1000, 0),
    PaymentFact("o-2", "captured", 500, 0),
    PaymentFact("o-3", "failed", 0, 0),
]
STOCK = [
    StockFact("lamp", "LAMP", stocked=20, on_hand=18, reserved=3, available=15),
    StockFact("vase", "VASE", stocked=5, on_hand=4, reserved=0, available=4),
]


def test_balanced_books_have_no_differences() -> None:
    entries = [audit_orders(ORDERS), audit_money(ORDERS, PAID), *audit_stock(ORDERS, STOCK)]
    assert [(entry.expected, entry.found, entry.differences) for entry in entries] == [
        ("3", "3", []),
        ("£15.00", "£15.00", []),
        ("3", "3", []),
        ("6", "6", []),
        ("3", "3", []),
    ]
    assert unsettled(ORDERS, STOCK) == set()


def test_an_order_that_hangs_is_named() -> None:
    hanging = OrderFact("o-9", "pending", "none", 100, {})
    parked = OrderFact("o-8", "needs_attention", "authorized", 100, {})
    unpaid = OrderFact("o-7", "confirmed", "authorized", 100, {})
    entry = audit_orders([*ORDERS, hanging, parked, unpaid])
    assert [(found.subject, found.found) for found in entry.differences] == [
        ("order o-9", "pending, none"),
        ("order o-8", "needs_attention, authorized"),
        ("order o-7", "confirmed, authorized"),
    ]
    assert (entry.expected, entry.found) == ("6", "3")


@pytest.mark.parametrize(
    ("payments", "subject", "expected", "found"),
    [
        ([PaymentFact("o-1", "captured", 1001, 0), *PAID[1:]], "order o-1", "£10.00", "£10.01"),
        ([*PAID, PaymentFact("o-1", "captured", 1000, 0)], "order o-1", "£10.00", "£20.00"),
        (PAID[:1], "order o-2", "£5.00", "no payment"),
        ([PAID[0], PaymentFact("o-2", "authorized", 0, 0)], "order o-2", "£5.00", "£0.00"),
        ([*PAID[:2], PaymentFact("o-3", "captured", 700, 0)], "order o-3", "£0.00", "£7.00"),
        ([*PAID[:2], PaymentFact("o-3", "refunded", 700, 699)], "order o-3", "£0.00", "£0.01"),
        (
            [*PAID[:2], PaymentFact("o-3", "authorized", 0, 0)],
            "order o-3",
            "nothing held",
            "an authorization is still open",
        ),
    ],
)
def test_money_that_does_not_fit_its_order_is_named(
    payments: list[PaymentFact], subject: str, expected: str, found: str
) -> None:
    assert audit_money(ORDERS, payments).differences == [Difference("money captured = sold", subject, expected, found)]


def test_two_wrong_payments_that_cancel_out_in_the_sum_are_both_named() -> None:
    crossed = [PaymentFact("o-1", "captured", 500, 0), PaymentFact("o-2", "captured", 1000, 0)]
    entry = audit_money(ORDERS, crossed)
    assert (entry.expected, entry.found) == ("£15.00", "£15.00")
    assert [found.subject for found in entry.differences] == ["order o-1", "order o-2"]


def test_a_cancelled_order_whose_money_went_back_whole_balances() -> None:
    assert audit_money([CANCELLED], [PaymentFact("o-3", "refunded", 700, 700)]).balances


def test_a_later_refund_of_what_was_sold_is_no_difference() -> None:
    assert audit_money([SHIPPED], [PaymentFact("o-1", "captured", 1000, 300)]).balances


def test_the_payment_of_anothers_order_does_not_count() -> None:
    assert audit_money(ORDERS, [*PAID, PaymentFact("not-ours", "captured", 999, 0)]).balances


def test_goods_that_left_without_an_order_are_named() -> None:
    lost = StockFact("vase", "VASE", stocked=5, on_hand=3, reserved=0, available=3)
    gone, promised, reserved = audit_stock(ORDERS, [STOCK[0], lost])
    assert gone.differences == [Difference("units off the shelf = shipped", "sku VASE", "1", "2")]
    assert promised.differences == [Difference("units not available = sold", "sku VASE", "1", "2")]
    assert reserved.balances
    assert unsettled(ORDERS, [STOCK[0], lost]) == {"vase"}


def test_a_reservation_that_leaked_is_named() -> None:
    leaked = StockFact("lamp", "LAMP", stocked=20, on_hand=18, reserved=4, available=14)
    gone, promised, reserved = audit_stock(ORDERS, [leaked, STOCK[1]])
    assert gone.balances
    assert [(found.subject, found.expected, found.found) for found in promised.differences] == [("sku LAMP", "5", "6")]
    assert [(found.subject, found.expected, found.found) for found in reserved.differences] == [("sku LAMP", "3", "4")]


def test_a_product_that_was_sold_and_has_no_stock_is_named() -> None:
    _, promised, _ = audit_stock(ORDERS, STOCK[:1])
    assert promised.differences == [
        Difference("units not available = sold", "product vase", "1 sold", "no stock record")
    ]


def test_what_is_still_reserved_when_all_is_shipped_is_named() -> None:
    assert audit_reservations(STOCK).differences == [Difference("reservations open", "sku LAMP", "0", "3")]
    assert audit_reservations(STOCK[1:]).balances


GOODS = Charged("goods", "lamp", 3, 4515, 753, "0.2000")
LESS = Charged("discount", "lamp", 3, -452, -75, "0.2000")
SENDING = Charged("shipping", None, 1, 395, 66, "0.2000")
QUOTED = OrderFact(
    "o-1", "delivered", "captured", 4458, {"lamp": 3}, charges=(GOODS, LESS, SENDING), codes=("TEN",), tax=744
)
TERMS = Terms("TEN", limit=1, discount=1000, shipping={"o-1": 395, "o-2": 395})


def wrong_books(order: OrderFact, terms: Terms = TERMS) -> list[str]:
    return [entry.book for entry in audit_charges([order], {"o-1": 4515}, terms) if not entry.balances]


@pytest.mark.parametrize(
    ("charge", "book"),
    [
        (replace(GOODS, amount=4516), "goods charged = invoice totals"),
        (replace(LESS, amount=-451), "discounts = the coupon's share"),
        (replace(SENDING, amount=396), "shipping = the table of rates"),
    ],
)
def test_a_charge_that_is_a_penny_off_is_named(charge: Charged, book: str) -> None:
    assert wrong_books(QUOTED) == []
    changed = [charge if charge.kind == one.kind else one for one in QUOTED.charges]
    total = sum(one.amount for one in changed)
    assert wrong_books(replace(QUOTED, charges=changed, total=total)) == [book]


def test_a_total_and_a_tax_that_the_charges_do_not_add_up_to_are_named() -> None:
    assert wrong_books(replace(QUOTED, total=4459)) == ["order totals = sums of charges"]
    assert wrong_books(replace(QUOTED, tax=745)) == ["tax = rates of the charges"]


def test_uses_of_the_coupon_are_its_sold_orders_and_within_its_limit() -> None:
    refused = replace(QUOTED, order_id="o-2", status="cancelled")
    assert audit_coupon([QUOTED, refused], TERMS, 1).balances
    assert not audit_coupon([QUOTED, refused], TERMS, 2).balances
    assert not audit_coupon([QUOTED, QUOTED], TERMS, 2).balances


@pytest.mark.parametrize(("came", "due"), [(1, 1354), (2, 2708), (3, 4458)])
def test_what_came_back_is_refunded_and_with_the_last_piece_the_delivery(came: int, due: int) -> None:
    order = replace(QUOTED, came_back={"lamp": came}, refunded=due)
    paid = PaymentFact("o-1", "captured", 4458, due)
    assert all(entry.balances for entry in audit_returns([order], [paid]))
    orders, payments = audit_returns([replace(order, refunded=due + 1)], [replace(paid, refunded=due - 1)])
    assert not orders.balances
    assert not payments.balances


def test_the_tax_of_the_documents_is_the_orders_less_what_came_back() -> None:
    order = replace(QUOTED, returned=[replace(GOODS, quantity=1, amount=1354, tax=226)])
    right = DocumentFact("o-1", 4458, 1354, tax_invoiced=744, tax_credited=226)
    assert audit_taxes([order], [right]).balances
    assert not audit_taxes([order], [replace(right, tax_credited=225)]).balances
    assert not audit_taxes([order], []).balances


def test_lost_and_invented_events_are_named() -> None:
    written, received = (
        {"e-1": "order.created", "e-2": "order.confirmed"},
        {"e-1": "order.created", "e-3": "order.shipped"},
    )
    entry = audit_events(written, received)
    assert [(found.subject, found.found) for found in entry.differences] == [
        ("order.confirmed e-2", "not seen on the bus"),
        ("order.shipped e-3", "only on the bus"),
    ]
    assert audit_events(written, dict(written)).balances


def test_only_dead_letters_that_are_new_count() -> None:
    entry = audit_queues({"orders-dlq": 2, "carts-dlq": 1}, {"orders-dlq": 2, "carts-dlq": 0, "relay-dlq": 3})
    assert entry.differences == [Difference("messages in dead-letter queues", "relay-dlq", "0", "3 new")]
    assert entry.found == "3"


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "£0.00"), (5, "£0.05"), (16846960, "£168,469.60"), (-1250, "-£12.50"), (100, "£1.00")]
)
def test_pounds_are_written_for_people(amount: int, text: str) -> None:
    assert pounds(amount) == text


@pytest.mark.parametrize(("currency", "text"), [("JPY", "-JPY 12,500"), ("KWD", "-KWD 12.500"), ("EUR", "-EUR 125.00")])
def test_other_money_is_written_with_the_decimals_of_its_currency(currency: str, text: str) -> None:
    assert pounds(-12500, currency) == text


def test_documents_are_the_money_that_was_kept() -> None:
    payments = [PaymentFact("o-1", "partially_refunded", 1000, 300), PaymentFact("o-2", "captured", 500, 0)]
    documents = [DocumentFact("o-1", 1000, 300), DocumentFact("o-2", 500, 0)]
    entry = audit_documents(payments, documents)
    assert (entry.expected, entry.found, entry.balances) == ("£12.00", "£12.00", True)


def test_a_missing_a_double_and_a_foreign_document_are_named() -> None:
    payments = [PaymentFact("o-1", "refunded", 1000, 1000), PaymentFact("o-2", "captured", 500, 0)]
    documents = [DocumentFact("o-1", 1000, 0), DocumentFact("o-2", 1000, 0), DocumentFact("o-3", 700, 0)]
    found = [(one.subject, one.expected, one.found) for one in audit_documents(payments, documents).differences]
    assert found == [
        ("order o-1", "£0.00", "£10.00"),
        ("order o-2", "£5.00", "£10.00"),
        ("order o-3", "£0.00", "£7.00"),
    ]


def test_a_gap_and_a_double_number_are_named() -> None:
    assert audit_numbers({"INV-2026": [1, 2, 3], "CRN-2026": []}).balances
    [gap] = audit_numbers({"INV-2026": [1, 3]}).differences
    assert (gap.subject, gap.expected, gap.found) == ("INV-2026", "2", "3")
    [double] = audit_numbers({"INV-2026": [1, 2, 2]}).differences
    assert (double.expected, double.found) == ("3", "2")
