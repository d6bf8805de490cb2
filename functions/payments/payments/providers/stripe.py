"""Stripe, through its own library: PaymentIntents with manual capture.

A charge is a PaymentIntent. `prepare` creates it unconfirmed, and its id is stored in our record before `authorize`
confirms it. So the outcome of any call can be read by that id, without a search.

| Stripe answers                                | the adapter returns                                             |
|-----------------------------------------------|-----------------------------------------------------------------|
| 402, a card error                             | declined, with the bank's reason                                |
| 400, 404: not in this state, key reused       | the intent's current state; else ProviderDeclined               |
| 401, 403: our key is wrong                    | ProviderUnavailable, and the key is read again                  |
| 409, 429: the key is in use, too many requests| ProviderUnavailable: nothing was done                           |
| 5xx                                           | the intent's current state; else ProviderTimeout                |
| no answer                                     | ProviderTimeout                                                 |
| processing                                    | the intent's current state; else ProviderTimeout                |
| requires_action                               | action required, with the client secret for Stripe.js           |

Stripe keeps an idempotency key for at least a day. After that, the intent's state, and our id on a refund, make a retry
idempotent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from fractions import Fraction
from typing import Any

import stripe
import urllib3

from mercato.clock import epoch
from mercato.invocation import deadline
from mercato.money import Money
from payments.domain import NOT_CONFIRMED, Action, Charge, ChargeStatus, Dispute, DisputeStatus, Intent, ListedDispute
from payments.providers.port import ProviderDeclined, ProviderTimeout, ProviderUnavailable

API = "https://api.stripe.com"
_CONNECT, _READ = 2.0, 5.0  # seconds
_AUTHENTICATION = "Your bank asks you to confirm this payment. You can also use another card."
# Stripe's units per unit of ISO 4217, where they differ (docs.stripe.com/currencies): hundredths where ISO has none,
# and whole ariary where ISO has hundredths.
_SCALES = {"ISK": Fraction(100), "UGX": Fraction(100), "MGA": Fraction(1, 100)}
_STATUSES = {
    "requires_confirmation": ChargeStatus.PREPARED,
    "processing": ChargeStatus.PREPARED,
    "requires_action": ChargeStatus.ACTION_REQUIRED,
    "requires_capture": ChargeStatus.AUTHORIZED,
    "succeeded": ChargeStatus.CAPTURED,
    "canceled": ChargeStatus.VOIDED,
}
_DISPUTES = {
    "warning_needs_response": DisputeStatus.INQUIRY,
    "warning_under_review": DisputeStatus.INQUIRY,
    "warning_closed": DisputeStatus.CLOSED,
    "prevented": DisputeStatus.CLOSED,
    "needs_response": DisputeStatus.OPEN,
    "under_review": DisputeStatus.OPEN,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
}
_NOT_NOW = (409, 429)
_PAGE = 100

stripe.enable_telemetry = False


class StripeProvider:
    """`read_key` returns the secret key. `forget_key` is called if Stripe refuses it."""

    def __init__(self, read_key: Callable[[], str], forget_key: Callable[[], None], api: str = API) -> None:
        self._read_key = read_key
        self._forget_key = forget_key
        self._api = api
        self._wire = StripeTransport()

    def expected_id(self, reference: str) -> str:
        return ""

    def prepare(self, reference: str, amount: Money, token: str, key: str) -> str:
        with self._errors():
            intent = self._intents().create(
                {
                    "amount": _in_stripes_units(amount),
                    "currency": amount.currency.lower(),
                    "capture_method": "manual",
                    "payment_method": token,
                    "payment_method_types": ["card"],
                    "metadata": {"payment_id": reference},
                },
                {"idempotency_key": key},
            )
        return str(intent.id)

    def authorize(self, intent: Intent, token: str, key: str) -> Charge:
        try:
            with self._errors():
                charge = _charge(self._intents().confirm(intent.charge_id, None, {"idempotency_key": key}))
        except _Refused as refused:
            if refused.is_cards:
                return _declined(intent, refused)
            return self._look(intent.charge_id, refused, *ChargeStatus)
        except _Broke as broke:
            return self._look(intent.charge_id, broke, *ChargeStatus)
        if charge.status is not ChargeStatus.PREPARED:
            return charge
        # "processing": a retry with the same key would get this answer for a day.
        return self._look(intent.charge_id, ProviderTimeout("Stripe has not decided yet"), *ChargeStatus)

    def capture(self, charge_id: str, key: str) -> Charge:
        try:
            with self._errors():
                return _charge(self._intents().capture(charge_id, None, {"idempotency_key": key}))
        except (_Refused, _Broke) as error:
            return self._look(charge_id, error, ChargeStatus.CAPTURED)

    def void(self, charge_id: str, key: str) -> Charge:
        try:
            with self._errors():
                return _charge(self._intents().cancel(charge_id, None, {"idempotency_key": key}))
        except (_Refused, _Broke) as error:
            return self._look(charge_id, error, ChargeStatus.VOIDED)

    def refund(self, charge_id: str, amount: Money, key: str) -> None:
        """Looks for the refund first, since a retry may come after Stripe has forgotten the key."""
        with self._errors():
            client = self._client()
            status = self._refund_status(client, charge_id, key)
            if status is None:
                asked: Any = {
                    "payment_intent": charge_id,
                    "amount": _in_stripes_units(amount),
                    "metadata": {"refund_id": key},
                }
                status = client.v1.refunds.create(asked, {"idempotency_key": key}).status
        if status in ("failed", "canceled"):
            raise ProviderDeclined(f"refund_{status}", "The bank did not take the money back.")

    def find(self, charge_id: str) -> Charge | None:
        try:
            with self._errors():
                return _charge(self._intents().retrieve(charge_id, {"expand": ["latest_charge"]}))
        except _Refused as refused:
            if refused.is_unknown:
                return None
            raise ProviderUnavailable(f"Stripe does not show {charge_id}: {refused}") from refused

    def disputes(self, charge_id: str) -> list[Dispute]:
        try:
            with self._errors():
                found = self._client().v1.disputes.list({"payment_intent": charge_id, "limit": _PAGE})
                listed = [one.to_dict() for one in found.auto_paging_iter()]
        except _Refused as refused:
            raise ProviderUnavailable(f"Stripe does not list the disputes of {charge_id}: {refused}") from refused
        charge = self.find(charge_id) if listed else None
        return [_dispute(one, charge.amount) for one in listed] if charge else []

    def list_disputes(self, since: datetime) -> list[ListedDispute]:
        asked: Any = {"created": {"gte": epoch(since)}, "expand": ["data.payment_intent"], "limit": _PAGE}
        try:
            with self._errors():
                listed = self._client().v1.disputes.list(asked)
                return [_listed(one.to_dict()) for one in listed.auto_paging_iter()]
        except (_Refused, _Broke) as error:
            raise ProviderUnavailable(f"Stripe does not list the disputes: {error}") from error

    def _look(self, charge_id: str, error: ProviderDeclined | ProviderTimeout, *expected: ChargeStatus) -> Charge:
        """The charge's current state, if Stripe's answer left it open. A retry with the key would repeat a
        stored error.
        """
        charge = self.find(charge_id)
        if charge is None or charge.status is ChargeStatus.PREPARED or charge.status not in expected:
            raise error
        return charge

    def _refund_status(self, client: stripe.StripeClient, charge_id: str, key: str) -> str | None:
        made = client.v1.refunds.list({"payment_intent": charge_id, "limit": _PAGE})
        for refund in made.auto_paging_iter():
            found = refund.to_dict()
            if (found.get("metadata") or {}).get("refund_id") == key:
                return found["status"] or "pending"
        return None

    def _intents(self) -> Any:
        return self._client().v1.payment_intents

    def _client(self) -> stripe.StripeClient:
        """The saga retries with the same key, so the library makes no retries."""
        return stripe.StripeClient(
            self._read_key(), base_addresses={"api": self._api}, max_network_retries=0, http_client=self._wire
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except stripe.APIConnectionError as error:
            raise ProviderTimeout(str(error)) from error
        except (stripe.AuthenticationError, stripe.PermissionError) as error:
            self._forget_key()
            raise ProviderUnavailable(f"Stripe refuses our key; see StripeKey in Secrets Manager: {error}") from error
        except (stripe.CardError, stripe.InvalidRequestError, stripe.IdempotencyError) as error:
            raise _Refused(error) from error
        except stripe.StripeError as error:
            if error.http_status in _NOT_NOW:
                raise ProviderUnavailable(str(error)) from error
            raise _Broke(str(error)) from error


class _Broke(ProviderTimeout):
    """5xx: Stripe does not know the outcome either."""


class _Refused(ProviderDeclined):
    def __init__(self, error: stripe.StripeError) -> None:
        answer = error.error
        reason = (answer and (getattr(answer, "decline_code", None) or answer.code)) or "refused"
        super().__init__(reason, error.user_message or "The payment provider refused.")
        self.is_cards = isinstance(error, stripe.CardError)
        self.is_unknown = error.http_status == 404


def _declined(intent: Intent, refused: _Refused) -> Charge:
    return Charge(
        intent.charge_id,
        intent.reference,
        ChargeStatus.DECLINED,
        intent.amount,
        reason=refused.reason,
        detail=refused.detail,
    )


def _charge(found: stripe.PaymentIntent) -> Charge:
    intent: Mapping[str, Any] = found.to_dict()
    status, reason, detail = _STATUSES.get(intent["status"]), "", ""
    if status is None:
        wrong = intent.get("last_payment_error") or {}
        status = ChargeStatus.DECLINED if wrong else ChargeStatus.PREPARED
        reason, detail = wrong.get("decline_code") or wrong.get("code") or "declined", wrong.get("message") or ""
    action = None
    if status is ChargeStatus.ACTION_REQUIRED:
        reason, detail = NOT_CONFIRMED, _AUTHENTICATION
        action = Action(client_secret=intent["client_secret"])
    currency = str(intent["currency"]).upper()
    latest = intent.get("latest_charge")
    is_captured = status is ChargeStatus.CAPTURED
    taken = intent.get("amount_received") if is_captured else None
    given_back = _given_back(latest) if is_captured and isinstance(latest, dict) else 0
    return Charge(
        charge_id=intent["id"],
        reference=(intent.get("metadata") or {}).get("payment_id", ""),
        status=status,
        amount=_in_our_units(taken or intent["amount"], currency),
        refunded=_in_our_units(given_back, currency).amount,
        reason=reason,
        detail=detail,
        action=action,
    )


def _given_back(charge: Mapping[str, Any]) -> int:
    """What was refunded of the captured money. Stripe counts what was held and not captured as refunded, too: it makes
    a refund of that by itself.
    """
    held: int = charge["amount"]
    captured: int = charge.get("amount_captured", held)
    refunded: int = charge.get("amount_refunded", 0)
    return max(0, refunded - (held - captured))


def _dispute(found: Mapping[str, Any], charged: Money) -> Dispute:
    """In another currency it counts as one of the whole charge: its rate is unknown, and nothing is refunded twice."""
    disputed = _in_our_units(found["amount"], str(found["currency"]).upper())
    amount = disputed.amount if disputed.currency == charged.currency else charged.amount
    # A status that Stripe adds later counts as open: nothing is refunded until it is known.
    status = _DISPUTES.get(found["status"], DisputeStatus.OPEN)
    return Dispute(found["id"], amount, status, found.get("reason") or "")


def _in_stripes_units(money: Money) -> int:
    units = money.amount * _SCALES.get(money.currency, Fraction(1))
    if units.denominator != 1:
        raise ProviderDeclined(
            "amount_not_payable", f"{money} cannot be paid by card: the smallest part is a whole one."
        )
    return units.numerator


def _listed(found: Mapping[str, Any]) -> ListedDispute:
    """A charge that was made without an intent is not ours."""
    intent = found.get("payment_intent") or {}
    status = _DISPUTES.get(found["status"], DisputeStatus.OPEN)
    reference = (intent.get("metadata") or {}).get("payment_id", "")
    return ListedDispute(intent.get("id", ""), reference, found["id"], status)


def _in_our_units(units: int, currency: str) -> Money:
    return Money(amount=int(units / _SCALES.get(currency, Fraction(1))), currency=currency)


class StripeTransport(stripe.HTTPClient):
    """Sends the library's requests through urllib3, which the layer has, within the invocation's remaining time."""

    name = "urllib3"

    def __init__(self) -> None:
        super().__init__()
        self._pool = urllib3.PoolManager(maxsize=4)

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        timeout = urllib3.Timeout(connect=deadline.within(_CONNECT), read=deadline.within(_READ))
        try:
            answer = self._pool.request(
                method.upper(),
                url,
                body=post_data,
                headers=dict(headers or {}),
                timeout=timeout,
                retries=False,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise stripe.APIConnectionError(str(error)) from error  # type: ignore[no-untyped-call]
        return answer.data.decode(), answer.status, answer.headers

    def close(self) -> None:
        self._pool.clear()
