"""The sandbox: a small payment provider with a memory of its own, for development and tests.

| token                   | what happens                                                                              |
|-------------------------|-------------------------------------------------------------------------------------------|
| tok_ok                  | authorized, captured, refunded                                                            |
| tok_declined            | declined: card_declined                                                                   |
| tok_insufficient_funds  | declined: insufficient_funds                                                              |
| tok_expired_card        | declined: expired_card                                                                    |
| tok_timeout_once        | the first authorize takes effect, but its answer is lost; the retry finds it              |
| tok_error_once          | the first authorize answers 503, and nothing was done                                     |
| tok_unavailable         | authorize never answers, and nothing is done                                              |
| tok_capture_declined    | authorized; every capture is declined                                                     |
| tok_capture_error_once  | authorized; the first capture answers 503, and nothing was done                           |
| anything else           | declined: unknown_token                                                                   |

What follows a colon makes it another card of the same kind: tok_unavailable:1 and tok_unavailable:2 are two.

Its memory, in the table it is given:

    SANDBOX#CHARGE#<charge id>  CHARGE   status, amount, what is left to refund, how it misbehaves
    SANDBOX#KEY#<key>           ANSWER   what was asked with this key, and what was answered
    SANDBOX#KEY#<key>           FAULT    the failure that happens once has happened

A charge and the answer are written in one transaction, so the same key always gets the same answer. The token itself is
not kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from mercato.dynamo import ConditionFailed, Table, Write, put_new, update
from mercato.ids import derived_id, fingerprint
from mercato.items import Item
from mercato.money import Money
from payments.domain import Charge, ChargeStatus
from payments.provider import ProviderDeclined, ProviderTimeout, ProviderUnavailable


@dataclass(frozen=True)
class _Card:
    """How a token behaves: why it is declined, if it is, and what goes wrong on the way."""

    declined: str = ""
    detail: str = ""
    fault: str = ""


_TOKENS = {
    "tok_ok": _Card(),
    "tok_declined": _Card("card_declined", "Your bank declined the card."),
    "tok_insufficient_funds": _Card("insufficient_funds", "There is not enough money on the card."),
    "tok_expired_card": _Card("expired_card", "The card has expired."),
    "tok_timeout_once": _Card(fault="timeout_once"),
    "tok_error_once": _Card(fault="error_once"),
    "tok_unavailable": _Card(fault="unavailable"),
    "tok_capture_declined": _Card(fault="capture_declined"),
    "tok_capture_error_once": _Card(fault="capture_error_once"),
}
_UNKNOWN = _Card("unknown_token", "The card is not known.")


class Sandbox:
    def __init__(self, table: Table) -> None:
        self._table = table

    def authorize(self, reference: str, amount: Money, token: str, key: str) -> Charge:
        card = _TOKENS.get(token.partition(":")[0], _UNKNOWN)
        if card.fault == "unavailable":
            raise ProviderTimeout(f"authorize of {reference}: no answer")
        self._fail_once(key, card.fault == "error_once")
        charge = {
            "reference": reference,
            "status": ChargeStatus.DECLINED if card.declined else ChargeStatus.AUTHORIZED,
            "amount": amount.amount,
            "currency": amount.currency,
            "reason": card.declined,
            "detail": card.detail,
        }
        charge_id = _charge_id(reference)
        stored = put_new({"pk": _charge_pk(charge_id), "sk": "CHARGE", "left": 0, "fault": card.fault} | charge)
        is_new, answer = self._answer(key, "authorize", [reference, amount.amount, amount.currency], charge, stored)
        if is_new and card.fault == "timeout_once":
            raise ProviderTimeout(f"authorize of {reference}: the answer was lost")
        return _charge(answer)

    def capture(self, charge_id: str, key: str) -> Charge:
        charge = self._known(charge_id)
        self._fail_once(key, charge["fault"] == "capture_error_once")
        if charge["fault"] == "capture_declined":
            raise ProviderDeclined("capture_declined", "Your bank does not release the money.")
        return self._move(charge, "capture", ChargeStatus.CAPTURED, charge["amount"], key)

    def void(self, charge_id: str, key: str) -> Charge:
        return self._move(self._known(charge_id), "void", ChargeStatus.VOIDED, 0, key)

    def refund(self, charge_id: str, amount: Money, key: str) -> None:
        charge = self._known(charge_id)
        if amount.currency != charge["currency"]:
            raise ProviderDeclined("wrong_currency", f"The charge is in {charge['currency']}.")
        give_back = update(
            _charge_pk(charge_id),
            "CHARGE",
            "SET #left = #left - :amount",
            "#status = :captured AND #left >= :amount",
            names={"#left": "left", "#status": "status"},
            values={":amount": amount.amount, ":captured": ChargeStatus.CAPTURED},
        )
        self._answer(key, "refund", [charge_id, amount.amount], _said(charge), give_back)

    def find(self, reference: str) -> Charge | None:
        charge = self._table.get(_charge_pk(_charge_id(reference)), "CHARGE")
        return _charge(charge) if charge else None

    def _known(self, charge_id: str) -> Item:
        charge = self._table.get(_charge_pk(charge_id), "CHARGE")
        if charge is None:
            raise ProviderDeclined("unknown_charge", f"There is no charge {charge_id}.")
        return charge

    def _move(self, charge: Item, operation: str, to: ChargeStatus, left: int, key: str) -> Charge:
        """Only what is authorized can be captured or voided, and only one of the two."""
        charge_id = _charge_id(charge["reference"])
        moved = update(
            _charge_pk(charge_id),
            "CHARGE",
            "SET #status = :to, #left = :left",
            "#status = :authorized",
            names={"#status": "status", "#left": "left"},
            values={":to": to, ":left": left, ":authorized": ChargeStatus.AUTHORIZED},
        )
        _, answer = self._answer(key, operation, [charge_id], _said(charge) | {"status": to}, moved)
        return _charge(answer)

    def _answer(
        self, key: str, operation: str, asked: list[str | int], answer: Item, effect: Write
    ) -> tuple[bool, Item]:
        """Do it and remember the answer; or the answer that this key got before. True: it was done now."""
        question = fingerprint([operation, *asked])
        remembered = put_new({"pk": _key_pk(key), "sk": "ANSWER", "question": question, "answer": answer})
        try:
            self._table.transact([remembered, effect])
        except ConditionFailed:
            before = self._table.get(_key_pk(key), "ANSWER")
            if before is None:
                raise ProviderDeclined("not_possible", f"The charge does not allow to {operation} it now.") from None
            if before["question"] != question:
                raise ProviderDeclined("key_reused", "This key was used for something else.") from None
            return False, before["answer"]
        return True, answer

    def _fail_once(self, key: str, fails: bool) -> None:
        if not fails:
            return
        try:
            self._table.write(put_new({"pk": _key_pk(key), "sk": "FAULT"}))
        except ConditionFailed:
            return
        raise ProviderUnavailable("503 Service Unavailable")


def _charge_id(reference: str) -> str:
    return f"ch_{derived_id('sandbox', reference)}"


def _charge_pk(charge_id: str) -> str:
    return f"SANDBOX#CHARGE#{charge_id}"


def _key_pk(key: str) -> str:
    return f"SANDBOX#KEY#{key}"


def _said(charge: Item) -> Item:
    """The part of a charge that the provider tells."""
    return {name: charge[name] for name in ("reference", "status", "amount", "currency", "reason", "detail")}


def _charge(said: Item) -> Charge:
    return Charge(
        charge_id=_charge_id(said["reference"]),
        reference=said["reference"],
        status=ChargeStatus(said["status"]),
        amount=Money(amount=said["amount"], currency=said["currency"]),
        reason=said["reason"],
        detail=said["detail"],
    )
