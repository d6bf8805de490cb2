"""Payments in an empty account, and its entry points."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from mercato.ids import derived_id
from mercato.store.dynamo import Table
from payments import api, saga
from payments.domain import Charge, reference_of
from payments.providers.sandbox import Sandbox, charge_id_of
from tests.kit import aws_events

OK = "tok_ok"
PAYMENT = derived_id("payment", "o-1")


@dataclass
class Till:
    """Calls the real handlers and reads the effects."""

    table: Table
    provider: Sandbox
    currency: str = "GBP"
    customer: str = "u-1"

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: str | None = "admin",
        user: str = "u-admin",
        key: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        sent = ({"Idempotency-Key": key} if key else {}) | (headers or {})
        path, _, query = path.partition("?")
        event = aws_events.rest_request(
            method,
            f"/api{path}",
            body,
            user=user if role else None,
            role=role,
            headers=sent,
            query=dict(parse_qsl(query)),
        )
        answer = api.handler(event, None)
        return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None

    def task(self, name: str, **task_input: Any) -> dict[str, Any]:
        return saga.handler(aws_events.task(name, {"order_id": "o-1"} | task_input), None)

    def authorize(self, token: str = OK, amount: int = 1000) -> dict[str, Any]:
        money = {"amount": amount, "currency": self.currency}
        return self.task("AuthorizePayment", customer_id=self.customer, amount=money, payment_token=token)

    def attempt(self, token: str = OK, number: int = 1, amount: int = 1000) -> dict[str, Any]:
        money = {"amount": amount, "currency": "GBP"}
        who = {"customer_id": self.customer}
        return self.task("AttemptPayment", amount=money, payment_token=token, number=number, **who)

    def capture(self) -> dict[str, Any]:
        return self.task("CapturePayment")

    def paid(self) -> None:
        self.authorize()
        self.capture()

    def refund(self, amount: int, key: str = "k-1", reason: str = "damaged") -> tuple[int, Any]:
        body = {"amount": {"amount": amount, "currency": self.currency}, "reason": reason}
        return self.call("POST", f"/payments/{PAYMENT}/refunds", body, key=key)

    def status(self) -> str | None:
        item = self.table.get(f"PAYMENT#{PAYMENT}", "PAYMENT")
        return item["status"] if item else None

    def money(self) -> tuple[int, int]:
        """The captured and refunded money in our books, after a check that the provider's agree."""
        item = self.table.get(f"PAYMENT#{PAYMENT}", "PAYMENT")
        assert item is not None
        if item["captured"]:
            charge = self.table.get(f"SANDBOX#CHARGE#{item['charge_id']}", "CHARGE")
            assert charge is not None
            assert charge["left"] == item["captured"] - item["refunded"]
        return item["captured"], item["refunded"]

    def held(self) -> str | None:
        """The provider's status of our charge."""
        charge: Charge | None = self.provider.find(charge_id_of(PAYMENT))
        return charge.status if charge else None

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        items = self.table.query_all(f"OUTBOX#{PAYMENT}")
        found = [json.loads(item["event"]) for item in items]
        return [(event["type"], event["data"]) for event in found]

    def holds(self) -> list[str]:
        """The provider's statuses of all attempts' charges, in their order."""
        references = [reference_of(PAYMENT, number) for number in range(1, 9)]
        charges = [self.provider.find(charge_id_of(reference)) for reference in references]
        return [charge.status.value for charge in charges if charge]

    def confirm(self, number: int = 1, *, is_confirmed: bool = True) -> None:
        """The buyer answers the bank, without a webhook."""
        self.provider.answer(charge_id_of(reference_of(PAYMENT, number)), is_confirmed=is_confirmed)

    def heard(self) -> list[str]:
        return [kind for kind, _ in self.events()]
