"""What the tests of all services try with payments. tests/kit/cases.py says what each list is for."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import boto3
import stripe

from mercato.aws.secret import StoredSecret
from mercato.clock import utc_now
from mercato.ids import derived_id
from mercato.store.dynamo import Table
from payments import usecases, wiring
from payments.providers.sandbox import charge_id_of
from payments.providers.webhooks import ChargeChanged
from payments.store import PaymentStore
from tests.conftest import NOON
from tests.integration.payments.stripe_till import VISA
from tests.integration.payments.till import PAYMENT
from tests.kit.asked import Asked, asking, signed
from tests.kit.cases import (
    Accepted,
    Data,
    Expiring,
    Given,
    Heard,
    Keyed,
    KeyedRequest,
    MayGo,
    Refused,
    RefusedElsewhere,
)
from tests.kit.given import money

_SECRET = "the-webhooks-secret"

# ---- requests that succeed


def _trust() -> None:
    """Makes payments accept webhooks signed with _SECRET."""
    secret = boto3.client("secretsmanager", "us-east-1").create_secret(Name="hook", SecretString=_SECRET)
    vars(wiring.ports()).update(webhook_secret=StoredSecret(secret["ARN"]))


def _asked_by_the_bank(till: Any) -> Asked:
    till.attempt("tok_confirm_ok")
    return Asked(f"/api/payments/sandbox/challenges/{charge_id_of(PAYMENT)}", {"outcome": "confirmed"}, user="u-1")


def _guest_asked_by_the_bank(till: Any) -> Asked:
    till.customer = "guest:1"
    till.attempt("tok_confirm_ok")
    path = f"/api/payments/guests/sandbox/challenges/{charge_id_of(PAYMENT)}"
    return Asked(path, {"outcome": "confirmed"}, user="")


def _captured_unheard(till: Any) -> Asked:
    _trust()
    till.authorize()
    till.provider.capture(charge_id_of(PAYMENT), derived_id("o-1", "capture"))
    told = {"id": "evt-1", "type": "charge", "data": {"reference": PAYMENT}}
    return signed("/api/payments/webhooks/sandbox", told, _SECRET, NOON)


def _captured_at_stripe(till: Any) -> Asked:
    _trust()
    till.authorize(VISA)
    intent = till.charge()["id"]
    till.wire.post(f"/v1/payment_intents/{intent}/capture")
    told = {"id": "ch_1", "object": "charge", "payment_intent": intent}
    text = json.dumps({"id": "evt_1", "object": "event", "type": "charge.captured", "data": {"object": told}})
    signature = stripe.WebhookSignature.generate_signature_header(text, _SECRET, timestamp=int(NOON.timestamp()))
    return Asked("/api/payments/webhooks/stripe", text, user="", headers={"Stripe-Signature": signature})


ACCEPTED = (
    Accepted("POST /api/payments/sandbox/challenges/{charge_id}", _asked_by_the_bank),
    Accepted("POST /api/payments/guests/sandbox/challenges/{charge_id}", _guest_asked_by_the_bank),
    Accepted("POST /api/payments/webhooks/sandbox", _captured_unheard),
    Accepted("POST /api/payments/webhooks/stripe", _captured_at_stripe, "stripe_till"),
)

# ---- requests with an Idempotency-Key


def _refunding(till: Any) -> KeyedRequest:
    till.paid()
    one, other = ({"amount": {"amount": pence, "currency": "GBP"}, "reason": "damaged"} for pence in (400, 300))
    return KeyedRequest(f"/api/payments/{PAYMENT}/refunds", one, other)


KEYED = (Keyed("POST /api/payments/{payment_id}/refunds", _refunding),)

# ---- requests that are refused


_CLAIMED = {
    "PAYMENT#": "a refund is claimed before the provider is asked; its refusal gives the claim back and stays known",
    "SANDBOX#": "the sandbox's own table of what it answered",
}


def _refunding_amount(amount: int, currency: str = "GBP", *, token: str = "tok_ok") -> Given:  # noqa: S107
    def given(till: Any) -> Asked:
        till.authorize(token)
        till.capture()
        body = {"amount": money(amount, currency), "reason": "damaged"}
        return Asked(f"/api/payments/{PAYMENT}/refunds", body, role="admin")

    return given


def _refunding_disputed(till: Any) -> Asked:
    asked = _refunding_amount(5)(till)
    till.provider.dispute(charge_id_of(PAYMENT), "dp-1", 400)
    changed = ChargeChanged("evt-1", payment_id=PAYMENT, is_dispute=True)
    usecases.observe(changed, wiring.ports(), utc_now())
    return asked


def _refunding_uncaptured(till: Any) -> Asked:
    till.authorize()
    return Asked(f"/api/payments/{PAYMENT}/refunds", {"amount": money(5), "reason": "damaged"}, role="admin")


_REFUND = "POST /api/payments/{payment_id}/refunds"
REFUSED = (
    Refused(
        _REFUND,
        "unknown-payment",
        asking("/api/payments/nothing/refunds", {"amount": money(5), "reason": "damaged"}, role="admin"),
    ),
    Refused(
        "POST /api/payments/sandbox/challenges/{charge_id}",
        "unknown-payment",
        asking("/api/payments/sandbox/challenges/ch_nobodys", {"outcome": "confirmed"}),
    ),
    Refused(
        "POST /api/payments/guests/sandbox/challenges/{charge_id}",
        "unknown-payment",
        asking("/api/payments/guests/sandbox/challenges/ch_nobodys", {"outcome": "confirmed"}, user=""),
    ),
    Refused(_REFUND, "not-refundable", _refunding_uncaptured),
    Refused(_REFUND, "refund-too-large", _refunding_amount(1001)),
    Refused(_REFUND, "wrong-currency", _refunding_amount(5, "EUR")),
    Refused(_REFUND, "payment-disputed", _refunding_disputed),
    Refused(_REFUND, "refund-refused", _refunding_amount(5, token="tok_refund_declined"), _CLAIMED),
)
REFUSED_ELSEWHERE = (
    RefusedElsewhere(
        "POST /api/payments/{payment_id}/refunds",
        "too-many-refunds",
        "held by tests/integration/payments/test_refunds.py",
    ),
)

# ---- events


def _captured(till: Any) -> Data:
    till.paid()
    return {"order_id": "o-1", "amount": {"amount": 400, "currency": "GBP"}}


def _captured_from_guest(till: Any) -> Data:
    till.customer = "guest:1"
    till.paid()
    return {"order_id": "o-1", "customer_id": "u-1"}


HEARD = (
    Heard("payments", "order.confirmed", _captured),
    Heard("payments", "order.cancelled", _captured),
    Heard("payments", "order.claimed", _captured_from_guest),
    Heard("payments", "order.return_accepted", _captured),
    Heard("payments", "order.return_received", _captured),
)

# ---- items that expire


def _webhook(table: Table, now: datetime) -> object:
    return PaymentStore(table).is_webhook_done("event-1", now)


EXPIRING = (
    Expiring(
        "webhook's mark",
        "PaymentsTable",
        ("payments.store:PaymentStore.mark_webhook_done",),
        lambda table, now: PaymentStore(table).mark_webhook_done("event-1", now),
        _webhook,
    ),
)
MAY_GO = (MayGo("functions/payments/payments/store.py", "a webhook's id, longer than a provider delivers it again"),)
