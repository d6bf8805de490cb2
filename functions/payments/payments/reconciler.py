"""Every five minutes, compares all unsettled payments with the provider, completes unfinished work, finds disputes of
which no message came, and reports mismatches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mercato.clock import utc_now
from mercato.errors import DomainError, TransientError
from mercato.invocation import deadline
from mercato.invocation.schedule import scheduled
from mercato.telemetry import metrics
from mercato.telemetry.logs import log
from payments import agreement, refunds, usecases
from payments.agreement import PATIENCE, Mismatch, Unsettled
from payments.domain import Charge, Payment, knows_dispute, payment_id_in
from payments.providers.port import transient
from payments.refund import RefundRefused
from payments.store import PaymentStore
from payments.wiring import Ports, ports

# A healthy saga has finished its steps by then. If not, conditional writes resolve the race.
ASK_AFTER = timedelta(minutes=2)
# A payment without a change for a day is checked once an hour, since others wait behind it.
_RARELY_AFTER = timedelta(days=1)
# Written-off money is checked this long, in case it is refunded after all.
_WATCHED = timedelta(days=30)
# Disputes that were opened this long ago are looked for: much longer than any provider repeats a message.
_DISPUTES_LISTED = timedelta(days=30)
_RUNS_AN_HOUR = 12
_RUN = timedelta(minutes=5)
_UNDO_REASON = "cancelled"
_RESERVE = 25.0  # seconds: the last payment's calls must end before the invocation does


@scheduled
def handler(event: dict[str, Any]) -> dict[str, int]:
    outcome = vars(reconcile(ports(), utc_now(), lambda: deadline.left() > _RESERVE))
    metrics.count("PaymentMismatches", outcome["mismatches"])
    metrics.count("PaymentsLeft", outcome["left"])
    metrics.flush()
    log.info("payments reconciled", extra=outcome)
    return outcome


@dataclass
class Outcome:
    """`left`: not checked, for want of time or of an answer. A refund that the provider refuses counts as checked; an
    operator retries it by resuming the saga or redriving the return.
    """

    asked: int = 0
    repaired: int = 0
    left: int = 0
    mismatches: int = 0


def reconcile(ports: Ports, now: datetime, has_time: Callable[[], bool]) -> Outcome:
    """One run. Settled payments leave the list. The next run starts after the payment that this run began last, so that
    one that fails, or kills a run, does not block the others.
    """
    outcome = Outcome()
    for found in ports.payments.unsettled_in_turn(now - ASK_AFTER):
        after: Unsettled | None = found
        if _is_due(found, now):
            try:
                if not has_time():
                    raise TransientError("no time is left in this run")
                ports.payments.begin_turn(found)
                after = _advance(found, ports, now)
                outcome.asked += 1
                outcome.repaired += after is None or after.what != found.what
            except RefundRefused as error:
                outcome.asked += 1
                log.warning("a refund is refused", extra=_about(found) | {"reason": error.detail})
            except (TransientError, DomainError) as error:
                outcome.left += 1
                log.warning("not reconciled yet", extra=_about(found) | {"reason": str(error)})
        if after and _is_mismatch(after, now):
            outcome.mismatches += 1
            log.error("payment mismatch", extra=_about(after) | {"mismatch": agreement.mismatch_of(after).kind})
    _find_disputes(outcome, ports, now, has_time)  # last, since a long list must not keep the others waiting
    return outcome


def _find_disputes(outcome: Outcome, ports: Ports, now: datetime, has_time: Callable[[], bool]) -> None:
    """Learns the disputes of which no message came. Their payments are settled, so that nothing else looks at them."""
    try:
        with transient():
            listed = ports.provider.list_disputes(now - _DISPUTES_LISTED)
    except TransientError as error:
        outcome.left += 1
        log.warning("disputes not listed yet", extra={"reason": str(error)})
        return
    for one in listed:
        if not has_time():
            outcome.left += 1
            log.warning("the rest of the listed disputes is left: no time is left in this run")
            return
        payment = ports.payments.get(payment_id_in(one.reference)) if one.reference else None
        if payment is None or payment.charge_id != one.charge_id or knows_dispute(payment, one):
            continue
        about = {"payment_id": payment.payment_id, "order_id": payment.order_id, "dispute_id": one.dispute_id}
        try:
            after = refunds.learn_disputes(payment, ports, now)
            outcome.asked += 1
            outcome.repaired += after.disputes != payment.disputes
            log.warning("dispute found without a message", extra=about)
        except (TransientError, DomainError) as error:
            outcome.left += 1
            log.warning("dispute not learned yet", extra=about | {"reason": str(error)})


def mismatches(payments: PaymentStore, now: datetime) -> Iterator[Mismatch]:
    return (agreement.mismatch_of(found) for found in payments.unsettled(now - PATIENCE) if _is_mismatch(found, now))


def disputed(payments: PaymentStore, now: datetime) -> Iterator[tuple[Payment, datetime]]:
    """The payments whose disputes wait for an answer, each with the time of its last change."""
    for found in payments.unsettled(now - ASK_AFTER):
        if isinstance(found.what, Payment) and found.what.is_disputed:
            yield found.what, found.since


def _advance(found: Unsettled, ports: Ports, now: datetime) -> Unsettled | None:
    """Returns None if it is settled now."""
    what = found.what
    if isinstance(what, Charge):
        return found if _is_still_without_payment(what, ports, now) else None
    before = ports.payments.get(what.payment_id)
    if before is None or agreement.is_settled(before):
        return None
    after = usecases.catch_up(before, ports, now)
    if after.is_disputed:
        # The message that the bank has decided may be lost, and until then every refund is refused.
        after = refunds.learn_disputes(after, ports, now)
    if agreement.must_be_undone(after):
        usecases.undo(after.order_id, _UNDO_REASON, ports, now, retry_refused=False)
        after = ports.payments.get(after.payment_id) or after
    if agreement.is_settled(after):
        return None
    return found if after == what else Unsettled(after, now if after != before else found.since)


def _is_still_without_payment(stray: Charge, ports: Ports, now: datetime) -> bool:
    payment = ports.payments.get(payment_id_in(stray.reference))
    with transient():
        charge = ports.provider.find(stray.charge_id)
    if payment and payment.charge_id == stray.charge_id:
        usecases.catch_up(payment, ports, now)
    elif charge and charge.is_money:
        return True
    ports.payments.forget_stray(stray.charge_id)
    return False


def _is_due(found: Unsettled, now: datetime) -> bool:
    if now - found.since < _RARELY_AFTER:
        return True
    if isinstance(found.what, Payment) and agreement.is_written_off(found.what) and now - found.since > _WATCHED:
        return False
    return int(now.timestamp() // _RUN.total_seconds()) % _RUNS_AN_HOUR == int(found.since.timestamp()) % _RUNS_AN_HOUR


def _is_mismatch(found: Unsettled, now: datetime) -> bool:
    return now - found.since > PATIENCE and bool(agreement.mismatch_of(found).kind)


def _about(found: Unsettled) -> dict[str, str]:
    what = found.what
    if isinstance(what, Payment):
        return {"payment_id": what.payment_id, "order_id": what.order_id, "status": what.status}
    return {"payment_id": payment_id_in(what.reference), "charge_id": what.charge_id, "status": what.status}
