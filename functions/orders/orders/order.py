"""The order: its values and its state."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from mercato.charges import Charge, Kind
from mercato.dataclass import dataclass
from mercato.languages import KnownLanguage
from mercato.money import Money


class Status(StrEnum):
    PENDING = "pending"
    CONFIRMED = "confirmed"
    CANCELLING = "cancelling"  # the customer wants no order any more, and it is being undone
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    NEEDS_ATTENTION = "needs_attention"
    REFUNDED = "refunded"  # all came back, and all the money went back


# An order stores this many requests to cancel after it is already being cancelled: people press a button a few times,
# faulty programs endlessly. Further requests change nothing and get the order as it is.
MAX_ANSWERED = 20


class ReturnStatus(StrEnum):
    REQUESTED = "requested"  # waits for the approval by staff
    APPROVED = "approved"  # waits for the goods
    REFUSED = "refused"
    CANCELLED = "cancelled"
    RECEIVED = "received"  # the refund is under way
    REFUNDED = "refunded"

    @property
    def is_open(self) -> bool:
        return self in (ReturnStatus.REQUESTED, ReturnStatus.APPROVED)


DELIVERY = "Delivery"  # where an order is stuck whose parcel the carrier has given up


class PaymentStatus(StrEnum):
    """Ordered by progress. A payment's status never goes back."""

    NONE = "none"
    AUTHORIZED = "authorized"
    FAILED = "failed"
    CAPTURED = "captured"
    REFUNDED = "refunded"

    def may_become(self, other: Self) -> bool:
        order = list(PaymentStatus)
        return order.index(other) > order.index(self)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True)


class Line(_Value):
    product_id: str
    sku: str
    name: str
    quantity: int
    unit_price: Money


class OrderedCart(_Value):
    """The cart that an order was made of, at the version that the customer saw."""

    id: str
    version: int


class PostalAddress(_Value):
    """`postcode` is empty where the country has none. `region` is its code, if it has one."""

    name: str
    company: str | None = None
    line1: str
    line2: str | None = None
    city: str
    region: str | None = None
    postcode: str = ""
    country: str
    phone: str | None = None


class Address(PostalAddress):
    """Where the parcel goes. `billing` is where the invoice goes, if that is another address."""

    billing: PostalAddress | None = None


class Contact(_Value):
    """Whom to write to about an order of a guest."""

    email: str
    name: str


class ReturnedLine(_Value):
    product_id: str
    quantity: int


class ReceivedLine(_Value):
    """`quantity` units are refunded: `restock` of them go back into stock, and `write_off` cannot be sold again. Units
    of a lost parcel are neither.
    """

    product_id: str
    quantity: int
    restock: int = 0
    write_off: int = 0


class Delivery(_Value):
    """The delivery service that the buyer chose. `days` is how long it takes, as it was promised. The goods weigh
    `weight_grams`; older orders do not say.
    """

    carrier: str
    service: str
    name: str
    days: int
    weight_grams: int | None = None


class Awaited(_Value):
    """What an order waits for from its buyer: a confirmation at the bank (`action_required`), or another card
    (`declined`), until a time.

    `version` is the payment's when the saga asked: a later one is news. `asked_at` is when it asked, and tells one
    question from the next. `is_answered`: the buyer or the provider has answered, and the saga makes the attempt.
    """

    attempt: int
    state: Literal["action_required", "declined"]
    reason: str
    detail: str
    until: datetime
    version: int
    asked_at: str
    is_answered: bool = False


class Action(_Value):
    """What the buyer does at the bank: opens `url`, or gives `client_secret` to the payment provider's script."""

    url: str = ""
    client_secret: str = ""


class ClaimedCoupons(_Value):
    """The codes of the coupons that made the order cheaper, and the customer whose uses of them are counted."""

    codes: tuple[str, ...]
    customer: str


class Request(_Value):
    """A request with an Idempotency-Key. The id is derived from the key, `fingerprint` from the request's content."""

    id: str
    fingerprint: str


class Shipment(_Value):
    shipment_id: str
    carrier: str
    tracking_number: str


@dataclass(frozen=True)
class Guest:
    """Whom to write to about a guest's order, and the digest of the link that opens it."""

    contact: Contact
    link: str


@dataclass(frozen=True)
class Step:
    """One entry of the order's timeline, as the customer reads it."""

    at: datetime
    status: str
    detail: str | None = None


@dataclass(frozen=True)
class Return:
    """Goods that come back. `lines` are what was requested and `received` what came. `refund_id` is the refund's key.

    `amount` is what would be refunded for `lines` until the goods are received, and then what is to be refunded for
    them. `refunded` is None until the money is refunded. `since` is when the return got its status.
    """

    return_id: str
    refund_id: str
    lines: tuple[ReturnedLine, ...]
    amount: Money
    reason: str
    at: datetime
    status: ReturnStatus
    since: datetime
    refunded: Money | None = None
    charges: tuple[Charge, ...] = ()
    received: tuple[ReceivedLine, ...] = ()
    refusal: str | None = None


