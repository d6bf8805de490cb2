"""Stripe's webhooks: signed by Stripe's own library, received before or after our own response, processed once."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import boto3
import pytest
import stripe

from mercato.clock import utc_now
from mercato.errors import TransientError
from payments import reconciler, wiring
from payments.providers.port import ProviderUnavailable
from payments.providers.stripe import StripeProvider
from tests.integration.payments.localstripe import KEY, Trouble, Wire
from tests.integration.payments.stripe_till import PAYMENT, VISA, StripeTill, paid

SECRET = "whsec_of_this_shop"


@pytest.fixture
def webhook(stripe_till: StripeTill, monkeypatch: pytest.MonkeyPatch) -> Any:
    secret = boto3.client("secretsmanager", "us-east-1").create_secret(Name="stripe-hook", SecretString=SECRET)
    monkeypatch.setenv("WEBHOOK_SECRET_ID", secret["ARN"])
    wiring.ports.cache_clear()

    def send(
        kind: str,
        told: dict[str, Any],
        event_id: str = "evt_1",
        *,
        secret: str = SECRET,
        age: int = 0,
        header: str | None = None,
    ) -> int:
        body = json.dumps({"id": event_id, "object": "event", "type": kind, "data": {"object": told}})
        if header is None:
            sign = stripe.WebhookSignature.generate_signature_header
            header = sign(body, secret, timestamp=int(time.time()) - age)
        headers = {"Stripe-Signature": header}
        status, problem = stripe_till.call("POST", "/payments/webhooks/stripe", body, role=None, headers=headers)
        assert problem is None or SECRET not in str(problem)
        return status

    return send


def test_an_authorization_whose_answer_was_lost_is_heard_of(stripe_till: StripeTill, webhook: Any) -> None:
    stripe_till.wire.fail("/confirm", Trouble.LOST)
    with pytest.raises(TransientError):
        stripe_till.authorize(VISA)
    told = stripe_till.charge()
    assert webhook("payment_intent.amount_capturable_updated", told) == 204
    assert (stripe_till.status(), stripe_till.heard()) == ("authorized", ["payment.authorized"])
    stripe_till.authorize(VISA)
    assert stripe_till.heard() == ["payment.authorized"]


def test_the_same_event_twice_is_one_and_a_late_one_moves_nothing_back(stripe_till: StripeTill, webhook: Any) -> None:
    stripe_till.authorize(VISA)
    early = stripe_till.charge()
    stripe_till.capture()
    before = stripe_till.events()
    calls = len(stripe_till.wire.calls)
    assert [webhook("payment_intent.succeeded", early) for _ in range(2)] == [204, 204]
    assert len(stripe_till.wire.calls) == calls + 1
    assert webhook("payment_intent.amount_capturable_updated", early, "evt_0") == 204
    assert (stripe_till.status(), stripe_till.events()) == ("captured", before)


def test_what_hangs_on_the_intent_is_about_the_intent(stripe_till: StripeTill, webhook: Any) -> None:
    stripe_till.authorize(VISA)
    intent = stripe_till.charge()["id"]
    stripe_till.wire.post(f"/v1/payment_intents/{intent}/capture")
    told = {"id": "ch_1", "object": "charge", "payment_intent": intent}
    assert webhook("charge.captured", told) == 204
    assert (stripe_till.status(), stripe_till.money()) == ("captured", (1000, 0))


def test_a_refund_made_at_stripes_is_kept_for_the_operator(stripe_till: StripeTill, webhook: Any) -> None:
    paid(stripe_till)
    intent = stripe_till.charge()["id"]
    stripe_till.wire.post("/v1/refunds", payment_intent=intent, amount="200")
    assert webhook("charge.refunded", {"object": "charge", "payment_intent": intent}) == 204
    item = stripe_till.table.get(f"PAYMENT#{PAYMENT}", "PAYMENT")
    assert item is not None
    assert (item["astray"], item["refunded"], "gsi1pk" in item) == (200, 0, True)
    assert stripe_till.heard() == ["payment.authorized", "payment.completed"]


def disputed(till: StripeTill, status: str, amount: int = 1000, currency: str = "gbp") -> dict[str, Any]:
    """A dispute as Stripe's reference shows it; the list has it alone."""
    dispute = {
        "id": "du_1MtJUT2eZvKYlo2CNaw2HvEv",
        "object": "dispute",
        "amount": amount,
        "charge": "ch_1AZtxr2eZvKYlo2CJDX8whov",
        "currency": currency,
        "is_charge_refundable": False,
        "metadata": {},
        "payment_intent": till.charge()["id"],
        "reason": "general",
        "status": status,
    }
    till.wire.disputes[:] = [dispute]
    return dispute


