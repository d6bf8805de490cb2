"""Compares the books after a case: order, payment, provider, stock, parcel, mails and events must agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from documents.domain import DocumentKind, series_of
from infra.operator.orders import order_ids
from inventory.reservation import State
from mercato.clock import utc_now
from mercato.ids import derived_id
from mercato.money import Money
from orders import facts, links
from orders.day_sums import Days, DaySums, Sums, fold
from orders.domain import MOST_ATTEMPTS
from orders.facts import Fact, apply
from orders.order import Order, PaymentStatus, ReturnStatus, Status
from orders.returns import OPERATORS
from payments import agreement
from payments.domain import Charge, ChargeStatus, Payment, reference_of
from payments.domain import Status as PaymentState
from payments.providers.sandbox import charge_id_of
from payments.refund import Refund, RefundStatus
from promotions.claim import State as Claimed
from shipping.domain import Status as ParcelStatus
from shipping.usecases import booking_key_of, shipment_id_of
from tests.chaos.shop import CART, COUPON, CUSTOMER, EMAIL, NEIGHBOUR, PATIENT, PRODUCT, STOCKED, USES, Shop

_ONCE = (
    "order.created",
    "order.confirmed",
    "order.cancelled",
    "order.shipped",
    "order.delivered",
    "order.claimed",
    "payment.authorized",
    "payment.completed",
    "payment.failed",
    "inventory.reserved",
    "inventory.released",
    "shipment.created",
    "shipment.dispatched",
    "shipment.in_transit",
    "shipment.delivered",
)
_ASKS = {"action_required": "Please confirm your payment", "declined": "Please pay with another card"}
_SUBJECTS: dict[str, Callable[[Any], str]] = {
    "order.confirmed": lambda _: "Your order is confirmed",
    "order.cancelled": lambda _: "Your order was cancelled",
    "order.shipped": lambda _: "Your order is on its way",
    "payment.completed": lambda data: f"Your receipt for {Money(**data['amount'])}",
    "payment.failed": lambda _: "Your payment did not go through",
    "order.return_approved": lambda _: "Please send your goods back",
    "order.return_refused": lambda _: "We cannot take your return",
    "order.return_received": lambda _: "We have received your return",
    "payment.refunded": lambda data: f"We have refunded {Money(**data['amount'])}",
    "order.delivered": lambda _: "Your order has arrived",
    "order.payment_awaited": lambda data: _ASKS[data["state"]],
}
_OVERTAKEN = {"Your order is on its way", *_ASKS.values()}  # not sent once the order is further along
# The statuses in which each fact may be appended: no late or duplicate event moves an order backwards.
_UNDONE_FROM = (Status.PENDING, Status.CONFIRMED, Status.CANCELLING, Status.NEEDS_ATTENTION)
_FROM: dict[type[Fact], tuple[Status, ...]] = {
    facts.PaymentAwaited: (Status.PENDING,),
    facts.PaymentAttempted: (Status.PENDING,),
    facts.PaymentAnswered: (Status.PENDING,),
    facts.OrderConfirmed: (Status.PENDING,),
    facts.CancellationRequested: (Status.PENDING, Status.CONFIRMED, Status.NEEDS_ATTENTION),
    facts.OrderCancelled: _UNDONE_FROM,
    facts.OrderShipped: (Status.CONFIRMED, Status.CANCELLING, Status.NEEDS_ATTENTION),
    facts.OrderDelivered: (Status.SHIPPED, Status.NEEDS_ATTENTION),
    facts.OrderNeedsAttention: (*_UNDONE_FROM, Status.SHIPPED),
    facts.ReturnRequested: (Status.DELIVERED,),
    facts.ReturnApproved: (Status.DELIVERED,),
    facts.ReturnRefused: (Status.DELIVERED,),
    facts.ReturnCancelled: (Status.DELIVERED,),
    facts.ReturnReceived: (Status.DELIVERED, Status.NEEDS_ATTENTION),
}
_SOLD = (Status.DELIVERED, Status.REFUNDED)
_UNPAID = (PaymentState.DECLINED, PaymentState.FAILED)


def disagreements(
    shop: Shop,
    order_id: str,
    *,
    given_back: int = 0,
    came_back: int = 0,
    written_off: int = 0,
    taken: int = 0,
    stocked: int = STOCKED,
) -> list[str]:
    """Returns what the books disagree on; empty if they agree and nothing happened twice. No event may be pending.

    For a sold order, `given_back` is the money refunded for returns and by an admin, in minor units. `came_back` is the
    number of received units, `written_off` of which cannot be sold again. `taken` is what the buyer's bank keeps of it.
    """
    order = shop.orders.load(order_id)
    if order is None:
        return ["the order is gone"]
    payment = shop.payments.get(derived_id("payment", order_id))
    first = charge_id_of(derived_id("payment", order_id))
    charge = shop.provider.find(payment.charge_id if payment and payment.charge_id else first)
    refunds = shop.payments.refunds(derived_id("payment", order_id))
    found = [*_order(order, came_back, shop), *_money(order, payment, charge, (given_back, taken), shop)]
    found += [*_refunds(order, payment, refunds, shop), *_stock(order, (came_back, written_off), shop, stocked)]
    stuck = [f"{step} was parked again and again" for step in set(shop.parked) if shop.parked.count(step) >= PATIENT]
    found += [
        *_coupons(order, shop),
        *_owner(order, payment, shop),
        *_documents(order, payment, refunds, shop),
        *_parcel(order, shop),
        *_events(order, payment, refunds, shop),
        *_mails(shop),
        *_sums(shop),
    ]
    return [*found, *shop.bus.dead, *stuck]


def _order(order: Order, came_back: int, shop: Shop) -> Iterator[str]:
    bought = sum(line.quantity for line in order.lines)
    if order.status not in (*_SOLD, Status.CANCELLED) or (order.status is Status.REFUNDED) != (came_back == bought):
        yield f"the order stays {order.status}, {came_back} of {bought} came back"
    returned = sum(order.returned(line.product_id) for line in order.lines)
    if returned != came_back:
        yield f"the order knows of {returned} that came back, of {came_back}"
    before: Order | None = None
    for recorded in shop.orders.history(order.id):
        fact = recorded.fact
        if before is not None and before.status not in _FROM.get(type(fact), (before.status,)):
            yield f"{type(fact).__name__} of an order that is {before.status}"
        before = apply(before, fact, recorded.at)
    rebuilt = shop.orders.rebuild(order.id, utc_now())
    if rebuilt is None or not (rebuilt.was_right and rebuilt.equal):
        yield f"the row in the list of orders is not what the facts make of it: {rebuilt}"


def _sums(shop: Shop) -> Iterator[str]:
    """The stored sums by day must equal the sums computed from the facts of all orders, each counted once."""
    table = shop.orders._table
    expected: Days = {}
    for order_id in order_ids(table.name):
        for key, sums in fold(shop.orders.history(order_id))[0].items():
            expected[key] = expected.get(key, Sums()) + sums
    told = DaySums(table).between(date.min, date.max)
    if told != expected:
        yield f"the sums by day are {told}, and the facts make {expected}"


def _money(
    order: Order, payment: Payment | None, charge: Charge | None, gone: tuple[int, int], shop: Shop
) -> Iterator[str]:
    """`gone` is what was refunded, and what the buyer's bank keeps beside that."""
    given_back, taken = gone
    sold = order.status in _SOLD
    left = _left(shop, charge)
    captured, refunded = (payment.captured, payment.refunded) if payment else (0, 0)
    due = order.total.amount - given_back if sold else shop.by_hand
    if captured - refunded != due:
        yield f"the payment kept {captured - refunded} of {due}"
    if left != due - taken:
        yield f"the provider kept {left} of {due - taken}"
    if payment and payment.disputed != taken:
        yield f"the payment says that the bank keeps {payment.disputed}, and the bank {taken}"
    for held in charges_of(order.id, shop):
        if held.status in (ChargeStatus.AUTHORIZED, ChargeStatus.ACTION_REQUIRED):
            yield f"the provider still has the charge of {held.reference} as {held.status}"
        if held.status is ChargeStatus.CAPTURED and held != charge:
            yield f"the provider has also captured {held.reference}"
    if payment and payment.status in (PaymentState.CREATED, PaymentState.ACTION_REQUIRED, PaymentState.AUTHORIZED):
        yield f"the payment stays {payment.status}"
    if captured and payment and payment.status is not _status_of(captured, refunded):
        yield f"the payment says {payment.status}, with {refunded} of {captured} refunded"
    if payment and (lacking := agreement.mismatch(payment)):
        yield f"the reconciler would say {lacking}"
    expected = {PaymentStatus.CAPTURED} if sold else {PaymentStatus.NONE, PaymentStatus.FAILED}
    if shop.by_hand:
        expected = {PaymentStatus.NONE, PaymentStatus.CAPTURED}
    if refunded == captured == order.total.amount:
        # A capture that was only made to be refunded publishes no payment.completed, so the order may not know of it.
        expected = {PaymentStatus.REFUNDED}
    if order.payment_status not in expected:
        yield f"the order says {order.payment_status}, not {' or '.join(sorted(expected))}"


