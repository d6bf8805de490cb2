"""Stripe as the provider: the real handlers on Stripe's own library, against localstripe."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from mercato.clock import utc_now
from mercato.errors import TransientError
from mercato.ids import derived_id
from mercato.store.dynamo import KeyRange
from payments import usecases, wiring
from payments.domain import CaptureRefused, PaymentDeclined, PaymentVoided
from tests.integration.payments.localstripe import KEY, Trouble
from tests.integration.payments.stripe_till import PAYMENT, VISA, StripeTill, paid
from tests.kit.state_machine import poll

DECLINED, UNKNOWN = "pm_card_chargeCustomerFail", "pm_nobodys"
NEEDS_THE_CUSTOMER = "4000002500003155"
CONFIRM, CAPTURE, CANCEL, REFUND, CREATE = "/confirm", "/capture", "/cancel", "/refunds", "/payment_intents"


def authorize(till: StripeTill, token: str = VISA, amount: int = 1000) -> dict[str, Any]:
    return till.authorize(token, amount)


def test_a_card_is_authorized_and_captured_with_the_keys_of_the_order(stripe_till: StripeTill) -> None:
    authorize(stripe_till)
    assert (stripe_till.status(), stripe_till.held()) == ("authorized", "requires_capture")
    stripe_till.capture()
    assert (stripe_till.held(), stripe_till.money()) == ("succeeded", (1000, 0))
    assert stripe_till.heard() == ["payment.authorized", "payment.completed"]
    charge = stripe_till.charge()
    assert (charge["amount"], charge["currency"]) == (1000, "gbp")
    assert charge["metadata"] == {"payment_id": PAYMENT}
    keys = [key for method, _, key in stripe_till.wire.calls if method == "POST"]
    assert keys == [derived_id("o-1", step) for step in ("prepare", "authorize", "capture")]


def test_the_same_step_twice_asks_stripe_nothing_anew(stripe_till: StripeTill) -> None:
    for _ in range(2):
        authorize(stripe_till)
    for _ in range(2):
        stripe_till.capture()
    assert [stripe_till.wire.count(path) for path in (CREATE, CONFIRM, CAPTURE)] == [1, 1, 1]
    assert stripe_till.everything() == ["succeeded"]


@pytest.mark.parametrize("token", [DECLINED, UNKNOWN])
def test_a_card_that_is_refused_is_a_business_error_with_its_reason(stripe_till: StripeTill, token: str) -> None:
    for _ in range(2):
        with pytest.raises(PaymentDeclined) as declined:
            authorize(stripe_till, token)
        assert declined.value.extra["reason"] == ("card_declined" if token == DECLINED else "refused")
    assert (stripe_till.status(), stripe_till.heard()) == ("declined", ["payment.failed"])
    if token == DECLINED:
        assert stripe_till.events()[0][1]["detail"] == "Your card was declined."
    assert "requires_capture" not in stripe_till.everything()


def test_a_card_whose_bank_wants_to_hear_the_customer_is_declined(stripe_till: StripeTill) -> None:
    card = {"number": NEEDS_THE_CUSTOMER, "exp_month": "12", "exp_year": "2030", "cvc": "123"}
    fields = {f"card[{name}]": value for name, value in card.items()}
    token = stripe_till.wire.post("/v1/payment_methods", type="card", **fields)["id"]
    with pytest.raises(PaymentDeclined) as declined:
        authorize(stripe_till, token)
    assert declined.value.extra["reason"] == "authentication_required"


@pytest.mark.parametrize("path", [CREATE, CONFIRM])
@pytest.mark.parametrize("trouble", [Trouble.LOST, Trouble.AWAY, Trouble.BUSY, Trouble.IN_USE])
def test_an_authorization_without_an_answer_is_tried_again_with_the_same_key(
    stripe_till: StripeTill, path: str, trouble: Trouble
) -> None:
    stripe_till.wire.fail(path, trouble)
    with pytest.raises(TransientError):
        authorize(stripe_till)
    authorize(stripe_till)
    assert (stripe_till.status(), stripe_till.everything()) == ("authorized", ["requires_capture"])
    assert stripe_till.heard() == ["payment.authorized"]
    keys = {key for _, asked, key in stripe_till.wire.calls if asked.endswith(path)}
    assert len(keys) == 1


def test_an_error_that_stripe_remembers_is_seen_through(stripe_till: StripeTill) -> None:
    """The same key would get the same 500 for a day."""
    stripe_till.wire.fail(CONFIRM, Trouble.BROKEN)
    authorize(stripe_till)
    stripe_till.wire.fail(CAPTURE, Trouble.BROKEN)
    stripe_till.capture()
    assert (stripe_till.money(), stripe_till.everything()) == ((1000, 0), ["succeeded"])


@pytest.mark.parametrize("trouble", [Trouble.LOST, Trouble.AWAY, Trouble.BUSY])
def test_a_capture_without_an_answer_takes_the_money_once(stripe_till: StripeTill, trouble: Trouble) -> None:
    authorize(stripe_till)
    stripe_till.wire.fail(CAPTURE, trouble)
    with pytest.raises(TransientError):
        stripe_till.capture()
    stripe_till.capture()
    assert stripe_till.money() == (1000, 0)
    assert stripe_till.heard() == ["payment.authorized", "payment.completed"]


def test_a_capture_that_stripe_refuses_is_a_business_error(stripe_till: StripeTill) -> None:
    authorize(stripe_till)
    stripe_till.wire.post(f"/v1/payment_intents/{stripe_till.charge()['id']}/cancel")
    with pytest.raises(CaptureRefused):
        stripe_till.capture()
    stripe_till.task("VoidPayment")
    assert (stripe_till.status(), stripe_till.held()) == ("failed", "canceled")


@pytest.mark.parametrize("trouble", [None, Trouble.LOST, Trouble.BROKEN, Trouble.AWAY])
def test_a_void_lets_go_of_the_money(stripe_till: StripeTill, trouble: Trouble | None) -> None:
    authorize(stripe_till)
    if trouble:
        stripe_till.wire.fail(CANCEL, trouble)
    if trouble in (Trouble.LOST, Trouble.AWAY):
        with pytest.raises(TransientError):
            stripe_till.task("VoidPayment")
    stripe_till.task("VoidPayment")
    stripe_till.task("VoidPayment")
    assert (stripe_till.status(), stripe_till.everything()) == ("voided", ["canceled"])


@pytest.mark.parametrize("path", [CREATE, CONFIRM])
@pytest.mark.parametrize("trouble", [Trouble.LOST, Trouble.AWAY])
def test_a_void_after_an_authorization_nobody_heard_of_leaves_nothing_held(
    stripe_till: StripeTill, path: str, trouble: Trouble
) -> None:
    stripe_till.wire.fail(path, trouble)
    with pytest.raises(TransientError):
        authorize(stripe_till)
    stripe_till.task("VoidPayment")
    assert (stripe_till.status(), stripe_till.heard()) == ("failed", ["payment.failed"])
    with pytest.raises(PaymentVoided):
        authorize(stripe_till)
    assert "requires_capture" not in stripe_till.everything()


def test_an_authorization_that_comes_after_its_void_is_refused_by_stripe(stripe_till: StripeTill) -> None:
    """It was in flight when the payment was undone."""
    stripe_till.wire.fail(CONFIRM, Trouble.AWAY)
    with pytest.raises(TransientError):
        authorize(stripe_till)
    stripe_till.task("VoidPayment")
    late = stripe_till.wire.post(f"/v1/payment_intents/{stripe_till.charge()['id']}/confirm")
    assert "error" in late
    assert stripe_till.everything() == ["canceled"]


def test_several_refunds_give_back_what_was_captured_and_never_more(stripe_till: StripeTill) -> None:
    paid(stripe_till)
    answers = [stripe_till.refund(amount, key=f"k-{amount}")[0] for amount in (300, 250)]
    assert answers == [201, 201]
    status, problem = stripe_till.refund(451, key="k-too-much")
    assert (status, problem["type"]) == (409, "urn:mercato:problem:refund-too-large")
    assert stripe_till.refund(450, key="k-rest")[0] == 201
    assert stripe_till.refund(1, key="k-more")[0] == 409
    assert (stripe_till.status(), stripe_till.money()) == ("refunded", (1000, 1000))
    assert stripe_till.given_back() == [250, 300, 450]


@pytest.mark.parametrize("trouble", [Trouble.LOST, Trouble.BROKEN, Trouble.AWAY, Trouble.BUSY])
def test_a_refund_without_an_answer_gives_back_once(stripe_till: StripeTill, trouble: Trouble) -> None:
    paid(stripe_till)
    stripe_till.wire.fail(REFUND, trouble)
    codes = [stripe_till.refund(300)[0] for _ in range(4)]
    assert codes[-1] == 201
    assert (stripe_till.given_back(), stripe_till.money()) == ([300], (1000, 300))
    assert stripe_till.heard().count("payment.refunded") == 1


def test_a_refund_that_stripe_has_made_is_found_after_its_key_is_forgotten(stripe_till: StripeTill) -> None:
    paid(stripe_till)
    stripe_till.wire.fail(REFUND, Trouble.AWAY)
    assert stripe_till.refund(300)[0] == 503
    made = stripe_till.table.query_all(f"PAYMENT#{PAYMENT}", KeyRange(prefix="REFUND#"))
    (pending,) = [item["refund_id"] for item in made]
    intent = stripe_till.charge()["id"]
    fields = {"payment_intent": intent, "amount": "300", "metadata[refund_id]": pending}
    stripe_till.wire.post("/v1/refunds", **fields)
    assert stripe_till.refund(300)[0] == 201
    assert (stripe_till.given_back(), stripe_till.money()) == ([300], (1000, 300))


def test_an_order_that_is_undone_gets_its_money_back_once(stripe_till: StripeTill) -> None:
    paid(stripe_till)
    stripe_till.refund(300)
    for _ in range(2):
        stripe_till.task("RefundPayment")
    assert (stripe_till.status(), stripe_till.money()) == ("refunded", (1000, 1000))
    assert stripe_till.given_back() == [300, 700]


def test_a_key_that_stripe_refuses_is_our_trouble_and_is_read_anew(stripe_till: StripeTill) -> None:
    secrets = boto3.client("secretsmanager", "us-east-1")
    secrets.put_secret_value(SecretId="stripe-key", SecretString="rotated-away")
    with pytest.raises(TransientError, match="StripeKey"):
        authorize(stripe_till)
    secrets.put_secret_value(SecretId="stripe-key", SecretString=KEY)
    authorize(stripe_till)
    assert stripe_till.status() == "authorized"


def test_a_shop_whose_key_nobody_has_put_in_says_so(stripe_till: StripeTill, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = boto3.client("secretsmanager", "us-east-1").create_secret(Name="empty")
    monkeypatch.setenv("STRIPE_KEY_ID", empty["ARN"])
    with pytest.raises(TransientError, match="Stripe's secret key cannot be read"):
        authorize(stripe_till)


@pytest.mark.parametrize(
    ("currency", "ours", "stripes"), [("ISK", 500, 50000), ("UGX", 500, 50000), ("MGA", 50000, 500)]
)
def test_money_is_told_as_stripe_counts_it(stripe_till: StripeTill, currency: str, ours: int, stripes: int) -> None:
    stripe_till.task(
        "AuthorizePayment", customer_id="u-1", amount={"amount": ours, "currency": currency}, payment_token=VISA
    )
    stripe_till.capture()
    assert stripe_till.charge()["amount"] == stripes
    assert stripe_till.status() == "captured"
    item = stripe_till.table.get(f"PAYMENT#{PAYMENT}", "PAYMENT")
    assert item is not None
    assert item["captured"] == ours


def test_an_amount_that_stripe_cannot_count_is_declined_before_it_is_asked(stripe_till: StripeTill) -> None:
    with pytest.raises(PaymentDeclined, match=r"500.01 MGA cannot be paid by card"):
        stripe_till.task(
            "AuthorizePayment", customer_id="u-1", amount={"amount": 50001, "currency": "MGA"}, payment_token=VISA
        )
    assert stripe_till.wire.calls == []


def test_what_was_given_back_at_stripes_is_not_given_back_again(stripe_till: StripeTill) -> None:
    """localstripe would refund more than was captured. Stripe would refuse, and the undo would never end."""
    paid(stripe_till)
    intent = stripe_till.charge()["id"]
    stripe_till.wire.post("/v1/refunds", payment_intent=intent, amount="200")
    stripe_till.task("RefundPayment")
    assert (stripe_till.given_back(), stripe_till.status()) == ([200, 800], "refunded")
    assert stripe_till.refund(1)[0] == 409
    assert stripe_till.given_back() == [200, 800]


@pytest.mark.parametrize("given_back", [0, 100])
def test_a_part_that_was_captured_at_stripes_is_given_back_whole(stripe_till: StripeTill, given_back: int) -> None:
    """Stripe refunds by itself what was not captured, and counts it in the charge's refunds."""
    authorize(stripe_till)
    intent = stripe_till.charge()["id"]
    stripe_till.wire.capture_part(intent, 300)
    if given_back:
        stripe_till.wire.post("/v1/refunds", payment_intent=intent, amount=str(given_back))
    with pytest.raises(CaptureRefused, match="a part"):
        stripe_till.capture()
    for _ in range(2):
        stripe_till.task("RefundPayment")
    assert stripe_till.given_back() == sorted([700, 300 - given_back, *([given_back] if given_back else [])])
    assert stripe_till.status() == "refunded"


