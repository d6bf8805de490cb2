"""An operator skips the undo of a payment and refunds by other means: the shop must not refund again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest

from mercato.clock import utc_now
from mercato.errors import TransientError
from mercato.ids import derived_id
from mercato.money import Money
from payments import reconciler, usecases, wiring
from payments.domain import PaymentVoided
from payments.providers.port import ProviderTimeout
from payments.providers.sandbox import Sandbox, charge_id_of
from payments.providers.webhooks import ChargeChanged
from payments.refund import RefundRefused, RefundWrittenOff
from tests.integration.payments.test_reconciler import hear
from tests.integration.payments.test_refused_refunds import undo_refused
from tests.integration.payments.till import PAYMENT, Till

REFUND = derived_id("o-1", "refund")


def run(**later: int) -> dict[str, int]:
    now = utc_now() + timedelta(**(later or {"hours": 1}))
    return vars(reconciler.reconcile(wiring.ports(), now, lambda: True))


def told() -> list[str]:
    return [found.kind for found in reconciler.mismatches(wiring.ports().payments, utc_now() + timedelta(hours=2))]


def skip(till: Till) -> None:
    till.task("WriteOffRefund", reason="CancelledByCustomer")


def given_back(till: Till) -> int:
    """The refunded money in the provider's books."""
    charge = till.provider.find(charge_id_of(PAYMENT))
    return charge.refunded if charge else 0


