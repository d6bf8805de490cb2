"""The port to payment providers.

Every call that moves money carries an idempotency key, derived from the order and the step: a retry with the same key
has one effect and gets the same answer, also a refusal. A refused key never succeeds later.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

from mercato.errors import TransientError
from mercato.money import Money
from payments.domain import Charge, Dispute, Intent, ListedDispute


class ProviderTimeout(Exception):
    """No answer came. The call may have succeeded; a retry with the same key, or `find`, shows it."""


class ProviderUnavailable(Exception):
    """The provider is temporarily unavailable. Nothing was done."""


class ProviderDeclined(Exception):
    """The provider refused. Nothing was done, and a retry with this key gets the same refusal."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@contextmanager
def transient() -> Iterator[None]:
    """Turns a missing answer and an unavailable provider into TransientError: a retry with the same key may succeed."""
    try:
        yield
    except (ProviderTimeout, ProviderUnavailable) as error:
        raise TransientError(f"{type(error).__name__}: {error}") from error


class Provider(Protocol):
    """Each method but `expected_id` may raise ProviderTimeout or ProviderUnavailable."""

    def expected_id(self, reference: str) -> str:
        """The charge's id if the provider derives it from our reference, else ""; then `prepare` returns it."""
        ...

    def prepare(self, reference: str, amount: Money, token: str, key: str) -> str:
        """Announces a charge; nothing is held yet. Returns the charge's id. Raises ProviderDeclined."""
        ...

    def authorize(self, intent: Intent, token: str, key: str) -> Charge:
        """Holds the money. A bank's decline is an answer too: a declined charge. Raises ProviderDeclined if the charge
        was voided before, or differs from what was prepared.
        """
        ...

    def capture(self, charge_id: str, key: str) -> Charge:
        """Captures all of the held money. Raises ProviderDeclined."""
        ...

    def void(self, charge_id: str, key: str) -> Charge:
        """Releases the held money; if none is held yet, none ever will be. Raises ProviderDeclined, also for a captured
        charge.
        """
        ...

    def refund(self, charge_id: str, amount: Money, key: str) -> None:
        """Refunds some of the captured money. Raises ProviderDeclined."""
        ...

    def find(self, charge_id: str) -> Charge | None:
        """The current state of one charge; None if the provider does not know it."""
        ...

    def disputes(self, charge_id: str) -> list[Dispute]:
        """The disputes of a charge by the buyer's bank, closed ones too."""
        ...

    def list_disputes(self, since: datetime) -> list[ListedDispute]:
        """The disputes of all charges that were opened since then, closed ones too."""
        ...


class Bank(Protocol):
    """The bank of a provider that has no page of its own for the buyer's answer."""

    def answer(self, charge_id: str, *, is_confirmed: bool) -> Charge:
        """Changes a charge that waits for the answer, and no other."""
        ...
