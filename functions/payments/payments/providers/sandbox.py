"""The sandbox: a small payment provider with its own stored state, for development and tests.

docs/payments.md and _TOKENS describe its tokens. A suffix after a colon makes another card of the same kind:
tok_unavailable:1 and tok_unavailable:2 are two cards.

Its state, in the table it is given:

    SANDBOX#CHARGE#<charge id>  CHARGE   status, amount, what is left to refund, its faults
    SANDBOX#CHARGE#<charge id>  DISPUTE#<id>   a dispute by the buyer's bank
    SANDBOX#DISPUTES  <charge id>#<id>   the same one in the list of all
    SANDBOX#KEY#<key>           ANSWER   the request with this key, and its answer
    SANDBOX#KEY#<key>           FAULT    the fault that happens once has happened

A charge and the answer are written in one transaction, so the same key always gets the same answer. The token itself is
not stored.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from mercato.dataclass import dataclass
from mercato.ids import derived_id, fingerprint
from mercato.money import Money
from mercato.store.attributes import Item
from mercato.store.dynamo import ConditionFailed, KeyRange, Table, Write, put, put_new, update
from payments.domain import Action, Charge, ChargeStatus, Dispute, DisputeStatus, Intent, ListedDispute
from payments.providers.port import ProviderDeclined, ProviderTimeout, ProviderUnavailable


@dataclass(frozen=True)
class _Card:
    """A token's behaviour: why it is declined, if it is, and the fault on the way: `<operation>_<trouble>`.

    `asks`: the bank asks for the buyer, and does this with the buyer's answer.
    """

    declined: str = ""
    detail: str = ""
    fault: str = ""
    asks: str = ""


_TOKENS = {
    "tok_ok": _Card(),
    "tok_declined": _Card("card_declined", "Your bank declined the card."),
    "tok_insufficient_funds": _Card("insufficient_funds", "There is not enough money on the card."),
    "tok_expired_card": _Card("expired_card", "The card has expired."),
    "tok_timeout_once": _Card(fault="authorize_timeout_once"),
    "tok_error_once": _Card(fault="authorize_error_once"),
    "tok_unavailable": _Card(fault="authorize_unavailable"),
    "tok_confirm_ok": _Card(asks="confirms"),
    "tok_confirm_declined": _Card(asks="declines"),
    "tok_confirm_never": _Card(asks="ignores"),
}
_DISPUTES = "SANDBOX#DISPUTES"
_TROUBLES = ("declined", "error_once", "timeout_once", "unavailable")
_TOKENS |= {
    f"tok_{operation}_{trouble}": _Card(fault=f"{operation}_{trouble}")
    for operation in ("capture", "void", "refund")
    for trouble in _TROUBLES
}
_REFUSALS = {
    "capture": "Your bank does not release the money.",
    "void": "Your bank does not let go of the money.",
    "refund": "Your bank does not take the money back.",
}
_ASKS = "Your bank asks you to confirm this payment."
_NOT_CONFIRMED = ("authentication_required", "The payment was not confirmed at your bank.")
_UNKNOWN = _Card("unknown_token", "The card is not known.")
CHALLENGE = "/bank/"  # the page of the storefront that plays the bank
# The state of a charge that was voided before it was made.
_NOTHING: Item = {"reference": "", "amount": 0, "currency": "XXX", "reason": "", "detail": ""}


class Sandbox:
    def __init__(self, table: Table) -> None:
        self._table = table

    def expected_id(self, reference: str) -> str:
        return charge_id_of(reference)

    def prepare(self, reference: str, amount: Money, token: str, key: str) -> str:
        """Does nothing: the sandbox needs no preparation."""
        return charge_id_of(reference)

    def authorize(self, intent: Intent, token: str, key: str) -> Charge:
        card = _TOKENS.get(token.partition(":")[0], _UNKNOWN)
        reference, amount, charge_id = intent.reference, intent.amount, intent.charge_id
        self._fail_if_faulty(card.fault, "authorize", key)
        status = ChargeStatus.DECLINED if card.declined else ChargeStatus.AUTHORIZED
        charge = {
            "reference": reference,
            "status": ChargeStatus.ACTION_REQUIRED if card.asks else status,
            "amount": amount.amount,
            "currency": amount.currency,
            "reason": _NOT_CONFIRMED[0] if card.asks else card.declined,
            "detail": _ASKS if card.asks else card.detail,
        }
        kept = {"pk": _charge_pk(charge_id), "sk": "CHARGE", "left": 0, "fault": card.fault, "asks": card.asks}
        stored = put_new(kept | charge)
        asked: list[str | int] = [reference, amount.amount, amount.currency]
        return _charge(charge_id, self._answer(key, "authorize", asked, charge, stored, card.fault))

    def answer(self, charge_id: str, *, is_confirmed: bool) -> Charge:
        """The buyer's answer to the bank. It changes a charge that waits for it, as its card demands, and no other."""
        charge = self._known(charge_id)
        if charge["status"] != ChargeStatus.ACTION_REQUIRED or charge["asks"] == "ignores":
            return _charge(charge_id, charge)
        is_authorized = is_confirmed and charge["asks"] == "confirms"
        told = ("", "") if is_authorized else _NOT_CONFIRMED
        moved = update(
            _charge_pk(charge_id),
            "CHARGE",
            "SET #status = :to, #reason = :reason, detail = :detail",
            "#status = :asks",
            names={"#status": "status", "#reason": "reason"},
            values={
                ":to": ChargeStatus.AUTHORIZED if is_authorized else ChargeStatus.DECLINED,
                ":reason": told[0],
                ":detail": told[1],
                ":asks": ChargeStatus.ACTION_REQUIRED,
            },
        )
        with suppress(ConditionFailed):
            self._table.write(moved)
        return _charge(charge_id, self._known(charge_id))

    def capture(self, charge_id: str, key: str) -> Charge:
        charge = self._known(charge_id)
        return self._move(charge, "capture", ChargeStatus.CAPTURED, charge["amount"], key)

    def void(self, charge_id: str, key: str) -> Charge:
        charge = self._table.get(_charge_pk(charge_id), "CHARGE")
        if charge is not None:
            return self._move(charge, "void", ChargeStatus.VOIDED, 0, key)
        never = _NOTHING | {"status": ChargeStatus.VOIDED}
        stopped = put_new({"pk": _charge_pk(charge_id), "sk": "CHARGE", "left": 0, "fault": ""} | never)
        return _charge(charge_id, self._answer(key, "void", [charge_id], never, stopped, ""))

    def refund(self, charge_id: str, amount: Money, key: str) -> None:
        charge = self._known(charge_id)
        if amount.currency != charge["currency"]:
            raise ProviderDeclined("wrong_currency", f"The charge is in {charge['currency']}.")
        asked: list[str | int] = [charge_id, amount.amount]
        if charge["fault"] == "refund_declined":
            self._refuse(key, "refund", asked, charge["fault"], _REFUSALS["refund"])
        else:
            self._fail_if_faulty(charge["fault"], "refund", key)
        give_back = update(
            _charge_pk(charge_id),
            "CHARGE",
            "SET #left = #left - :amount",
            "#status = :captured AND #left >= :amount",
            names={"#left": "left", "#status": "status"},
            values={":amount": amount.amount, ":captured": ChargeStatus.CAPTURED},
        )
        self._answer(key, "refund", asked, _fields_of(charge), give_back, charge["fault"])

    def find(self, charge_id: str) -> Charge | None:
        charge = self._table.get(_charge_pk(charge_id), "CHARGE")
        return _charge(charge_id, charge) if charge else None

    def disputes(self, charge_id: str) -> list[Dispute]:
        return [
            Dispute(item["dispute_id"], item["amount"], DisputeStatus(item["status"]), item["reason"])
            for item in self._table.query_all(_charge_pk(charge_id), KeyRange(prefix="DISPUTE#"))
        ]

    def list_disputes(self, since: datetime) -> list[ListedDispute]:
        charges = {item["charge_id"] for item in self._table.query_all(_DISPUTES)}
        return [
            ListedDispute(charge_id, self._known(charge_id)["reference"], one.dispute_id, one.status)
            for charge_id in sorted(charges)
            for one in self.disputes(charge_id)
        ]

    def dispute(self, charge_id: str, dispute_id: str, amount: int) -> None:
        """The buyer's bank takes some of the captured money back. Raises ProviderDeclined if less is left."""
        taken = update(
            _charge_pk(charge_id),
            "CHARGE",
            "SET #left = #left - :amount, taken = if_not_exists(taken, :none) + :amount",
            "#status = :captured AND #left >= :amount",
            names={"#left": "left", "#status": "status"},
            values={":amount": amount, ":none": 0, ":captured": ChargeStatus.CAPTURED},
        )
        opened = {"dispute_id": dispute_id, "amount": amount, "status": DisputeStatus.OPEN, "reason": "fraudulent"}
        made = put_new({"pk": _charge_pk(charge_id), "sk": f"DISPUTE#{dispute_id}"} | opened)
        listed = put({"pk": _DISPUTES, "sk": f"{charge_id}#{dispute_id}", "charge_id": charge_id})
        try:
            self._table.transact([made, taken, listed])
        except ConditionFailed:
            raise ProviderDeclined("not_possible", "The charge cannot be disputed now.") from None

    def close_dispute(self, charge_id: str, dispute_id: str, *, is_won: bool) -> None:
        """The bank decides an open dispute. What the shop wins comes back."""
        [found] = [one for one in self.disputes(charge_id) if one.dispute_id == dispute_id]
        closed = update(
            _charge_pk(charge_id),
            f"DISPUTE#{dispute_id}",
            "SET #status = :to",
            "#status = :open",
            names={"#status": "status"},
            values={":to": DisputeStatus.WON if is_won else DisputeStatus.LOST, ":open": DisputeStatus.OPEN},
        )
        back = update(
            _charge_pk(charge_id),
            "CHARGE",
            "SET #left = #left + :amount, taken = taken - :amount",
            "attribute_exists(pk)",
            names={"#left": "left"},
            values={":amount": found.amount if is_won else 0},
        )
        with suppress(ConditionFailed):
            self._table.transact([closed, back])

    def _known(self, charge_id: str) -> Item:
        charge = self._table.get(_charge_pk(charge_id), "CHARGE")
        if charge is None:
            raise ProviderDeclined("unknown_charge", f"There is no charge {charge_id}.")
        return charge

    def _move(self, charge: Item, operation: str, to: ChargeStatus, left: int, key: str) -> Charge:
        """Captures or voids. Only an authorized charge can be captured. One that asks for its buyer can be voided."""
        charge_id = charge["pk"].removeprefix(_charge_pk(""))
        self._fail_if_faulty(charge["fault"], operation, key)
        moved = update(
            _charge_pk(charge_id),
            "CHARGE",
            "SET #status = :to, #left = :left",
            "#status IN (:authorized, :other)",
            names={"#status": "status", "#left": "left"},
            values={
                ":to": to,
                ":left": left,
                ":authorized": ChargeStatus.AUTHORIZED,
                ":other": ChargeStatus.ACTION_REQUIRED if operation == "void" else ChargeStatus.AUTHORIZED,
            },
        )
        answer = self._answer(key, operation, [charge_id], _fields_of(charge) | {"status": to}, moved, charge["fault"])
        return _charge(charge_id, answer)

    def _answer(
        self, key: str, operation: str, asked: list[str | int], answer: Item, effect: Write, fault: str
    ) -> Item:
        """Performs the call and stores the answer, or returns the answer stored for this key."""
        question = fingerprint([operation, *asked])
        remembered = put_new({"pk": _key_pk(key), "sk": "ANSWER", "question": question, "answer": answer})
        try:
            self._table.transact([remembered, effect])
        except ConditionFailed:
            before = self._table.get(_key_pk(key), "ANSWER")
            if before is None:
                detail = f"The charge does not allow to {operation} it now."
                if operation == "refund":
                    self._refuse(key, operation, asked, "not_possible", detail)
                raise ProviderDeclined("not_possible", detail) from None
            if before["question"] != question:
                raise ProviderDeclined("key_reused", "This key was used for something else.") from None
            if "refused" in before["answer"]:
                raise ProviderDeclined(before["answer"]["refused"], before["answer"]["detail"]) from None
            return before["answer"]  # type: ignore[no-any-return]
        if fault == f"{operation}_timeout_once":
            raise ProviderTimeout(f"{operation}: the answer was lost")
        return answer

    def _refuse(self, key: str, operation: str, asked: list[str | int], reason: str, detail: str) -> None:
        """Stores the refusal under the key: every retry gets it. An effect already done with the key stays done."""
        question = fingerprint([operation, *asked])
        answer = {"refused": reason, "detail": detail}
        with suppress(ConditionFailed):
            self._table.write(put_new({"pk": _key_pk(key), "sk": "ANSWER", "question": question, "answer": answer}))

    def _fail_if_faulty(self, fault: str, operation: str, key: str) -> None:
        """Fails as the card's fault demands, before anything is done."""
        if fault == f"{operation}_unavailable":
            raise ProviderTimeout(f"{operation}: no answer")
        if fault == f"{operation}_declined":
            raise ProviderDeclined(fault, _REFUSALS[operation])
        if fault != f"{operation}_error_once":
            return
        try:
            self._table.write(put_new({"pk": _key_pk(key), "sk": "FAULT"}))
        except ConditionFailed:
            return
        raise ProviderUnavailable("503 Service Unavailable")


def charge_id_of(reference: str) -> str:
    return f"ch_{derived_id('sandbox', reference)}"


def _charge_pk(charge_id: str) -> str:
    return f"SANDBOX#CHARGE#{charge_id}"


def _key_pk(key: str) -> str:
    return f"SANDBOX#KEY#{key}"


def _fields_of(charge: Item) -> Item:
    """The fields of a charge that an answer contains."""
    return {name: charge[name] for name in ("reference", "status", "amount", "currency", "reason", "detail")}


def _charge(charge_id: str, fields: Item) -> Charge:
    is_captured = fields["status"] == ChargeStatus.CAPTURED
    asks = fields["status"] == ChargeStatus.ACTION_REQUIRED
    return Charge(
        charge_id=charge_id,
        reference=fields["reference"],
        status=ChargeStatus(fields["status"]),
        amount=Money(amount=fields["amount"], currency=fields["currency"]),
        refunded=fields["amount"] - fields["left"] - fields.get("taken", 0) if is_captured and "left" in fields else 0,
        reason=fields["reason"],
        detail=fields["detail"],
        action=Action(url=f"{CHALLENGE}{charge_id}") if asks else None,
    )