def charges_of(order_id: str, shop: Shop) -> list[Charge]:
    """The charges of all attempts at the order's payment, as the provider has them."""
    references = [reference_of(derived_id("payment", order_id), number) for number in range(1, MOST_ATTEMPTS + 1)]
    found = [shop.provider.find(charge_id_of(reference)) for reference in references]
    return [charge for charge in found if charge]


def _refunds(order: Order, payment: Payment | None, refunds: list[Refund], shop: Shop) -> Iterator[str]:
    """Each refund was made once, and payment, order, events and returns state the same amounts."""
    refunded = payment.refunded if payment else 0
    if payment and payment.claimed != refunded:
        yield f"{payment.claimed - refunded} is set aside for a refund that never came"
    refunds = [refund for refund in refunds if refund.status is not RefundStatus.WRITTEN_OFF]
    done = {refund.refund_id: refund.amount.amount for refund in refunds if refund.status is RefundStatus.DONE}
    if len(done) < len(refunds) or sum(done.values()) != refunded:
        yield f"{refunded} was refunded, by {[(refund.amount.amount, refund.status.value) for refund in refunds]}"
    if order.refunded.amount != refunded or order.refund_ids != done.keys():
        yield f"the order knows of {order.refunded.amount} refunded, the payment of {refunded}"
    told = sorted((event["refund_id"], event["amount"]["amount"]) for event in shop.bus.of_type("payment.refunded"))
    if told != sorted(done.items()):
        yield f"{told} was announced as refunded, {done} was"
    for made in order.returns:
        if made.refunded is not None and made.refunded.amount != done.get(made.refund_id, 0):
            yield f"return {made.return_id} says {made.refunded.amount}, its refund {done.get(made.refund_id, 0)}"
        if made.status is ReturnStatus.RECEIVED:
            yield f"return {made.return_id} waits for its money"


