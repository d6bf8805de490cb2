"""The saga's steps on the payment. All are idempotent by the payment's record and the provider's idempotency keys."""

from dataclasses import asdict
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from mercato import clock
from mercato.invocation.tasks import Tasks
from mercato.languages import KnownLanguage
from mercato.money import Money
from payments import usecases
from payments.domain import Status
from payments.wiring import ports

tasks = Tasks("payments")
handler = tasks.handler

Id = Annotated[str, Field(min_length=1, max_length=64)]


class TaskInput(BaseModel):
    """Input is never shown in errors: it may hold a card's token."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)

    order_id: Id


class Ordered(BaseModel):
    """The saga's whole input: a path of its own to `number` would fail where an older release started the saga."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)

    number: str | None = None
    language: KnownLanguage = None


class AuthorizePayment(TaskInput):
    customer_id: Id
    amount: Money
    payment_token: SecretStr
    order: Ordered = Ordered()


class AttemptPayment(AuthorizePayment):
    number: Annotated[int, Field(ge=1)]


class UndoPayment(TaskInput):
    reason: str = "cancelled"


class Done(BaseModel):
    payment_id: str


class AttemptedPayment(BaseModel):
    """`status` is authorized, action_required or declined. `reason` and `detail` say why it is not authorized.

    `version` is the payment's: an event with a higher sequence says more than this answer. `action` says what the buyer
    does at the bank. Its client secret is for the order's buyer only.
    """

    payment_id: str
    status: str
    attempt: int
    version: int
    reason: str
    detail: str
    action: dict[str, str]


@tasks.task("AuthorizePayment")
def authorize_payment(step: AuthorizePayment) -> Done:
    """Idempotent: one payment per order, and one key at the provider."""
    due = usecases.Due(step.order_id, step.customer_id, step.amount, step.order.number or "", step.order.language)
    payment = usecases.authorize(due, step.payment_token.get_secret_value(), ports(), clock.utc_now())
    return Done(payment_id=payment.payment_id)


@tasks.task("AttemptPayment")
def attempt_payment(step: AttemptPayment) -> AttemptedPayment:
    """Idempotent: each attempt has its own keys at the provider, and at most one attempt's charge holds money."""
    due = usecases.Due(step.order_id, step.customer_id, step.amount, step.order.number or "", step.order.language)
    token = step.payment_token.get_secret_value()
    made = usecases.attempt(due, step.number, token, ports(), clock.utc_now())
    payment = made.payment
    waits = payment.status in (Status.ACTION_REQUIRED, Status.DECLINED)
    return AttemptedPayment(
        payment_id=payment.payment_id,
        status=payment.status if waits else Status.AUTHORIZED,
        attempt=payment.attempt,
        version=payment.version,
        reason=payment.reason,
        detail=payment.detail,
        action=asdict(made.action) if made.action else {},
    )


@tasks.task("CapturePayment")
def capture_payment(step: TaskInput) -> Done:
    """Idempotent: a captured payment stays captured."""
    return Done(payment_id=usecases.capture(step.order_id, ports(), clock.utc_now()).payment_id)


@tasks.task("VoidPayment")
@tasks.task("RefundPayment")
def undo_payment(step: UndoPayment) -> Done:
    """Idempotent. Voids or refunds, since only the provider knows which of the two applies."""
    usecases.undo(step.order_id, step.reason, ports(), clock.utc_now(), retry_refused=True)
    return Done(payment_id=usecases.payment_id_of(step.order_id))


@tasks.task("WriteOffRefund")
def write_off_refund(step: UndoPayment) -> Done:
    """Idempotent: a written-off refund stays so, and a completed one stays done."""
    usecases.write_off(step.order_id, step.reason, ports(), clock.utc_now())
    return Done(payment_id=usecases.payment_id_of(step.order_id))