@dataclass(frozen=True)
class Answered:
    """A processed request, and the order's version after it."""

    request: Request
    version: int


@dataclass(frozen=True)
class Order:
    """An order after `version` facts. `fingerprint` shows whether a repeated request is the same one.

    It holds no personal data, so neither facts nor anything derived from them is rewritten when the customer's account
    is closed: the address is stored outside the stream. `cancellation` is the customer's reason to cancel. `number` is
    for people; orders of earlier releases have none.
    `waits_for_buyer`: where the payment is declined or the bank asks for the buyer, the order waits for an answer.
    """

    id: str
    customer_id: str
    lines: tuple[Line, ...]
    total: Money
    payment_token: str
    fingerprint: str
    placed_at: datetime
    updated_at: datetime
    refunded: Money
    version: int = 1
    status: Status = Status.PENDING
    payment_status: PaymentStatus = PaymentStatus.NONE
    payment_id: str | None = None
    reason: str | None = None
    detail: str | None = None
    shipment: Shipment | None = None
    stuck_at: str | None = None
    customer_left: bool = False
    is_anonymous: bool = False  # what was kept of its customer's person is erased
    refund_ids: frozenset[str] = frozenset()
    cancellation: str | None = None
    returns: tuple[Return, ...] = ()
    answered: tuple[Answered, ...] = ()
    timeline: tuple[Step, ...] = ()
    frozen: tuple[Charge, ...] = ()  # the charges of the quote that was placed; none for an order without a quote
    delivery: Delivery | None = None
    number: str | None = None
    language: KnownLanguage = None  # of the messages about it; the shop's own if None
    waits_for_buyer: bool = False
    attempt: int = 1  # the number of the payment's current attempt, whose card is `payment_token`
    payment_answers: int = 0  # how often the buyer has answered
    payment_version: int = 0  # of the payment that the provider last decided
    awaited: Awaited | None = None
    coupons: ClaimedCoupons | None = None
    guest_id: str = ""  # the guest who placed it; empty for an order of an account

    @property
    def is_guests(self) -> bool:
        """No account has claimed the order of a guest yet."""
        return bool(self.guest_id) and self.customer_id == self.guest_id

    @property
    def charges(self) -> tuple[Charge, ...]:
        """What the buyer pays, line by line. They add up to `total`."""
        return self.frozen or tuple(_charge_of(line) for line in self.lines)

    @property
    def has_waited(self) -> bool:
        """Whether the saga has waited for the buyer."""
        return self.awaited is not None or self.payment_answers > 0 or self.payment_version > 0

    @property
    def has_left(self) -> bool:
        return self.shipment is not None

    @property
    def is_given_up(self) -> bool:
        """The carrier has given up the parcel, and the order has not ended yet."""
        return self.status is Status.NEEDS_ATTENTION and self.stuck_at == DELIVERY

    @property
    def delivered_at(self) -> datetime | None:
        return next((step.at for step in self.timeline if step.status == Status.DELIVERED), None)

    def find_return(self, return_id: str) -> Return | None:
        return next((one for one in self.returns if one.return_id == return_id), None)

    def returned(self, product_id: str) -> int:
        """The returned quantity of a product."""
        return self.returned_pieces.get(product_id, 0)

    @property
    def returned_pieces(self) -> dict[str, int]:
        """The returned quantity by product, without products that were not returned."""
        return _pieces(line for made in self.returns for line in made.received)

    def requestable_pieces(self, *, by_staff: bool = False) -> dict[str, int]:
        """The quantity of each product for which a return may be requested: neither returned nor in an open return.

        What staff has refused, only staff may request.
        """
        gone = _pieces(line for made in self.returns for line in self._claimed(made, by_staff=by_staff))
        return {line.product_id: max(0, line.quantity - gone.get(line.product_id, 0)) for line in self.lines}

    @staticmethod
    def _claimed(made: Return, *, by_staff: bool) -> tuple[ReturnedLine | ReceivedLine, ...]:
        if made.status is ReturnStatus.CANCELLED or (made.status is ReturnStatus.REFUSED and by_staff):
            return ()
        return made.received or made.lines

    @property
    def is_returned(self) -> bool:
        """All goods are returned, and no refund is pending."""
        returned = self.returned_pieces
        if any(returned.get(line.product_id, 0) < line.quantity for line in self.lines):
            return False
        return all(made.status is not ReturnStatus.RECEIVED for made in self.returns)


def _pieces(lines: Iterable[ReturnedLine | ReceivedLine]) -> dict[str, int]:
    pieces: dict[str, int] = {}
    for line in lines:
        pieces[line.product_id] = pieces.get(line.product_id, 0) + line.quantity
    return pieces


def _charge_of(line: Line) -> Charge:
    """The charge of a line that was ordered without a quote: its tax is not known here."""
    return Charge(
        kind=Kind.GOODS,
        product_id=line.product_id,
        description=line.name,
        quantity=line.quantity,
        amount=line.unit_price * line.quantity,
        tax=Money.zero(line.unit_price.currency),
        rate="0.0000",
        tax_class="",
        jurisdiction="",
    )