def _status_of(captured: int, refunded: int) -> PaymentState:
    if not refunded:
        return PaymentState.CAPTURED
    return PaymentState.REFUNDED if refunded == captured else PaymentState.PARTIALLY_REFUNDED


def _left(shop: Shop, charge: Charge | None) -> int:
    """The money that the provider captured and has not refunded, as its own records state."""
    if charge is None:
        return 0
    item = shop.tables["Payments"].get(f"SANDBOX#CHARGE#{charge.charge_id}", "CHARGE")
    return int(item["left"]) if item else 0


def _stock(order: Order, came: tuple[int, int], shop: Shop, stocked: int) -> Iterator[str]:
    """`came` is how many units were received, and how many of them were written off."""
    came_back, written_off = came
    stock = shop.stock.stock(PRODUCT)
    audit = shop.stock.audit(PRODUCT)
    assert stock
    assert audit
    sold = order.status in _SOLD
    gone = sum(line.quantity for line in order.lines) - came_back + written_off if sold else 0
    due = (stocked + NEIGHBOUR - gone, NEIGHBOUR)
    if (stock.on_hand, stock.reserved) != due:
        yield f"stock: {stock.on_hand} on hand and {stock.reserved} reserved, expected {due[0]} and {due[1]}"
    entries = [entry for entry in shop.stock.ledger(PRODUCT, 100, None)[0] if entry.reason.startswith("return ")]
    booked = tuple(sum(entry.delta for entry in entries if entry.kind == kind) for kind in ("adjustment", "write_off"))
    if booked != (came_back, -written_off):
        yield f"the ledger has {booked} of returns, of which {came_back} came and {written_off} were written off"
    if not audit.balanced:
        yield f"the ledger says {audit.ledger_sum} in {audit.ledger_entries} entries, the stock {audit.on_hand}"
    reservation = shop.stock.reservation(order.id)
    if reservation is not None and reservation.state is not (State.SHIPPED if sold else State.RELEASED):
        yield f"the order is {order.status}, its reservation {reservation.state}"


def _coupons(order: Order, shop: Shop) -> Iterator[str]:
    """Each coupon has the use of the neighbour's order, those of rivals, and that of this order exactly if it is sold.
    No coupon has more uses than its limit.
    """
    sold = order.status in _SOLD
    assert order.coupons
    for code, limit in USES.items():
        mine = int(sold and code in order.coupons.codes)
        expected = 1 + mine + (shop.rivals if code == COUPON else 0)
        coupon = shop.coupons.find(code)
        assert coupon
        if (used := shop.coupons.uses([coupon])[code]) != expected or used > limit:
            yield f"{used} uses of {code} are counted, expected {expected}, and {limit} at most"
        if (counted := shop.coupons.standings([code], order.coupons.customer)[code].used_by_customer) != mine:
            yield f"{counted} uses of {code} by the customer are counted, expected {mine}"
    claim = shop.claims.find(order.id)
    if claim is not None and claim.state is not (Claimed.FINAL if sold else Claimed.RELEASED):
        yield f"the order is {order.status}, its claim {claim.state}"


