"""Payments in an empty account, and the ways into them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from mercato.breaker import shared
from mercato.dynamo import Table, Write
from mercato.errors import TransientError
from mercato.ids import derived_id
from payments import api, saga, settings
from payments.domain import Charge
from payments.sandbox import Sandbox, charge_id_of

OK = "tok_ok"
PAYMENT = derived_id("payment", "o-1")


@dataclass
class Till:
    """Real handlers in, effects out."""

    table: Table
    provider: Sandbox

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
        event: dict[str, Any] = {
            "httpMethod": method,
            "path": f"/api{path}",
            "headers": ({"Idempotency-Key": key} if key else {}) | (headers or {}),
            "body": body if isinstance(body, str) else json.dumps(body) if body is not None else None,
            "requestContext": {"authorizer": {"user_id": user, "role": role}} if role else {},
        }
        answer = api.handler(event, None)
        return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None

    def task(self, name: str, **task_input: Any) -> dict[str, Any]:
        return saga.handler(
            {"task": name, "correlation_id": "c-12345678", "input": {"order_id": "o-1"} | task_input}, None
        )

    def authorize(self, token: str = OK, amount: int = 1000) -> dict[str, Any]:
        money = {"amount": amount, "currency": "GBP"}
        return self.task("AuthorizePayment", customer_id="u-1", amount=money, payment_token=token)

    def capture(self) -> dict[str, Any]:
        return self.task("CapturePayment")

    def paid(self) -> None:
        self.authorize()
        self.capture()

    def refund(self, amount: int, key: str = "k-1", reason: str = "damaged") -> tuple[int, Any]:
        body = {"amount": {"amount": amount, "currency": "GBP"}, "reason": reason}
        return self.call("POST", f"/payments/{PAYMENT}/refunds", body, key=key)

    def status(self) -> str | None:
        item = self.table.get(f"PAYMENT#{PAYMENT}", "PAYMENT")
        return item["status"] if item else None

    def money(self) -> tuple[int, int]:
        """Captured and refunded, in our books; the provider's agree."""
        item = self.table.get(f"PAYMENT#{PAYMENT}", "PAYMENT")
        assert item is not None
        if item["captured"]:
            charge = self.table.get(f"SANDBOX#CHARGE#{item['charge_id']}", "CHARGE")
            assert charge is not None
            assert charge["left"] == item["captured"] - item["refunded"]
        return item["captured"], item["refunded"]

    def held(self) -> str | None:
        """What the provider says of our charge."""
        charge: Charge | None = self.provider.find(charge_id_of(PAYMENT))
        return charge.status if charge else None

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        items = self.table.query_all(f"OUTBOX#{PAYMENT}")
        found = [json.loads(item["event"]) for item in items]
        return [(event["type"], event["data"]) for event in found]

    def heard(self) -> list[str]:
        return [kind for kind, _ in self.events()]


@dataclass
class Faults:
    """What goes wrong at the n-th write of any kind: it dies before or after it, or somebody else acts just before."""

    die_at: int = -1
    after_effect: bool = False
    meanwhile: Callable[[], object] | None = None
    count: int = 0

    def arm(self, at: int, *, after_effect: bool = False, meanwhile: Callable[[], object] | None = None) -> None:
        self.die_at, self.after_effect, self.meanwhile, self.count = at, after_effect, meanwhile, 0


@pytest.fixture
def till(make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    table = make_table("PaymentsTable")
    monkeypatch.setenv("TABLE_NAME", table.name)
    monkeypatch.setenv("CIRCUITS_TABLE", make_table("CircuitsTable").name)
    shared.reset()
    caches = (settings.table, settings.store, settings.provider, settings.webhook_secret)
    for cached in caches:
        cached.cache_clear()
    yield Till(table, Sandbox(table))
    shared.reset()
    for cached in caches:
        cached.cache_clear()


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    found = Faults()

    def faulty(real: Callable[..., Any]) -> Callable[..., Any]:
        def write(self: Table, writes: Write | list[Write], **options: Any) -> Any:
            found.count += 1
            dies = found.count - 1 == found.die_at
            if dies and found.meanwhile:
                act, found.meanwhile, dies = found.meanwhile, None, False
                act()
            if dies and not found.after_effect:
                raise TransientError("died before the effect")
            answer = real(self, writes, **options)
            if dies:
                raise TransientError("died after the effect")
            return answer

        return write

    monkeypatch.setattr(Table, "transact", faulty(Table.transact))
    monkeypatch.setattr(Table, "write", faulty(Table.write))
    return found