@pytest.mark.parametrize(
    ("end", "money"),
    [("won", [201, 0]), ("lost", [409, 1000]), ("warning_closed", [201, 0]), ("needs_response", [409, 1000])],
)
def test_a_dispute_at_stripes_stops_refunds_until_it_is_decided(
    stripe_till: StripeTill, webhook: Any, end: str, money: list[int]
) -> None:
    paid(stripe_till)
    assert webhook("charge.dispute.created", disputed(stripe_till, "needs_response")) == 204
    assert stripe_till.refund(100)[1]["type"] == "urn:mercato:problem:payment-disputed"
    created = disputed(stripe_till, "needs_response")
    assert webhook("charge.dispute.closed", disputed(stripe_till, end), "evt_2") == 204
    assert webhook("charge.dispute.funds_withdrawn", created, "evt_0") == 204  # late: the state is asked for
    shown = stripe_till.call("GET", f"/payments/{PAYMENT}")[1]
    assert [stripe_till.refund(100, key="k-2")[0], shown["disputed"]["amount"]] == money


def test_a_dispute_at_stripes_whose_message_was_lost_is_found(stripe_till: StripeTill, webhook: Any) -> None:
    paid(stripe_till)
    ours = disputed(stripe_till, "needs_response", 400)
    stripe_till.wire.disputes.append(ours | {"id": "du_2", "payment_intent": None})  # of a charge without an intent
    later = utc_now() + timedelta(minutes=10)
    assert reconciler.reconcile(wiring.ports(), later, lambda: True).left == 0
    shown = stripe_till.call("GET", f"/payments/{PAYMENT}")[1]
    assert [(one["dispute_id"], one["status"]) for one in shown["disputes"]] == [(ours["id"], "open")]
    assert stripe_till.refund(100)[0] == 409
    [path] = {
        path for _, path, _ in stripe_till.wire.calls if "/v1/disputes?" in path and "payment_intent=" not in path
    }
    assert f"created[gte]={int((later - timedelta(days=30)).timestamp())}" in unquote(path)
    assert webhook("charge.dispute.created", ours) == 204  # it comes late
    assert stripe_till.heard().count("payment.disputed") == 1


def test_where_there_is_no_list_of_disputes_none_is_taken_for_read(wire: Wire) -> None:
    """Stripe answers with an empty list where there are none. A 404 is of another address than Stripe's."""
    with pytest.raises(ProviderUnavailable, match="does not list the disputes"):
        StripeProvider(lambda: KEY, lambda: None, wire.upstream).list_disputes(utc_now())


def test_a_refund_of_an_intent_whose_disputes_stripe_does_not_list_may_be_tried_again(stripe_till: StripeTill) -> None:
    """As with the key of another account: neither the refund nor the list is granted."""
    paid(stripe_till)
    stripe_till.wire.knows_intents = False
    assert stripe_till.refund(100)[0] == 503
    stripe_till.wire.knows_intents = True
    assert stripe_till.refund(100)[0] == 201


def test_a_question_of_the_bank_takes_nothing_and_a_status_of_later_stops_refunds(
    stripe_till: StripeTill, webhook: Any
) -> None:
    paid(stripe_till)
    assert webhook("charge.dispute.created", disputed(stripe_till, "warning_needs_response")) == 204
    assert stripe_till.refund(100)[0] == 201
    assert webhook("charge.dispute.updated", disputed(stripe_till, "a_new_status", 300), "evt_2") == 204
    assert stripe_till.refund(100, key="k-2")[0] == 409