def refunds(till: Till) -> list[tuple[str, int, str]]:
    _, shown = till.call("GET", f"/payments/{PAYMENT}")
    return sorted((one["status"], one["amount"]["amount"], one["reason"]) for one in shown["refunds"])


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Within the block the provider does not answer a refund. With `done` it still makes the refund."""
    give_back = Sandbox.refund

    @contextmanager
    def while_away(*, done: bool = False) -> Any:
        def lost(self: Sandbox, charge_id: str, amount: Money, key: str) -> None:
            if done:
                give_back(self, charge_id, amount, key)
            raise ProviderTimeout("no answer")

        with monkeypatch.context() as patch:
            patch.setattr(Sandbox, "refund", lost)
            yield

    return while_away


def parked(till: Till, away: Any, *, done: bool = False) -> None:
    till.authorize()
    hear("order.confirmed")
    till.capture()
    with away(done=done), pytest.raises(TransientError):
        till.task("RefundPayment", reason="CancelledByCustomer")


def test_a_refund_that_was_skipped_is_made_by_nobody_later(till: Till, away: Any) -> None:
    parked(till, away)
    skip(till)
    skip(till)
    hear("order.cancelled")
    assert [run()["left"], run(days=2)["left"], run(days=40)] == [
        0,
        0,
        {"asked": 0, "repaired": 0, "left": 0, "mismatches": 0},
    ]
    usecases.observe(ChargeChanged("evt-1", payment_id=PAYMENT), wiring.ports(), utc_now())
    for _ in range(2):  # a late duplicate, a concurrent cancellation, an operator who retries after all
        with pytest.raises(RefundWrittenOff):
            till.task("RefundPayment", reason="CancelledByCustomer")
    assert (given_back(till), till.money(), told()) == (0, (1000, 0), [])
    assert refunds(till) == [("written_off", 1000, "cancelled-by-customer")]
    assert "payment.refunded" not in till.heard()


def test_a_refund_that_was_refused_and_skipped_is_not_attempted_again(till: Till) -> None:
    till.authorize("tok_refund_declined")
    till.capture()
    with pytest.raises(RefundRefused):
        till.task("RefundPayment")
    skip(till)
    hear("order.cancelled")
    with pytest.raises(RefundWrittenOff):
        till.task("RefundPayment")
    assert (run()["left"], told(), given_back(till)) == (0, [], 0)
    assert [one[:2] for one in refunds(till)] == [("written_off", 1000)]


def test_an_admins_refund_under_way_is_written_off_with_the_rest(till: Till, away: Any) -> None:
    till.paid()
    with away():
        assert till.refund(300)[0] == 503
        with pytest.raises(TransientError):
            till.task("RefundPayment")
    skip(till)
    run()
    status, problem = till.refund(300)
    assert (status, problem["type"]) == (409, "urn:mercato:problem:refund-written-off")
    assert (given_back(till), till.money()) == (0, (1000, 0))
    assert [one[:2] for one in refunds(till)] == [("written_off", 300), ("written_off", 700)]


def test_an_admin_may_still_refund_by_the_route_with_a_key_of_its_own(till: Till, away: Any) -> None:
    parked(till, away)
    skip(till)
    hear("order.cancelled")
    assert till.refund(400, "by-route")[0] == 201
    assert (till.money(), told(), run()["left"]) == ((1000, 400), [], 0)
    assert till.refund(600, "by-route-2")[0] == 201
    assert (till.status(), till.money(), told()) == ("refunded", (1000, 1000), [])


@pytest.mark.parametrize("hears", ["webhook", "reconciler"])
def test_a_refund_that_was_made_after_all_is_told_as_it_is(till: Till, away: Any, hears: str) -> None:
    """Its response was lost, and the operator skipped without looking."""
    parked(till, away, done=True)
    skip(till)
    hear("order.cancelled")
    for event in ("evt-1", "evt-2"):
        if hears == "webhook":
            usecases.observe(ChargeChanged(event, payment_id=PAYMENT), wiring.ports(), utc_now())
        else:
            run()
    assert (till.status(), till.money(), told()) == ("refunded", (1000, 1000), [])
    assert till.heard().count("payment.refunded") == 1
    assert refunds(till) == [
        ("done", 1000, "Your order was cancelled."),
        ("written_off", 1000, "cancelled-by-customer"),
    ]
    assert list(wiring.ports().payments.unsettled(utc_now() + timedelta(days=1))) == []


def test_what_the_operator_gives_back_at_the_provider_in_two_parts_is_told_part_by_part(till: Till, away: Any) -> None:
    parked(till, away)
    skip(till)
    hear("order.cancelled")
    for number, amount in enumerate((400, 600)):
        till.provider.refund(charge_id_of(PAYMENT), Money(amount=amount, currency="GBP"), f"by hand {number}")
        run()
        run()
        assert told() == []
    assert (till.status(), till.money()) == ("refunded", (1000, 1000))
    assert [one[:2] for one in refunds(till)] == [("done", 400), ("done", 600), ("written_off", 1000)]
    assert till.heard().count("payment.refunded") == 2


def test_a_void_that_was_skipped_lets_go_of_what_is_held_and_gives_nothing_back(till: Till) -> None:
    """The provider is down, so it is unknown whether the payment was captured. It was not, and a void costs nothing."""
    till.authorize()
    skip(till)
    hear("order.cancelled")
    assert told() == []
    run()
    run()
    assert (till.status(), till.held(), told()) == ("voided", "voided", [])


def test_a_void_that_was_skipped_and_turns_out_to_be_captured_is_not_refunded(till: Till) -> None:
    till.authorize()
    till.provider.capture(charge_id_of(PAYMENT), derived_id("o-1", "capture"))
    skip(till)
    hear("order.cancelled")
    run()
    run()
    with pytest.raises(RefundWrittenOff):
        till.task("VoidPayment")
    assert (till.status(), till.money(), told()) == ("captured", (1000, 0), [])
    assert "payment.completed" not in till.heard()


def test_skipping_before_there_is_a_payment_lets_none_begin(till: Till) -> None:
    skip(till)
    with pytest.raises(PaymentVoided):
        till.authorize()
    assert (till.status(), till.held()) == ("voided", None)


def test_skipping_what_is_done_already_changes_nothing(till: Till) -> None:
    till.paid()
    till.task("RefundPayment")
    before = till.events()
    skip(till)
    assert (till.status(), till.money(), till.events()) == ("refunded", (1000, 1000), before)


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at", range(2))
def test_a_write_off_that_dies_is_finished_by_its_retry(
    till: Till, away: Any, faults: Any, at: int, after_effect: bool
) -> None:
    """Its writes: whether there is a payment, the write-off."""
    parked(till, away)
    faults.arm(at, after_effect=after_effect)
    with suppress(TransientError):
        skip(till)
    faults.arm(-1)
    skip(till)
    run()
    assert (given_back(till), till.money()) == (0, (1000, 0))
    assert [one[:2] for one in refunds(till)] == [("written_off", 1000)]


@pytest.mark.parametrize("at", range(5))
def test_a_write_off_in_the_middle_of_an_undo_and_the_books_tell_what_went_back(
    till: Till, faults: Any, at: int
) -> None:
    """The undo's writes: the read, the closing, the claim, the provider's refund, the end. A process that has already
    called the provider cannot be stopped: its refund is found and published once.
    """
    till.paid()
    faults.arm(at, meanwhile=lambda: skip(till))
    with suppress(RefundWrittenOff):
        till.task("RefundPayment")
    hear("order.cancelled")
    run()
    run()
    assert given_back(till) == (0 if at < 3 else 1000)
    assert till.money() == (1000, given_back(till))
    assert (till.heard().count("payment.refunded"), told()) == (int(at >= 3), [])


@pytest.mark.parametrize("at", range(2))
def test_a_new_attempt_in_the_middle_of_a_write_off_gives_back_at_most_once(till: Till, faults: Any, at: int) -> None:
    till.authorize("tok_refund_declined")
    till.capture()
    with pytest.raises(RefundRefused):
        till.task("RefundPayment")
    faults.arm(at, meanwhile=lambda: undo_refused(till))
    skip(till)
    assert [one[:2] for one in refunds(till)] == [("written_off", 1000)]
    assert (given_back(till), till.money()) == (0, (1000, 0))