def _owner(order: Order, payment: Payment | None, shop: Shop) -> Iterator[str]:
    """A guest's order is claimed once or not at all. Either its link opens it, or the account has it, with its payment
    and its parcel.
    """
    if not order.guest_id:
        return
    if not shop.links.sent:
        yield "the guest has got no link"
    for subject, body in shop.mailbox.sent:
        mailed = body.partition("/guest-order#token=")[2].partition("\n")[0]
        in_account = order.customer_id == CUSTOMER and f"https://shop.example/orders/{order.id}\n" in body
        opened = shop.orders.find_linked(links.digest_of(mailed))
        if subject in _ASKS.values() and opened != order.id and not in_account:
            yield f"the mail {subject!r} has no link that opens the order"
    token = links.token_of(CART, order.id)
    opens = shop.orders.find_linked(links.digest_of(token)) == order.id and order.is_guests
    listed = order.id in shop.orders.ids_of_address(links.address_digest(EMAIL))
    if listed != opens:
        yield f"the order of {order.customer_id} is {'' if listed else 'not '}listed for its address"
    claims = sum(isinstance(recorded.fact, facts.OrderClaimed) for recorded in shop.orders.history(order.id))
    told = len(shop.bus.of_type("order.claimed"))
    if (order.customer_id, claims, told) not in ((order.guest_id, 0, 0), (CUSTOMER, 1, 1)):
        yield f"{order.customer_id} has the order after {claims} claims, of which {told} were published"
    shipment = shop.shipments.load(shipment_id_of(order.id)).shipment
    if shipment and shipment.customer_id != order.customer_id:
        yield f"{order.customer_id} has the order, and {shipment.customer_id} its parcel"
    if payment and payment.customer_id not in ("", order.customer_id):  # one that was never authorized is nobody's
        yield f"{order.customer_id} has the order, and {payment.customer_id} its payment"


def _parcel(order: Order, shop: Shop) -> Iterator[str]:
    shipment = shop.shipments.load(shipment_id_of(order.id)).shipment
    status = shipment.status if shipment else None
    if order.status is Status.CANCELLED and status not in (None, ParcelStatus.CANCELLED):
        yield f"the order is cancelled, its parcel {status}"
    collected = shop.has_collected(booking_key_of(shipment_id_of(order.id)))
    if collected != (order.status in _SOLD):
        yield f"the order is {order.status}, and the carrier has {'' if collected else 'not '}collected its parcel"
    if order.status in _SOLD and status is not (ParcelStatus.FAILED if _is_lost(order) else ParcelStatus.DELIVERED):
        yield f"the order is {order.status}, its parcel {status}"


def _is_lost(order: Order) -> bool:
    """Whether the carrier gave the parcel up, so that the whole order was refunded without a delivery."""
    return any(made.reason in OPERATORS for made in order.returns)


def _events(order: Order, payment: Payment | None, refunds: list[Refund], shop: Shop) -> Iterator[str]:
    refunds = [refund for refund in refunds if refund.status is RefundStatus.DONE]
    counts = Counter(event["type"] for event in shop.bus.published)
    ids = Counter(event["id"] for event in shop.bus.published)
    for event_id, count in ids.items():
        if count > 1:
            yield f"event {event_id} was written {count} times"
    for event_type in _ONCE:
        if counts[event_type] > 1:
            yield f"{counts[event_type]} × {event_type}"
    must: dict[str, Any] = {
        "order.created": 1,
        "order.cancellation_requested": int(order.cancellation is not None),
        "order.return_accepted": 0,
        "order.return_approved": sum(_is_approval(recorded.fact) for recorded in shop.orders.history(order.id)),
        "order.return_refused": sum(made.status is ReturnStatus.REFUSED for made in order.returns),
        "order.return_received": sum(bool(made.received) for made in order.returns),
        "payment.failed": int(payment is not None and payment.status in _UNPAID),
        "payment.refunded": len(refunds),
        "order.refunded": len(refunds),
        "notification.sent": len(shop.mailbox.sent) + len(_in_app(shop)) + 1,  # the welcome
    }
    if order.status in _SOLD:
        # payment.authorized may be missing: a capture that the provider reports first skips that state.
        done = ("order.confirmed", "payment.completed", "inventory.reserved", "order.shipped")
        parcel = ("shipment.created", "shipment.dispatched")
        must |= dict.fromkeys((*done, *parcel), 1) | {"order.cancelled": 0, "inventory.released": 0}
        must |= dict.fromkeys(("order.delivered", "shipment.delivered"), int(not _is_lost(order)))
    else:
        must |= {"order.cancelled": 1, "order.shipped": 0, "inventory.released": counts["inventory.reserved"]}
    for event_type, count in must.items():
        if counts[event_type] != count:
            yield f"{counts[event_type]} × {event_type}, expected {count}"


