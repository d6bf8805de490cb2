"""The provider behind a circuit breaker: when it does not answer, calls fail fast.

Only calls that take money are guarded. Calls that undo (void, refund and find) are retried a bounded number of times by
the saga; a rejection there would only involve an operator sooner.

A decline is an answer. A failure is counted by its card, and only failures of several cards open the circuit: one
customer whose bank does not answer, or a test token that never succeeds, does not close the shop for others.
"""

from __future__ import annotations

from datetime import datetime

from mercato.breaker import Breaker, Policy
from mercato.errors import TransientError
from mercato.ids import fingerprint
from mercato.money import Money
from payments.domain import Charge, Dispute, Intent, ListedDispute
from payments.providers.port import Provider, ProviderTimeout, ProviderUnavailable

CIRCUIT = "payment-provider"
POLICY = Policy(
    failures=5,
    origins=3,
    reset=30.0,
    call_timeout=10.0,
    failing=(ProviderTimeout, ProviderUnavailable),
    ignoring=(TransientError,),  # our own table was busy, which is no failure of the provider
)


class GuardedProvider:
    """A provider whose charges go through a breaker. Raises CircuitOpen, a TransientError, if it is open."""

    def __init__(self, provider: Provider, breaker: Breaker) -> None:
        self._provider = provider
        self._breaker = breaker

    def expected_id(self, reference: str) -> str:
        return self._provider.expected_id(reference)

    def prepare(self, reference: str, amount: Money, token: str, key: str) -> str:
        return self._breaker.call(
            lambda: self._provider.prepare(reference, amount, token, key), origin=fingerprint(token)
        )

    def authorize(self, intent: Intent, token: str, key: str) -> Charge:
        return self._breaker.call(lambda: self._provider.authorize(intent, token, key), origin=fingerprint(token))

    def capture(self, charge_id: str, key: str) -> Charge:
        return self._breaker.call(lambda: self._provider.capture(charge_id, key), origin=charge_id)

    def void(self, charge_id: str, key: str) -> Charge:
        return self._provider.void(charge_id, key)

    def refund(self, charge_id: str, amount: Money, key: str) -> None:
        self._provider.refund(charge_id, amount, key)

    def find(self, charge_id: str) -> Charge | None:
        return self._provider.find(charge_id)

    def disputes(self, charge_id: str) -> list[Dispute]:
        return self._provider.disputes(charge_id)

    def list_disputes(self, since: datetime) -> list[ListedDispute]:
        return self._provider.list_disputes(since)
