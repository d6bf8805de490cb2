"""The use cases of orders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Protocol

from mercato.dataclass import dataclass
from mercato.errors import IdempotencyKeyReused
from mercato.ids import derived_id, fingerprint
from mercato.languages import Language
from mercato.money import Money
from mercato.store.event_store import ConcurrencyError
from mercato.store.retry import retry_on_conflict
from orders import domain, links, returns
from orders.domain import (
    InvalidQuote,
    OrderNotFound,
    Priced,
    QuoteAlreadyOrdered,
    QuoteChanged,
    Quoted,
    QuoteExpired,
    VersionNotFound,
    Wanted,
)
from orders.facts import Fact, Recorded, apply
from orders.order import (
    Action,
    Address,
    Awaited,
    Contact,
    Guest,
    Order,
    OrderedCart,
    PaymentStatus,
    ReceivedLine,
    Request,
    ReturnedLine,
    Status,
)
from orders.returns import OPERATORS, Terms

if TYPE_CHECKING:
    from orders.store import Wait

ATTEMPTS = 5
_ORDERS_PER_MARK = 25  # orders between two writes of the progress


class Orders(Protocol):
    def load(self, order_id: str, *, up_to: int | None = None) -> Order | None: ...

    def history(self, order_id: str) -> list[Recorded]: ...

    def place(
        self, order_id: str, facts: Sequence[Fact], address: Address, now: datetime, guest: Guest | None = None
    ) -> Order: ...

    def append(self, order_id: str, before: Order, facts: Sequence[Fact], now: datetime) -> Order: ...

    def keep_wait(self, order_id: str, wait: Wait, now: datetime) -> None: ...

    def find_wait(self, order_id: str, now: datetime) -> Wait | None: ...

    def note_departure(self, customer_id: str, now: datetime) -> str: ...

    def note_progress(self, customer_id: str, place: str) -> None: ...

    def forget_claim(self, customer_id: str) -> None: ...

    def has_left(self, customer_id: str) -> bool: ...

    def ids_of(self, customer_id: str, after: str) -> Iterable[tuple[str, str]]: ...


class Prices(Protocol):
    def price_goods(self, units: Mapping[str, int], address: Address, service: str | None) -> Priced: ...


class Quotes(Protocol):
    def verify_quote(self, customer_id: str, quote: str) -> QuoteAnswer: ...


class Workflows(Protocol):
    def start(self, order: Order) -> None: ...

    def start_cancellation(self, order: Order) -> None: ...

    def start_undo(self, order: Order) -> None: ...


class Sagas(Protocol):
    def answer(self, task_token: str, order: Order) -> None: ...


@dataclass(frozen=True)
class Placement:
    """The content of an order request. `fingerprint` covers the whole request. `seen_total` is the
    total that the customer saw.
    """

    wanted: tuple[Wanted, ...]
    shipping_address: Address
    payment_token: str
    fingerprint: str
    cart: OrderedCart | None = None
    waits_for_buyer: bool = False
    service: str | None = None
    seen_total: Money | None = None
    language: Language | None = None


@dataclass(frozen=True)
class QuoteAnswer:
    """What the checkout says of a quote. `version` is its session's. `sale` is None if something differs from the quote
    by now; `differences` say what, as it was and as it is.
    """

    checkout_id: str
    version: int
    is_expired: bool
    differences: list[dict[str, Any]]
    sale: Sale | None


@dataclass(frozen=True)
class QuotedWish:
    """A quote to be ordered. `cart_id` is the secret of a guest, and empty for a customer."""

    quote: str
    payment_token: str
    customer_id: str
    cart_id: str = ""
    waits_for_buyer: bool = False
    language: Language | None = None


@dataclass(frozen=True)
class Sale:
    """What a quote sells, and where it goes. `email` is the contact's."""

    quoted: Quoted
    shipping_address: Address
    email: str | None = None


@dataclass(frozen=True)
class Command:
    """A command on an order, which its sender may repeat. `customer_id` is None for an admin's command."""

    order_id: str
    customer_id: str | None
    request: Request


@dataclass(frozen=True)
class Done:
    """The order after a request. `replayed`: the request was a duplicate, and this is its first response."""

    order: Order
    replayed: bool


