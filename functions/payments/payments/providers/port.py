"""The port to whoever moves the money.

Every call that moves something carries a key of ours, derived from the order and the step: the same key again is the
same act, and gets the same answer, a refusal too. What it refused it will not do with that key any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from mercato.errors import TransientError
from mercato.money import Money
from payments.domain import Charge, Intent


class ProviderTimeout(Exception):
    """No answer came. It may have been done or not; the same call with the same key, or `find`, will tell."""


class ProviderUnavailable(Exception):
    """The provider says that it cannot now. Nothing was done."""


class ProviderDeclined(Exception):
    """The provider says no: nothing was done, and to this key it will say no again."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@contextmanager
def transient() -> Iterator[None]:
    """No answer, or not now: both are worth another try with the same key."""
    try:
        yield
    except (ProviderTimeout, ProviderUnavailable) as error:
        raise TransientError(f"{type(error).__name__}: {error}") from error


class Provider(Protocol):
    """Each method but `expected_id` may raise ProviderTimeout or ProviderUnavailable."""

    def expected_id(self, reference: str) -> str:
        """The id that its charge will have; empty where only the provider gives it, in `prepare`."""
        ...

    def prepare(self, reference: str, amount: Money, token: str, key: str) -> str:
        """Tell what is to come; nothing is held yet. Returns the charge's id. Raises ProviderDeclined."""
        ...

    def authorize(self, intent: Intent, token: str, key: str) -> Charge:
        """Hold the money. A bank's no is an answer too: a charge that is declined. Raises ProviderDeclined where the
        charge was voided before, or is not what it was prepared as.
        """
        ...

    def capture(self, charge_id: str, key: str) -> Charge:
        """Take all of what is held. Raises ProviderDeclined."""
        ...

    def void(self, charge_id: str, key: str) -> Charge:
        """Let go of what is held; where nothing is yet, nothing ever will be. Raises ProviderDeclined, as where it was
        captured.
        """
        ...

    def refund(self, charge_id: str, amount: Money, key: str) -> None:
        """Give back some of what was taken. Raises ProviderDeclined."""
        ...

    def find(self, charge_id: str) -> Charge | None:
        """The truth about one charge; None where the provider has never heard of it."""
        ...
