"""The kinds of error that a service may raise. A domain error subclasses its kind. HTTP, queues and the saga each have
one table from kind to reaction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

PROBLEM = "urn:mercato:problem:"  # before the slug, in the type of a problem document

# `TransientError`, `States.Timeout`, `KeyError`: the form of error names, which reasons in words never have.
_NAME_OF_AN_ERROR = re.compile(r"([A-Z][a-z0-9]+){2,}|[A-Z]\w*(\.\w+)+")


def slug_of(class_name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", class_name).lower()


def problem_slug(document: Mapping[str, Any]) -> str:
    """The slug of a problem document, such as `out-of-stock`. Empty for a document that something in front of a service
    has written, such as a proxy, or Lambda that throttles.
    """
    kind = str(document.get("type"))
    return kind.removeprefix(PROBLEM) if kind.startswith(PROBLEM) else ""


def is_error_name(text: str) -> bool:
    """Whether a reason from the saga is the name of an error, which no customer should read."""
    return _NAME_OF_AN_ERROR.fullmatch(text) is not None


class SagaEnd(StrEnum):
    """The business errors that end an order's saga, by the class names that Step Functions passes on. Each service has
    its own texts for them.
    """

    CANCELLED_BY_CUSTOMER = "CancelledByCustomer"
    CAPTURE_REFUSED = "CaptureRefused"
    CLAIM_EXPIRED = "ClaimExpired"
    COUPON_EXHAUSTED = "CouponExhausted"
    COUPON_USED_UP = "CouponUsedUp"
    OUT_OF_STOCK = "OutOfStock"
    PAYMENT_DECLINED = "PaymentDeclined"
    PAYMENT_NOT_COMPLETED = "PaymentNotCompleted"
    RESERVATION_EXPIRED = "ReservationExpired"
    UNKNOWN_PRODUCT = "UnknownProduct"

    @property
    def slug(self) -> str:
        return slug_of(self)


class DomainError(Exception):
    """A business rule refuses. `str(error)` is for the customer; `extra` goes into the problem document.

    `log_detail` replaces the text in logs if the text may contain a secret of the customer's.
    """

    log_detail: str | None = None

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra

    @classmethod
    def slug(cls) -> str:
        """The stable name of this error: OutOfStock is `out-of-stock`."""
        return slug_of(cls.__name__)


class Malformed(DomainError):
    """The request cannot be parsed."""


class Unauthenticated(DomainError):
    """The access token is missing, expired or not valid."""


class AccountClosed(Unauthenticated):
    """The caller's account is closed. API Gateway caches a token's check for a minute, so a few requests pass."""


class Forbidden(DomainError):
    """The caller's role does not allow this action."""


class NotFound(DomainError):
    """The resource does not exist, or belongs to another caller."""


class MethodNotAllowed(DomainError):
    """The path exists, but not with this method."""


class Conflict(DomainError):
    """The state of the thing does not allow this now."""


class TooLarge(DomainError):
    """The body is larger than the limit."""


class UnsupportedMediaType(DomainError):
    """The body is in a form that is not taken."""


class Invalid(DomainError):
    """The request can be read but makes no sense."""


class IdempotencyKeyReused(Invalid):
    """The Idempotency-Key was already used for a different request."""

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used for another request; please use a new one.")


class TooManyRequests(DomainError):
    """The caller should slow down."""


class TransientError(Exception):
    """A retry may succeed: throttled, timed out, a peer is unavailable. The saga's ASL retries it by this name.

    `retry_after`: the seconds to wait before the retry, if known.
    """

    retry_after: float | None = None