def place_order(
    placement: Placement, customer_id: str, key: str, *, prices: Prices, orders: Orders, now: datetime
) -> Done:
    """Places an order that names no quote: a quote of this moment, made and placed in one step.

    Idempotent: the order's id is derived from customer and key.

    Reads before it writes, since a duplicate must get its first response even if prices have changed.
    """
    order_id = derived_id(customer_id, key)
    earlier = _placed_before(order_id, placement, orders)
    if earlier:
        return earlier
    wanted = domain.merge(placement.wanted)
    units = {line.product_id: line.quantity for line in wanted}  # of two prices of one product, one is refused below
    priced = prices.price_goods(units, placement.shipping_address, placement.service)
    quoted = domain.quote(wanted, priced, placement.seen_total, placement.cart)
    facts = domain.place_quoted(order_id, customer_id, quoted, placement.payment_token, placement.fingerprint)
    facts = domain.in_language(facts, placement.language)
    if placement.waits_for_buyer:
        facts = domain.let_wait(facts)
    try:
        return Done(orders.place(order_id, facts, placement.shipping_address, now), replayed=False)
    except ConcurrencyError:
        other = _placed_before(order_id, placement, orders)
        if other is None:
            raise
        return other


def place_quoted(wish: QuotedWish, *, quotes: Quotes, orders: Orders, now: datetime) -> Done:
    """Places the order that a quote of the checkout states, with its charges.

    Idempotent: the order's id is derived from the session and the version of it that the quote is of, so one version is
    one order. A duplicate gets the first response, also once the quote has expired or prices have changed. Raises
    QuoteExpired, QuoteChanged, and QuoteAlreadyOrdered where the version was ordered with another card.
    """
    customer_id, payment_token = wish.customer_id, wish.payment_token
    answer = quotes.verify_quote(customer_id, wish.quote)
    order_id = derived_id(customer_id, "checkout", answer.checkout_id, str(answer.version))
    placed = fingerprint([answer.checkout_id, answer.version, payment_token])
    earlier = _quoted_before(order_id, placed, orders)
    if earlier:
        return earlier
    if answer.differences or answer.sale is None:
        raise QuoteChanged(answer.differences)
    if answer.is_expired:
        raise QuoteExpired(
            "The quote has expired. Please look at the checkout once more, and order with its new quote."
        )
    sale = answer.sale
    facts = domain.place_quoted(order_id, customer_id, sale.quoted, payment_token, placed)
    facts = domain.in_language(facts, wish.language)
    if wish.waits_for_buyer:
        facts = domain.let_wait(facts)
    guest = _guest_of(sale, wish.cart_id, order_id) if wish.cart_id else None
    try:
        return Done(orders.place(order_id, facts, sale.shipping_address, now, guest), replayed=False)
    except ConcurrencyError:
        other = _quoted_before(order_id, placed, orders)
        if other is None:
            raise
        return other


def _guest_of(sale: Sale, cart_id: str, order_id: str) -> Guest:
    if sale.email is None:
        raise InvalidQuote("This quote has no e-mail address to write to. Please go through the checkout again.")
    contact = Contact(email=sale.email, name=sale.shipping_address.name)
    return Guest(contact, links.digest_of(links.token_of(cart_id, order_id)))


def _quoted_before(order_id: str, placed: str, orders: Orders) -> Done | None:
    order = orders.load(order_id, up_to=1)
    if order and order.fingerprint != placed:
        raise QuoteAlreadyOrdered(order.id)
    return Done(order, replayed=True) if order else None


def _placed_before(order_id: str, placement: Placement, orders: Orders) -> Done | None:
    """The order at its first version, for the same response."""
    order = orders.load(order_id, up_to=1)
    if order is None:
        return None
    if order.fingerprint != placement.fingerprint:
        raise IdempotencyKeyReused
    return Done(order, replayed=True)


def find_order(order_id: str, *, orders: Orders, customer_id: str | None) -> Order:
    """`customer_id` is None for callers who may see every order."""
    order = orders.load(order_id)
    if order is None or customer_id not in (None, order.customer_id):
        raise OrderNotFound("There is no such order.")
    return order


def change_order(order_id: str, decide: Callable[[Order], list[Fact]], *, orders: Orders, now: datetime) -> Order:
    """Loads, decides and appends. Retries if another command appended in between."""

    def write(order: Order) -> Order:
        facts = decide(order)
        return orders.append(order_id, order, facts, now) if facts else order

    return retry_on_conflict(
        lambda: find_order(order_id, orders=orders, customer_id=None),
        write,
        conflict=ConcurrencyError,
        attempts=ATTEMPTS,
    )


