"""Disputes: what the buyer's bank takes back, with refunds, returns and undos beside it, in any order."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import boto3
import pytest

from mercato.clock import utc_now
from mercato.errors import DomainError, TransientError
from mercato.money import Money
from mercato.store.dynamo import delete, put, update
from payments import agreement, reconciler, usecases, wiring
from payments.domain import Dispute, DisputeStatus, Intent
from payments.providers.port import ProviderDeclined, ProviderUnavailable
from payments.providers.sandbox import Sandbox, charge_id_of
from payments.providers.webhooks import ChargeChanged
from payments.refund import PaymentDisputed
from tests.integration.payments.conftest import Faults
from tests.integration.payments.test_returns import hear as goods_return
from tests.integration.payments.till import PAYMENT, Till
from tests.kit.overtaking import overtake

CHARGE, CAPTURED = charge_id_of(PAYMENT), 1000


def told(event_id: str = "evt-1") -> None:
    changed = ChargeChanged(event_id, payment_id=PAYMENT, is_dispute=True)
    usecases.observe(changed, wiring.ports(), utc_now())


def opens(till: Till, amount: int, dispute: str = "dp-1") -> None:
    till.provider.dispute(CHARGE, dispute, amount)
    told(f"opened-{dispute}")


def closes(till: Till, *, is_won: bool, dispute: str = "dp-1") -> None:
    till.provider.close_dispute(CHARGE, dispute, is_won=is_won)
    told(f"closed-{dispute}")


def shown(till: Till) -> Any:
    status, found = till.call("GET", f"/payments/{PAYMENT}")
    assert status == 200, found
    return found


def books(till: Till) -> tuple[int, int]:
    """What was refunded and what the bank has taken, after a check with the provider's record."""
    found = shown(till)
    refunded, disputed = found["refunded"]["amount"], found["disputed"]["amount"]
    charge = till.table.get(f"SANDBOX#CHARGE#{CHARGE}", "CHARGE")
    assert charge is not None
    assert charge["left"] == CAPTURED - refunded - disputed
    return refunded, disputed


@pytest.fixture
def till(till: Till) -> Till:
    till.paid()
    return till


def test_a_refund_of_a_disputed_payment_is_refused_until_the_bank_has_decided(till: Till) -> None:
    opens(till, 400)
    status, problem = till.refund(100)
    assert (status, problem["type"], problem["payment_id"]) == (409, "urn:mercato:problem:payment-disputed", PAYMENT)
    assert "payment provider" in problem["detail"]
    closes(till, is_won=True)
    assert till.refund(CAPTURED, key="k-2")[0] == 201
    assert books(till) == (CAPTURED, 0)


def test_what_the_bank_keeps_is_not_refunded_again(till: Till) -> None:
    opens(till, 400)
    closes(till, is_won=False)
    status, problem = till.refund(601)
    assert (status, problem["refundable"]["amount"]) == (409, 600)
    assert till.refund(600, key="k-2")[0] == 201
    assert books(till) == (600, 400)


def test_staff_and_the_journal_see_each_dispute(till: Till) -> None:
    opens(till, 400)
    closes(till, is_won=False)
    told("again")
    [dispute] = shown(till)["disputes"]
    amount = {"amount": 400, "currency": "GBP"}
    assert dispute == {"dispute_id": "dp-1", "amount": amount, "status": "lost", "reason": "fraudulent"}
    said = [data["status"] for kind, data in till.events() if kind == "payment.disputed"]
    assert said == ["open", "lost"]


def test_a_return_of_a_disputed_payment_waits_for_the_bank(till: Till) -> None:
    opens(till, 700)
    assert len(goods_return(400)) == 1
    closes(till, is_won=False)
    assert goods_return(400) == []
    assert books(till) == (300, 700)


def test_a_refused_refund_asks_for_the_disputes_of_which_no_message_came(till: Till) -> None:
    till.provider.dispute(CHARGE, "dp-1", 700)
    assert len(goods_return(400)) == 1
    assert [one["status"] for one in shown(till)["disputes"]] == ["open"]
    till.provider.close_dispute(CHARGE, "dp-1", is_won=False)
    assert till.refund(400)[1]["type"] == "urn:mercato:problem:payment-disputed"
    told()
    assert goods_return(400) == []
    assert books(till) == (300, 700)