@pytest.mark.parametrize(
    ("amount", "status", "code"), [(5, "needs_response", 409), (250000, "lost", 409), (5, "won", 201)]
)
def test_a_dispute_in_another_currency_counts_as_one_of_the_whole_charge(
    stripe_till: StripeTill, webhook: Any, amount: int, status: str, code: int
) -> None:
    paid(stripe_till)
    assert webhook("charge.dispute.created", disputed(stripe_till, status, amount, "jpy")) == 204
    shown = stripe_till.call("GET", f"/payments/{PAYMENT}")[1]
    assert [one["amount"] for one in shown["disputes"]] == [{"amount": 1000, "currency": "GBP"}]
    assert stripe_till.refund(100)[0] == code


def test_money_at_stripe_that_no_payment_knows_of_is_not_lost(stripe_till: StripeTill, webhook: Any) -> None:
    fields = {"amount": "700", "currency": "gbp", "payment_method": VISA, "metadata[payment_id]": "pay-of-a-lost-table"}
    intent = stripe_till.wire.post("/v1/payment_intents", confirm="true", capture_method="manual", **fields)
    assert webhook("payment_intent.amount_capturable_updated", intent) == 204
    stray = stripe_till.table.get(f"CHARGE#{intent['id']}", "STRAY")
    assert stray is not None
    assert (stray["reference"], stray["amount"], stray["status"]) == ("pay-of-a-lost-table", 700, "authorized")


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("balance.available", {"object": "balance"}),
        ("invoice.paid", {"id": "in_1", "object": "invoice", "payment_intent": {"id": "pi_1"}}),
        ("payment_intent.created", {"id": 7, "object": "payment_intent"}),
        ("refund.created", {"id": "re_1", "object": "refund", "payment_intent": None}),
        ("payment_intent.succeeded", {"id": "pi_of_another_shop", "object": "payment_intent", "metadata": {}}),
    ],
)
def test_what_does_not_concern_us_is_taken_and_ignored(
    stripe_till: StripeTill, webhook: Any, kind: str, told: dict[str, Any]
) -> None:
    assert webhook(kind, told) == 204
    assert stripe_till.status() is None


NOW = int(time.time())


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "whsec_guess"},
        {"age": 301},
        {"age": -301},
        {"header": ""},
        {"header": "v1=00"},
        {"header": f"t={NOW}"},
        {"header": f"t={NOW},t={NOW},v1=00"},
        {"header": f"t={NOW},v0=00"},
        {"header": "t=soon,v1=ä"},
    ],
)
def test_what_stripe_did_not_sign_now_is_refused_without_saying_why(
    stripe_till: StripeTill, webhook: Any, wrong: dict[str, Any]
) -> None:
    stripe_till.authorize(VISA)
    calls = len(stripe_till.wire.calls)
    assert webhook("payment_intent.succeeded", stripe_till.charge(), **wrong) == 401
    assert len(stripe_till.wire.calls) == calls


def test_while_the_secret_is_rotated_either_signature_will_do(stripe_till: StripeTill, webhook: Any) -> None:
    body = json.dumps({"id": "evt_1", "object": "event", "type": "ping", "data": {"object": {}}})
    right = stripe.WebhookSignature.generate_signature_header(body, SECRET)
    header = right.replace(",v1=", ",v1=00,v1=")
    headers = {"Stripe-Signature": header}
    assert stripe_till.call("POST", "/payments/webhooks/stripe", body, role=None, headers=headers)[0] == 204
    headers = {"Stripe-Signature": header.rpartition(",")[0]}
    assert stripe_till.call("POST", "/payments/webhooks/stripe", body, role=None, headers=headers)[0] == 401


def test_a_webhook_while_stripe_is_away_is_sent_again(stripe_till: StripeTill, webhook: Any) -> None:
    stripe_till.authorize(VISA)
    told = stripe_till.charge()
    stripe_till.wire.post(f"/v1/payment_intents/{told['id']}/capture")
    stripe_till.wire.deaf = True
    assert webhook("payment_intent.succeeded", told) == 503
    stripe_till.wire.deaf = False
    assert webhook("payment_intent.succeeded", told) == 204
    assert stripe_till.status() == "captured"
