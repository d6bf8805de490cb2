"""What an order is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from mercato.money import Money


class Status(StrEnum):
    PENDING = "pending"
    CONFIRMED = "confirmed"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    NEEDS_ATTENTION = "needs_attention"


class PaymentStatus(StrEnum):
    """In the order in which a payment may go: never back."""

    NONE = "none"
    AUTHORIZED = "authorized"
    FAILED = "failed"
    CAPTURED = "captured"
    REFUNDED = "refunded"

    def may_become(self, other: PaymentStatus) -> bool:
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


class Address(_Value):
    name: str
    line1: str
    line2: str | None = None
    city: str
    postcode: str
    country: str


class Shipment(_Value):
    shipment_id: str
    carrier: str
    tracking_number: str


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the order's story, as the customer reads it."""

    at: datetime
    status: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it stands after `version` facts. `fingerprint` tells whether a repeated request is the same one.

    It holds no personal data, so that neither facts nor anything made of them need be rewritten when its customer's
    account is closed: the address is beside the stream.
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
    timeline: tuple[Step, ...] = ()