def cancel_order(command: Command, reason: str, orders: Orders, now: datetime) -> Done:
    """Cancels an order whose parcel has not left. Accepts an order that is already being cancelled."""
    return _do_once(
        command, lambda order: domain.request_cancellation(order, reason, command.request), orders=orders, now=now
    )


def pay_again(command: Command, payment_token: str | None, orders: Orders, now: datetime) -> Done:
    """The buyer's answer: another card, or without one that the bank's question is answered.

    The saga hears of it by the event of the fact, so that no crash loses it.
    """
    return _do_once(
        command,
        lambda order: domain.attempt_payment(order, payment_token, command.request, now),
        orders=orders,
        now=now,
    )


def ask_buyer(order_id: str, awaited: Awaited, *, orders: Orders, now: datetime) -> int:
    """Says on the order what it waits for. Returns the seconds left, at least one. Idempotent by `asked_at`."""
    change_order(order_id, lambda order: domain.await_buyer(order, awaited, now), orders=orders, now=now)
    return max(1, int((awaited.until - now).total_seconds()))


def await_buyer(order_id: str, wait: Wait, *, orders: Orders, sagas: Sagas, now: datetime) -> None:
    """Stores what the saga waits on, and then looks for an answer that came before. An answer is stored before the wait
    is looked up, so at least one of the two sees the other.
    """
    orders.keep_wait(order_id, wait, now)
    order = find_order(order_id, orders=orders, customer_id=None)
    if order.awaited is None or order.awaited.is_answered:
        sagas.answer(wait.task_token, order)


def wake_saga(order_id: str, *, orders: Orders, sagas: Sagas, now: datetime) -> None:
    """Answers the waiting saga, if it waits and there is news for it: an answer, or that the order is being undone."""
    order = find_order(order_id, orders=orders, customer_id=None)
    wait = orders.find_wait(order_id, now) if order.waits_for_buyer else None
    if wait and (order.awaited is None or order.awaited.is_answered):
        sagas.answer(wait.task_token, order)


def hear_of_payment(order_id: str, version: int, *, orders: Orders, sagas: Sagas, now: datetime) -> None:
    change_order(order_id, lambda order: domain.hear_of_payment(order, version), orders=orders, now=now)
    wake_saga(order_id, orders=orders, sagas=sagas, now=now)


def find_action(order: Order, *, orders: Orders, now: datetime) -> Action | None:
    """What the buyer does at the bank, while the order waits for that."""
    if order.awaited is None or order.awaited.is_answered or order.awaited.state != "action_required":
        return None
    wait = orders.find_wait(order.id, now)
    return wait.action if wait and wait.attempt == order.awaited.attempt else None


def return_goods(
    command: Command, lines: Sequence[ReturnedLine], reason: str, terms: Terms, orders: Orders, now: datetime
) -> Done:
    """Requests a return, or settles the goods of a parcel that was given up. The new return is the order's last."""

    def decide(order: Order) -> list[Fact]:
        if reason in OPERATORS:
            refund_id = _refund_id_of(command, command.request.id)
            return returns.settle_parcel(order, lines, reason, refund_id, command.request)
        return returns.request_return(order, lines, reason, terms, command.request, now)

    return _do_once(command, decide, orders=orders, now=now)


def approve_return(command: Command, return_id: str, orders: Orders, now: datetime) -> Done:
    return _do_once(
        command, lambda order: returns.approve_return(order, return_id, command.request), orders=orders, now=now
    )


def refuse_return(command: Command, return_id: str, refusal: str, orders: Orders, now: datetime) -> Done:
    return _do_once(
        command, lambda order: returns.refuse_return(order, return_id, refusal, command.request), orders=orders, now=now
    )


def cancel_return(command: Command, return_id: str, orders: Orders, now: datetime) -> Done:
    return _do_once(
        command, lambda order: returns.cancel_return(order, return_id, command.request), orders=orders, now=now
    )


def receive_return(
    command: Command, return_id: str, lines: Sequence[ReceivedLine], orders: Orders, now: datetime
) -> Done:
    refund_id = _refund_id_of(command, return_id)
    return _do_once(
        command,
        lambda order: returns.receive_return(order, return_id, lines, refund_id, command.request),
        orders=orders,
        now=now,
    )


def _refund_id_of(command: Command, return_id: str) -> str:
    return derived_id(command.order_id, return_id)