def told_of_refunds(till: Till) -> list[tuple[str, int]]:
    return [(data["refund_id"], data["amount"]["amount"]) for kind, data in till.events() if kind == "payment.refunded"]


def test_an_order_hears_once_that_nothing_is_left_for_a_return(till: Till) -> None:
    """Without that its return would wait for the refund for ever."""
    opens(till, CAPTURED)
    assert len(goods_return(400)) == 1
    closes(till, is_won=False)
    assert [goods_return(400), goods_return(400), goods_return(600, "ref-2")] == [[], [], []]
    assert told_of_refunds(till) == [("ref-1", 0), ("ref-2", 0)]
    assert (till.status(), books(till)) == ("captured", (0, CAPTURED))


def test_a_refused_refund_of_a_return_whose_money_a_bank_took_since_ends_as_nothing(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise ProviderDeclined("refused", "No.")

    with monkeypatch.context() as during:
        during.setattr(Sandbox, "refund", refuse)
        assert len(goods_return(400)) == 1
    opens(till, CAPTURED)
    closes(till, is_won=False)
    assert [goods_return(400), goods_return(400)] == [[], []]
    assert told_of_refunds(till) == [("ref-1", 0)]
    [refund] = shown(till)["refunds"]
    assert (refund["status"], refund["amount"]["amount"]) == ("done", 0)


@pytest.mark.parametrize(("is_won", "end"), [(True, (CAPTURED, 0)), (False, (0, CAPTURED))])
def test_a_cancellation_of_a_disputed_payment_waits_for_the_bank(
    till: Till, is_won: bool, end: tuple[int, int]
) -> None:
    opens(till, CAPTURED)
    with pytest.raises(PaymentDisputed):
        till.task("RefundPayment")
    closes(till, is_won=is_won)
    till.task("RefundPayment")
    assert (till.status(), books(till)) == ("refunded", end)


def test_a_message_that_comes_late_reopens_nothing(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider is asked for the state. While the answer of one message is under way, the bank decides, and the
    message of that is handled.
    """
    till.provider.dispute(CHARGE, "dp-1", 400)
    ask = Sandbox.disputes

    def answer_late(provider: Sandbox, charge_id: str) -> Any:
        found = ask(provider, charge_id)
        monkeypatch.setattr(Sandbox, "disputes", ask)
        closes(till, is_won=False)
        return found

    monkeypatch.setattr(Sandbox, "disputes", answer_late)
    told("opened-late")
    assert [one["status"] for one in shown(till)["disputes"]] == ["lost"]
    assert [data["status"] for kind, data in till.events() if kind == "payment.disputed"] == ["lost"]


@pytest.mark.parametrize(
    ("first", "then", "money"),
    [
        ("lost", "won", [201, 0]),
        ("won", "lost", [409, 400]),
        ("closed", "open", [409, 400]),
        ("won", "open", [409, 400]),
    ],
)
def test_a_bank_may_decide_once_more(
    till: Till, monkeypatch: pytest.MonkeyPatch, first: str, then: str, money: list[int]
) -> None:
    for status in (first, then):
        found = [Dispute("dp-1", 400, DisputeStatus(status), "fraudulent")]
        monkeypatch.setattr(Sandbox, "disputes", lambda *_, found=found: found)
        told(status)
    assert [till.refund(700)[0], shown(till)["disputed"]["amount"]] == money
    assert [data["status"] for kind, data in till.events() if kind == "payment.disputed"] == [first, then]


@pytest.mark.parametrize("is_won", [True, False])
def test_a_decision_of_which_no_message_came_is_found(till: Till, is_won: bool) -> None:
    """Else every refund of the payment would be refused for ever."""
    usecases.record_order_status("o-1", agreement.CONFIRMED, wiring.ports(), utc_now())
    opens(till, 400)
    till.provider.close_dispute(CHARGE, "dp-1", is_won=is_won)
    assert till.refund(100)[0] == 409
    later = utc_now() + timedelta(minutes=10)
    outcome = reconciler.reconcile(wiring.ports(), later, lambda: True)
    assert (outcome.asked, outcome.repaired, outcome.mismatches) == (1, 1, 0)
    assert books(till) == (0, 0 if is_won else 400)
    assert till.refund(600, key="k-2")[0] == 201
    assert list(wiring.ports().payments.unsettled(later)) == []


def test_an_open_dispute_is_asked_for_and_is_no_mismatch(till: Till) -> None:
    usecases.record_order_status("o-1", agreement.CONFIRMED, wiring.ports(), utc_now())
    opens(till, 400)
    outcome = reconciler.reconcile(wiring.ports(), utc_now() + timedelta(hours=2), lambda: True)
    assert (outcome.asked, outcome.repaired, outcome.mismatches) == (1, 0, 0)
    assert till.refund(100)[0] == 409


def run(till: Till, *, later: timedelta = timedelta(minutes=10)) -> reconciler.Outcome:
    return reconciler.reconcile(wiring.ports(), utc_now() + later, lambda: True)


def published(till: Till) -> list[str]:
    return [data["status"] for kind, data in till.events() if kind == "payment.disputed"]


@pytest.fixture
def settled(till: Till) -> Till:
    """A paid order of long ago, at whose payment nothing looks any more."""
    usecases.record_order_status("o-1", agreement.CONFIRMED, wiring.ports(), utc_now())
    assert list(wiring.ports().payments.unsettled(utc_now() + timedelta(days=1))) == []
    return till


def test_a_dispute_of_a_settled_payment_whose_message_was_lost_is_found(settled: Till) -> None:
    settled.provider.dispute(CHARGE, "dp-1", 400)
    outcome = run(settled)
    assert (outcome.asked, outcome.repaired, outcome.left, outcome.mismatches) == (1, 1, 0, 0)
    assert (published(settled), books(settled)) == (["open"], (0, 400))
    assert settled.refund(100)[0] == 409
    assert run(settled).repaired == 0
    settled.provider.close_dispute(CHARGE, "dp-1", is_won=False)
    assert run(settled).repaired == 1
    assert (published(settled), books(settled)) == (["open", "lost"], (0, 400))


def test_staff_is_shown_what_waits_for_an_answer(settled: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "ASK_AFTER", timedelta(seconds=-1))
    opens(settled, 400)
    opens(settled, 500, "dp-2")
    closes(settled, is_won=True)
    found = settled.call("GET", "/payments/mismatches")[1]
    [waiting] = found["disputed"]
    assert waiting.pop("since")
    assert waiting.pop("order_number") is None
    amount = {"amount": 500, "currency": "GBP"}
    dispute = {"dispute_id": "dp-2", "amount": amount, "status": "open", "reason": "fraudulent"}
    assert waiting == {"payment_id": PAYMENT, "order_id": "o-1", "disputes": [dispute]}
    assert found["items"] == []
    closes(settled, is_won=False, dispute="dp-2")
    assert settled.call("GET", "/payments/mismatches")[1]["disputed"] == []


def test_a_dispute_of_a_charge_that_is_not_ours_is_left_alone(settled: Till) -> None:
    other = Intent(charge_id_of("pay-lost"), "pay-lost", Money(amount=700, currency="GBP"))
    settled.provider.authorize(other, "tok_ok", "key-a")
    settled.provider.capture(other.charge_id, "key-c")
    settled.provider.dispute(other.charge_id, "dp-1", 700)
    assert vars(run(settled)) == {"asked": 0, "repaired": 0, "left": 0, "mismatches": 0}


def test_disputes_that_cannot_be_listed_now_are_listed_by_the_next_run(
    settled: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled.provider.dispute(CHARGE, "dp-1", 400)

    def away(*_: Any) -> None:
        raise ProviderUnavailable("503")

    with monkeypatch.context() as during:
        during.setattr(Sandbox, "list_disputes", away)
        assert (run(settled).left, published(settled)) == (1, [])
    out_of_time = reconciler.reconcile(wiring.ports(), utc_now() + timedelta(minutes=10), lambda: False)
    assert (out_of_time.left, published(settled)) == (1, [])
    assert (run(settled).left, published(settled)) == (0, ["open"])


MESSAGES = ("opened", "opened", "closes", "closed", "closed", "run", "run")
WAYS = sorted({one for one in itertools.permutations(MESSAGES) if one.index("closes") < one.index("closed")})


@pytest.mark.parametrize("is_won", [True, False], ids=["won", "lost"])
@pytest.mark.parametrize("most", [12, pytest.param(len(WAYS), marks=pytest.mark.long)])
def test_the_reconciler_and_the_messages_come_in_every_order_each_twice(settled: Till, is_won: bool, most: int) -> None:
    """The bank opens the dispute first, and decides in between. A message may come late, and after the decision."""
    end = "won" if is_won else "lost"
    charge = settled.table.get(f"SANDBOX#CHARGE#{CHARGE}", "CHARGE")
    paid = list(settled.table.query_all(f"PAYMENT#{PAYMENT}"))
    for way in random.Random(20261130).sample(WAYS, most):
        settled.provider.dispute(CHARGE, "dp-1", 400)
        for number, act in enumerate(way):
            match act:
                case "closes":
                    settled.provider.close_dispute(CHARGE, "dp-1", is_won=is_won)
                case "run":
                    run(settled)
                case _:
                    told(f"{act}-{number}" if number % 2 else act)  # as another message, or as the same one again
        found = published(settled)
        looked = way.index("closes") > min(way.index("opened"), way.index("run"))
        assert found == (["open", end] if looked else [end]), way
        assert books(settled) == (0, 0 if is_won else 400), way
        assert run(settled).repaired == 0, way
        assert list(wiring.ports().payments.unsettled(utc_now() + timedelta(days=1))) == [], way
        _begin_again(settled, charge, paid)
    assert len(WAYS) == 210


@pytest.mark.parametrize("is_first", [True, False], ids=["the message is late", "the run is late"])
def test_the_reconciler_and_a_message_that_learn_a_dispute_at_once(
    settled: Till, monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    """One of them has the provider's answer, and the other one learns the dispute and its end before it writes."""
    settled.provider.dispute(CHARGE, "dp-1", 400)
    acts: list[Callable[[], object]] = [lambda: run(settled), lambda: told("opened")]
    slow, fast = acts if is_first else acts[::-1]

    def between() -> None:
        fast()
        settled.provider.close_dispute(CHARGE, "dp-1", is_won=False)
        fast()
        told("closed")

    overtake(monkeypatch, Sandbox, "disputes", between)
    slow()
    assert (published(settled), books(settled)) == (["open", "lost"], (0, 400))


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("call", range(3))
def test_a_run_that_dies_while_it_learns_a_dispute_is_finished_by_the_next(
    settled: Till, faults: Faults, call: int, after_effect: bool
) -> None:
    settled.provider.dispute(CHARGE, "dp-1", 400)
    faults.arm(call, after_effect=after_effect)
    with suppress(TransientError):
        run(settled)
    run(settled)
    run(settled)
    assert (published(settled), books(settled)) == (["open"], (0, 400))


def test_two_disputes_of_one_payment_add_up(till: Till) -> None:
    opens(till, 400)
    opens(till, 500, "dp-2")
    closes(till, is_won=True)
    assert till.refund(100)[0] == 409  # the other one is open
    closes(till, is_won=False, dispute="dp-2")
    assert till.refund(500, key="k-2")[0] == 201
    assert books(till) == (500, 500)


def test_two_disputes_that_are_learned_at_once_are_both_published(till: Till) -> None:
    """Of the first one no message came."""
    till.provider.dispute(CHARGE, "dp-1", 400)
    till.provider.dispute(CHARGE, "dp-2", 500)
    told()
    assert books(till) == (0, 900)
    told_of = [(data["dispute_id"], data["status"]) for kind, data in till.events() if kind == "payment.disputed"]
    assert sorted(told_of) == [("dp-1", "open"), ("dp-2", "open")]


def test_money_that_a_bank_gives_back_after_an_undo_is_reported_until_it_is_refunded(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its order is cancelled, and its buyer has neither the goods nor the money."""

    def reported() -> list[str]:
        later = utc_now() + timedelta(hours=1)
        return [found.kind for found in reconciler.mismatches(wiring.ports().payments, later)]

    opens(till, CAPTURED)
    closes(till, is_won=False)
    till.task("RefundPayment")
    usecases.record_order_status("o-1", agreement.CANCELLED, wiring.ports(), utc_now())
    assert (till.status(), reported()) == ("refunded", [])

    won = Dispute("dp-1", CAPTURED, DisputeStatus.WON, "fraudulent")
    monkeypatch.setattr(Sandbox, "disputes", lambda *_: [won])
    given_back, values = "SET #left = :all, taken = :none", {":all": CAPTURED, ":none": 0}
    till.table.write(update(f"SANDBOX#CHARGE#{CHARGE}", "CHARGE", given_back, names={"#left": "left"}, values=values))
    told("won")
    assert reported() == ["undo-unfinished"]
    assert till.refund(CAPTURED)[0] == 201
    assert (till.status(), books(till), reported()) == ("refunded", (CAPTURED, 0), [])


def returns(_: Till) -> None:
    goods_return(400)


def goodwill(till: Till) -> None:
    till.refund(300)


def cancels(till: Till) -> None:
    with suppress(DomainError, TransientError):
        till.task("RefundPayment")


def disputes(till: Till) -> None:
    """The bank disputes most of the money, if it is still there."""
    with suppress(ProviderDeclined):
        opens(till, 700)


def dispute_of(is_won: bool) -> Callable[[Till], None]:
    def decides(till: Till) -> None:
        if till.provider.disputes(CHARGE):
            closes(till, is_won=is_won)

    return decides


def lost_message(till: Till) -> None:
    """The bank disputes the money, and the message does not come yet."""
    with suppress(ProviderDeclined):
        till.provider.dispute(CHARGE, "dp-1", 700)


ACTS = (returns, goodwill, cancels)


@pytest.mark.parametrize("is_won", [True, False], ids=["won", "lost"])
@pytest.mark.parametrize("begins", [disputes, lost_message])
@pytest.mark.parametrize("most", [4, pytest.param(60, marks=pytest.mark.long)])
def test_in_every_order_refunds_and_disputes_are_at_most_what_was_paid(
    till: Till, begins: Callable[[Till], None], is_won: bool, most: int
) -> None:
    """Returned goods, a goodwill refund and a cancellation, with a dispute that opens and is decided among them."""
    decides = dispute_of(is_won)
    charge = till.table.get(f"SANDBOX#CHARGE#{CHARGE}", "CHARGE")
    paid = list(till.table.query_all(f"PAYMENT#{PAYMENT}"))
    assert charge is not None
    orders = [one for one in itertools.permutations((*ACTS, begins, decides)) if one.index(begins) < one.index(decides)]
    for order in random.Random(20261129).sample(orders, most):
        for act in order:
            act(till)
            refunded, disputed = (shown(till)[name]["amount"] for name in ("refunded", "disputed"))
            assert refunded + disputed <= CAPTURED, [one.__name__ for one in order]
        told("last")
        for act in ACTS:  # what waited for the bank comes again
            act(till)
        refunded, disputed = books(till)
        names = [one.__name__ for one in order]
        assert refunded + disputed <= CAPTURED, names
        assert disputed in (0, 700), names
        assert refunded + disputed == CAPTURED, names  # the order was cancelled: nothing is kept
        _begin_again(till, charge, paid)
    assert len(orders) == 60


def _everything(till: Till) -> list[Any]:
    found = boto3.client("dynamodb", "us-east-1").scan(TableName=till.table.name)["Items"]
    return [{"pk": item["pk"]["S"], "sk": item["sk"]["S"]} for item in found]


def _begin_again(till: Till, charge: Any, paid: Any) -> None:
    """The till after the payment, and before everything else."""
    for item in _everything(till):
        till.table.write(delete(item["pk"], item["sk"]))
    for item in (charge, *paid):
        till.table.write(put(item))


@pytest.mark.parametrize("call", range(6))
@pytest.mark.parametrize("act", [returns, goodwill, cancels])
def test_a_dispute_that_opens_in_the_middle_of_a_refund(
    till: Till, faults: Faults, act: Callable[[Till], None], call: int
) -> None:
    """The refund was made before the bank took the rest, or is refused and may be made once the bank has decided."""
    faults.arm(call, meanwhile=lambda: disputes(till))
    act(till)
    told("last")
    refunded, disputed = books(till)
    assert refunded + disputed <= CAPTURED
    if disputed:
        closes(till, is_won=True)
    till.refund(1, key="k-9")
    till.task("RefundPayment")
    assert books(till) == (CAPTURED, 0)
