"""The kinds of error that a service may raise. A domain error subclasses the kind it is; HTTP, queues and the saga
each have one table from kind to what they do with it.
"""

from __future__ import annotations

import re
from typing import Any


class DomainError(Exception):
    """A business rule said no. `str(error)` is what the customer reads; `extra` goes into the problem document.

    `log_detail` stands for it in logs, where what the customer reads may hold a secret of theirs.
    """

    log_detail: str | None = None

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra

    @classmethod
    def slug(cls) -> str:
        """The stable name of this error: OutOfStock is `out-of-stock`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()


class Malformed(DomainError):
    """The request cannot be read at all."""


class Unauthenticated(DomainError):
    """Nobody, or nobody we know, is asking."""


class AccountClosed(Unauthenticated):
    """The caller's account is closed. API Gateway keeps its answer about a token for a minute, so requests may pass."""


class Forbidden(DomainError):
    """The caller's role does not allow this action."""


class NotFound(DomainError):
    """The thing does not exist, or is not the caller's."""


class MethodNotAllowed(DomainError):
    """The path exists, but not with this method."""


class Conflict(DomainError):
    """The state of the thing does not allow this now."""


class TooLarge(DomainError):
    """The body is over the limit."""


class UnsupportedMediaType(DomainError):
    """The body is in a form that is not taken."""


class Invalid(DomainError):
    """The request can be read and makes no sense."""


class IdempotencyKeyReused(Invalid):
    """The Idempotency-Key was used before, for another request."""

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used for another request; please use a new one.")


class TooManyRequests(DomainError):
    """The caller should slow down."""


class TransientError(Exception):
    """It may work when tried again: throttled, timed out, a peer is away. The saga's ASL retries it by this name.

    `retry_after`: the seconds to wait before that, where something told us.
    """

    retry_after: float | None = None