def _do_once(command: Command, decide: Callable[[Order], list[Fact]], *, orders: Orders, now: datetime) -> Done:
    """Idempotent: the fact carries the request's id, so its effect and its record are one write."""
    before: list[int] = []

    def decide_once(order: Order) -> list[Fact]:
        if command.customer_id not in (None, order.customer_id):
            raise OrderNotFound("There is no such order.")
        before[:] = [done.version for done in order.answered if _is_same(done.request, command.request)]
        return [] if before else decide(order)

    order = change_order(command.order_id, decide_once, orders=orders, now=now)
    if before:
        return Done(orders.load(command.order_id, up_to=before[0]) or order, replayed=True)
    return Done(order, replayed=False)


def _is_same(known: Request, request: Request) -> bool:
    if known.id == request.id and known.fingerprint != request.fingerprint:
        raise IdempotencyKeyReused
    return known.id == request.id


def start_workflow(order_id: str, *, orders: Orders, workflows: Workflows, now: datetime) -> None:
    """Starts one workflow per order. An order that is not pending had its workflow, so a late duplicate starts none.

    The account may have been closed after the order was placed and before the index showed it.
    """
    order = find_order(order_id, orders=orders, customer_id=None)
    if order.status is Status.PENDING:
        workflows.start(order)
    if orders.has_left(order.customer_id):
        change_order(order_id, domain.forget_customer, orders=orders, now=now)


def forget_customer(customer_id: str, *, orders: Orders, now: datetime, has_time: Callable[[], bool]) -> bool:
    """The account is closed. Records this first, so that an order that the index does not show yet sees it when its
    saga starts.

    Returns False if time runs out before the last order; the next run continues there. Stores progress now and then, so
    that a killed run repeats few orders, which changes nothing.
    """
    place = orders.note_departure(customer_id, now)
    orders.forget_claim(customer_id)
    for number, (order_id, here) in enumerate(orders.ids_of(customer_id, after=place), 1):
        if not has_time():
            orders.note_progress(customer_id, place)
            return False
        change_order(order_id, domain.forget_customer, orders=orders, now=now)
        place = here
        if number % _ORDERS_PER_MARK == 0:
            orders.note_progress(customer_id, place)
    return True


def start_cancellation(order_id: str, *, orders: Orders, workflows: Workflows) -> None:
    """Starts the cancellation saga. It may run concurrently with the order's saga; every step checks current state."""
    order = find_order(order_id, orders=orders, customer_id=None)
    if order.status is Status.CANCELLING:
        workflows.start_cancellation(order)


def resume_workflow(order: Order, workflows: Workflows) -> bool:
    """Starts the saga of an order whose saga is lost, as after a restore into another account. Returns False where
    nothing is left to do. Idempotent by the execution's name, and each step repeats none of its effects.

    A parked order is in no operator's queue any more. Its undo begins again, and parks it if it fails again.
    """
    is_unpaid = order.payment_status in (PaymentStatus.NONE, PaymentStatus.AUTHORIZED)
    if order.status is Status.PENDING or (order.status is Status.CONFIRMED and is_unpaid):
        workflows.start(order)
    elif order.status is Status.CANCELLING:
        workflows.start_cancellation(order)
    elif (order.status is Status.CONFIRMED and order.payment_status is PaymentStatus.FAILED) or (
        order.status is Status.NEEDS_ATTENTION and not order.is_given_up
    ):
        workflows.start_undo(order)
    else:
        return False
    return True


@dataclass(frozen=True)
class History:
    """The first facts of an order, the order after them, and the version of its last fact."""

    order: Order
    facts: list[Recorded]
    last_version: int


def find_history(
    order_id: str, as_of: datetime | None, version: int | None, *, orders: Orders, customer_id: str | None
) -> History:
    """The facts up to a time and to a version: of two facts in one millisecond, only the version tells them apart.

    Raises OrderNotFound, and VersionNotFound where the order has not that many facts.
    """
    whole = orders.history(order_id)
    facts = list(takewhile(lambda recorded: as_of is None or recorded.at <= as_of, whole[:version]))
    order: Order | None = None
    for recorded in facts:
        order = apply(order, recorded.fact, recorded.at)
    if order is None or customer_id not in (None, order.customer_id):
        raise OrderNotFound("There is no such order.")
    if version is not None and version > whole[-1].version:
        raise VersionNotFound(f"The order has no version {version}: its last one is {whole[-1].version}.")
    return History(order, facts, whole[-1].version)
