"""Access to payments, and the provider's webhooks."""

from __future__ import annotations

import json
import time
from typing import Any

import boto3
import pytest

from mercato.errors import TransientError
from mercato.ids import derived_id
from mercato.money import Money
from mercato.webhooks import sign
from payments.domain import Intent
from payments.events import PUBLISHES
from payments.providers.sandbox import charge_id_of

PAYMENT = derived_id("payment", "o-1")
SECRET = "s3cret"


def test_the_owner_and_an_admin_see_a_payment_with_its_refunds(till: Any) -> None:
    till.paid()
    till.refund(300)
    status, shown = till.call("GET", f"/payments/{PAYMENT}", role="customer", user="u-1")
    assert status == 200
    refunds = shown.pop("refunds")
    assert shown == {
        "payment_id": PAYMENT,
        "order_id": "o-1",
        "order_number": None,
        "customer_id": "u-1",
        "status": "partially_refunded",
        "amount": {"amount": 1000, "currency": "GBP"},
        "captured": {"amount": 1000, "currency": "GBP"},
        "refunded": {"amount": 300, "currency": "GBP"},
        "reason": "",
        "detail": "",
        "attempts": 1,
        "disputed": {"amount": 0, "currency": "GBP"},
        "disputes": [],
    }
    assert [(refund["amount"]["amount"], refund["status"]) for refund in refunds] == [(300, "done")]
    assert till.call("GET", f"/payments/{PAYMENT}")[0] == 200


def test_anybody_elses_payment_does_not_exist(till: Any) -> None:
    till.paid()
    mine = till.call("GET", f"/payments/{PAYMENT}", role="customer", user="u-2")
    nobodys = till.call("GET", "/payments/nowhere", role="customer", user="u-2")
    assert (
        (mine[0], mine[1]["type"]) == (nobodys[0], nobodys[1]["type"]) == (404, "urn:mercato:problem:unknown-payment")
    )
    assert till.call("GET", f"/payments/{PAYMENT}", role=None)[0] == 401


def test_staff_finds_the_payment_of_an_order(till: Any) -> None:
    assert till.call("GET", "/payments?order_id=o-1") == (200, {"items": []})
    till.paid()
    status, found = till.call("GET", "/payments?order_id=o-1")
    assert (status, found["items"]) == (200, [till.call("GET", f"/payments/{PAYMENT}")[1]])
    assert till.call("GET", "/payments?order_id=o-1", role="customer", user="u-1")[0] == 403
    assert till.call("GET", "/payments")[0] == 422


@pytest.fixture
def webhook(till: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    secret = boto3.client("secretsmanager", "us-east-1").create_secret(Name="hook", SecretString=SECRET)
    monkeypatch.setenv("WEBHOOK_SECRET_ID", secret["ARN"])

    def send(event_id: str, reference: str = PAYMENT, *, secret: str = SECRET, age: int = 0, body: Any = None) -> int:
        text = (
            body
            if body is not None
            else json.dumps({"id": event_id, "type": "charge", "data": {"reference": reference}})
        )
        timestamp = str(int(time.time()) - age)
        headers = {"X-Webhook-Timestamp": timestamp, "X-Webhook-Signature": sign(secret, timestamp, text.encode())}
        status, _ = till.call("POST", "/payments/webhooks/sandbox", text, role=None, headers=headers)
        return int(status)

    return send


def test_a_webhook_tells_what_we_did_not_hear(till: Any, webhook: Any) -> None:
    with pytest.raises(TransientError):
        till.authorize("tok_timeout_once")
    assert webhook("evt-1") == 204
    assert (till.status(), till.heard()) == ("authorized", ["payment.authorized"])
    assert till.authorize("tok_timeout_once") == {"payment_id": PAYMENT}
    assert till.heard() == ["payment.authorized"]


def test_a_capture_at_the_provider_completes_the_payment_once(till: Any, webhook: Any) -> None:
    till.authorize()
    till.provider.capture(charge_id_of(PAYMENT), derived_id("o-1", "capture"))
    assert [webhook("evt-1"), webhook("evt-1"), webhook("evt-2")] == [204, 204, 204]
    till.capture()
    assert till.heard() == ["payment.authorized", "payment.completed"]
    assert till.money() == (1000, 0)


def test_a_webhook_never_moves_a_payment_backwards(till: Any, webhook: Any) -> None:
    till.paid()
    till.refund(1000)
    before = till.events()
    assert webhook("evt-late") == 204
    assert (till.status(), till.events()) == ("refunded", before)


def test_a_webhook_lets_go_of_a_charge_that_came_after_its_void(till: Any, webhook: Any) -> None:
    till.task("VoidPayment")
    asked = Intent(charge_id_of(PAYMENT), PAYMENT, Money(amount=1000, currency="GBP"))
    till.provider.authorize(asked, "tok_ok", derived_id("o-1", "authorize"))
    assert webhook("evt-1") == 204
    assert (till.status(), till.held(), till.events()) == ("voided", "voided", [])


def test_a_webhook_of_a_type_we_do_not_know_is_taken_and_ignored(till: Any, webhook: Any) -> None:
    with pytest.raises(TransientError):
        till.authorize("tok_timeout_once")
    other = json.dumps({"id": "evt-1", "type": "payout.paid", "data": {"reference": PAYMENT}})
    assert webhook("evt-1", body=other) == 204
    assert till.status() == "created"


def test_another_providers_webhook_is_nobodys(till: Any, webhook: Any) -> None:
    assert till.call("POST", "/payments/webhooks/stripe", {"id": "evt-1"}, role=None)[0] == 404


def test_a_webhook_about_nothing_we_know_changes_nothing(till: Any, webhook: Any) -> None:
    assert webhook("evt-1", "somebody-elses") == 204
    assert till.status() is None


@pytest.mark.parametrize("wrong", [{"secret": "guess"}, {"age": 301}, {"age": -301}])
def test_a_webhook_that_the_provider_did_not_sign_now_is_refused(
    till: Any, webhook: Any, wrong: dict[str, Any]
) -> None:
    with pytest.raises(TransientError):
        till.authorize("tok_timeout_once")
    assert webhook("evt-1", **wrong) == 401
    assert (till.status(), till.events()) == ("created", [])


def test_a_webhook_without_a_signature_is_refused(till: Any, webhook: Any) -> None:
    assert till.call("POST", "/payments/webhooks/sandbox", {"id": "evt-1"}, role=None)[0] == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("{", 400),
        ("[]", 422),
        ('{"id":"evt-1"}', 422),
        (json.dumps({"id": "e" * 3000, "data": {"reference": "x"}}), 422),
        (json.dumps({"id": "e", "data": {"reference": "x" * 3000}}), 422),
    ],
)
def test_a_signed_webhook_that_cannot_be_read_is_refused(till: Any, webhook: Any, body: str, status: int) -> None:
    assert webhook("evt-1", body=body) == status


def test_a_webhook_that_dies_is_heard_the_next_time(till: Any, webhook: Any, faults: Any) -> None:
    with pytest.raises(TransientError):
        till.authorize("tok_timeout_once")
    for at in (0, 1):
        faults.arm(at, after_effect=False)
        assert webhook("evt-1") == 503
    faults.arm(-1)
    assert webhook("evt-1") == 204
    assert (till.status(), till.heard()) == ("authorized", ["payment.authorized"])


def test_the_example_of_every_event_is_one() -> None:
    for model in PUBLISHES:
        assert json.loads(model(**model.EXAMPLE).model_dump_json()) == model.EXAMPLE