def _is_approval(fact: Fact) -> bool:
    return isinstance(fact, facts.ReturnApproved) or (isinstance(fact, facts.ReturnRequested) and fact.is_approved)


def _documents(order: Order, payment: Payment | None, refunds: list[Refund], shop: Shop) -> Iterator[str]:
    """Invoice less credit notes is the money that was kept, each refund has one credit note, and no number is missing.
    The lines of an invoice are the order's charges: their sum is the total of the order and of the payment.

    What an operator paid back outside the shop has none. A part of the order's total that was captured pays nothing, so
    it has no invoice, and its refund no credit note.
    """
    listed = shop.documents.of_order(order.id)
    charged = [(one.kind.value, one.amount, one.tax) for one in order.charges]
    for one in listed:
        document = shop.documents.get(one.document_id)
        assert document
        lines = [(line.kind.value, line.amount, line.tax) for line in document.lines]
        sums = (sum(amount.amount for _, amount, _ in lines), sum(tax.amount for *_, tax in lines))
        if sums != (document.total.amount, document.tax.amount):
            yield f"the lines of {one.number} add up to {sums}, not to {document.total} with {document.tax} of tax"
        if one.kind is DocumentKind.INVOICE and (lines != charged or document.total != order.total):
            yield f"{one.number} has the lines {lines}, and the order {charged}"
    if sum(amount.amount for _, amount, _ in charged) != order.total.amount:
        yield f"the charges {charged} are not the total of {order.total}"
    taxes = Counter[DocumentKind]()
    for one in listed:
        taxes[one.kind] += one.tax.amount
    if payment and payment.captured and payment.refunded == payment.captured and len(set(taxes.values())) > 1:
        yield f"the whole payment was refunded, and of its tax {taxes}"
    signs = {DocumentKind.INVOICE: 1, DocumentKind.CREDIT_NOTE: -1}
    told = sum(signs[one.kind] * one.total.amount for one in listed)
    kept = payment.captured - payment.refunded if payment else 0
    if told != kept:
        yield f"the documents say {told}, the payment kept {kept}"
    done = sum(refund.status is RefundStatus.DONE for refund in refunds)
    counts = Counter(one.kind for one in listed)
    published = any(event["type"] == "payment.completed" for event in shop.bus.published)
    is_part = payment is not None and 0 < payment.captured < order.total.amount
    due = (0, 0) if is_part else (int(published or done > 0), done)
    if (counts[DocumentKind.INVOICE], counts[DocumentKind.CREDIT_NOTE]) != due:
        yield f"{dict(counts)} were issued for {done} refunds"
    for kind, count in counts.items():
        positions = [one.position for one in shop.documents.all_of(series_of(kind, listed[0].issued_at))]
        if positions != list(range(1, count + 1)):
            yield f"the numbers of {kind} are {positions}"


def _in_app(shop: Shop) -> list[dict[str, Any]]:
    """The notifications whose mails were withheld."""
    sent = (event["data"] for event in shop.bus.published if event["type"] == "notification.sent")
    return [data for data in sent if data["channel"] == "in_app"]


def _mails(shop: Shop) -> Iterator[str]:
    """The customer gets exactly one mail for each event that sends mails, but none that a later event has overtaken."""
    told = [
        (event["type"], event["data"])
        for event in shop.bus.published
        if event["type"] in _SUBJECTS and event["data"].get("reason") not in OPERATORS
    ]
    due = Counter(_SUBJECTS[event_type](data) for event_type, data in told)
    sent = Counter(subject for subject, _ in shop.mailbox.sent)
    for subject in sorted(due.keys() | sent.keys()):
        least = 0 if subject in _OVERTAKEN else due[subject]
        if not least <= sent[subject] <= due[subject]:
            yield f"{sent[subject]} × the mail {subject!r}, expected {due[subject]}"