def test_an_authorization_that_comes_alive_after_its_decline_is_let_go_of(stripe_till: StripeTill) -> None:
    """The bank asked for a confirmation, the order was cancelled, and then the customer confirmed."""
    card = {"number": NEEDS_THE_CUSTOMER, "exp_month": "12", "exp_year": "2030", "cvc": "123"}
    fields = {f"card[{name}]": value for name, value in card.items()}
    token = stripe_till.wire.post("/v1/payment_methods", type="card", **fields)["id"]
    with pytest.raises(PaymentDeclined):
        authorize(stripe_till, token)
    intent = stripe_till.charge()
    answer = {"client_secret": intent["client_secret"], "success": "true"}
    stripe_till.wire.post(f"/v1/payment_intents/{intent['id']}/_authenticate", **answer)
    assert stripe_till.held() == "requires_capture"
    payment = wiring.ports().payments.get(PAYMENT)
    assert payment is not None
    usecases.catch_up(payment, wiring.ports(), utc_now())
    assert (stripe_till.held(), stripe_till.status()) == ("canceled", "declined")


def test_a_charge_that_stripe_still_thinks_about_is_asked_for_again_and_not_taken_for_undone(
    stripe_till: StripeTill,
) -> None:
    """Stripe gives the same key the same response, also after the intent has changed."""
    fields = {"type": "sepa_debit", "sepa_debit[iban]": "DE62370400440532013001"}
    fields |= {"billing_details[name]": "Ada", "billing_details[email]": "ada@example.com"}
    token = stripe_till.wire.post("/v1/payment_methods", **fields)["id"]
    with pytest.raises(TransientError, match="not decided"):
        authorize(stripe_till, token)
    assert (stripe_till.status(), stripe_till.held()) == ("created", "processing")

    def decided() -> PaymentDeclined | None:
        try:
            authorize(stripe_till, token)
        except TransientError:
            return None
        except PaymentDeclined as declined:
            return declined
        raise AssertionError("authorized")

    assert poll(decided, 10).extra["reason"] == "card_declined"
    assert (stripe_till.status(), stripe_till.heard()) == ("declined", ["payment.failed"])
